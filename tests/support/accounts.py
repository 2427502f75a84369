"""Doing something as an account without privileges, for tests that root's privileges would make pointless."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be `nobody` inside the block when the tests run as root; otherwise who they run as is that already."""
    if os.geteuid() != 0:
        yield
        return
    nobody = pwd.getpwnam("nobody").pw_uid
    os.setresuid(nobody, nobody, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
