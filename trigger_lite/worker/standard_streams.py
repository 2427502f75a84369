"""What a process of the worker has as its first three descriptors."""

import io
import os
import sys
from typing import Final

_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2


def use_streams(*, stdout: int, stderr: int) -> None:
    """Make these descriptors stdout and stderr, for Python and for everything below it; stdin is empty.

    Lines are passed on as they end, so that a crash loses at most an unfinished one.
    """
    empty = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((empty, _STDIN), (stdout, _STDOUT), (stderr, _STDERR)):
        os.dup2(source, target)
        os.close(source)
    # New objects: the old ones may believe that they write to a file, and ask a pipe for its position.
    sys.stdout = _text(_STDOUT)
    sys.stderr = _text(_STDERR)


def _text(descriptor: int) -> io.TextIOWrapper:
    raw = open(descriptor, "wb", closefd=False)  # noqa: SIM115 - lives as long as the process
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
