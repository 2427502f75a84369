"""Dying with the parent, whatever user code does.

The parent holds the write end of a pipe and never writes. On Linux the kernel itself sends SIGKILL
to the reader's whole process group when that end closes, so it needs no cooperation, reaches
processes that user code started, and has no race. Elsewhere a process notices when it next reads
its socket, and the template ends the groups of its children.
"""

import fcntl
import os
import signal
import sys


def die_with(lifeline: int) -> None:
    """Tie this process's group to the pipe; `lifeline` is its read end, not shared with another process."""
    if sys.platform != "linux":
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
