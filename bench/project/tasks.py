"""The tasks that are measured."""

import socket
import time

from trigger_lite import task


@task
def noop() -> None:
    """Do nothing."""


@task
def stamp(path: str) -> None:
    """Send the time at which this line was reached to a local datagram socket."""
    now = time.time_ns()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(str(now).encode(), path)
