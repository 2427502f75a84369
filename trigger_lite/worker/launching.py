"""Starting templates: the first one forked from this process, later ones in fresh interpreters.

The first shares what this process has imported, which is most of what it needs, and that is the
difference between a light worker and a heavy one. It is forked before there is an event loop or a
thread; afterwards that would not be safe, so a reload starts from nothing.
"""

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Final

from trigger_lite.worker.interpreter import python_command
from trigger_lite.worker.settings import WorkerSettings

_LAST_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.005


@dataclass(frozen=True, slots=True)
class Launched:
    """A template that was started: its control socket, its lifeline's write end, its process id."""

    sock: socket.socket
    lifeline: int
    pid: int

    def kill(self) -> int:
        """End it, with all it forked, and return how it ended: exit code or minus a signal."""
        self.sock.close()
        os.close(self.lifeline)
        os.kill(self.pid, signal.SIGKILL)
        return self._code(os.waitpid(self.pid, 0)[1])

    def bury(self) -> int:
        """Return how it ended, once its socket was closed from its side; helps if it hesitates."""
        deadline = time.monotonic() + _LAST_SECONDS
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.sock.close()
                os.close(self.lifeline)
                return self._code(status)
            time.sleep(_LOOK_SECONDS)
        return self.kill()

    def _code(self, status: int) -> int:
        return os.waitstatus_to_exitcode(status)


Launch = Callable[[], Launched]
"""Starts a template that waits for Prepare."""


def make_launch(settings: WorkerSettings) -> Launch:
    """Return how this worker starts templates; call it before there is an event loop."""
    if settings.start_method == "spawn" or threading.active_count() > 1:
        return execute_template
    first = [fork_template()]
    return lambda: first.pop() if first else execute_template()


def execute_template() -> Launched:
    """Start a template in a fresh interpreter."""
    sock, control = socket.socketpair()
    reader, writer = os.pipe()
    with control:
        command = python_command("trigger_lite.worker.template", str(control.fileno()), str(reader))
        # What user code prints while it is imported belongs to no run: it goes where this process complains.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=2,
            stderr=2,
            pass_fds=(control.fileno(), reader),
            process_group=0,
        )
    os.close(reader)
    process.returncode = 0  # reaped by Launched, not by Popen's own clean-up
    return Launched(sock, writer, process.pid)


def fork_template() -> Launched:
    """Start a template as a copy of this process."""
    # Before the fork, so that both share it: what only templates need.
    from trigger_lite.worker.template import serve_template

    sock, control = socket.socketpair()
    reader, writer = os.pipe()
    # What is here now stays shared as long as nobody's collector touches it.
    gc.collect()
    gc.freeze()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # or both would print what is held back
    pid = os.fork()
    if pid == 0:
        try:
            sock.close()
            os.close(writer)
            _forget_the_command()
            serve_template(control.detach(), reader)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    control.close()
    os.close(reader)
    return Launched(sock, writer, pid)


def _forget_the_command() -> None:
    """Let nothing of the command that started this worker show in user code.

    Without a module of its own as `__main__`, programs that user code starts by `multiprocessing`
    would import the command's. What is printed at import belongs to no run: it goes to stderr.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.argv[1:] = []
    sys.modules["__main__"] = ModuleType("__main__")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
