"""Real processes under test: start one, read what it prints, wait for a line, stop it, leave nothing behind.

Every process started here carries a mark in its environment, which its children inherit, so that
whatever outlives it is found even when it moved to a process group of its own.
"""

import ctypes
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

_MARK: Final = "MARK_OF_A_TEST"
_PR_SET_PDEATHSIG: Final = 1
# Loaded here, because the account a child runs as may not be able to read it.
_LIBC: Final = ctypes.CDLL(None)
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR")
Found = TypeVar("Found")

# Takes from root what lets it write where the modes of files say no, as every other account is.
AS_ORDINARY: Final = """
import ctypes, os, sys

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH) if os.geteuid() == 0 else ():
    assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Account:
    """An unprivileged account that a server may insist on running as."""

    user: int
    group: int


class Process:
    """A program started in its own process group, with everything it prints collected line by line."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        account: Account | None = None,
    ) -> None:
        self.arguments = tuple(str(argument) for argument in arguments)
        self._mark = uuid.uuid4().hex
        self._lines: list[str] = []
        self._printed = threading.Condition()
        self._is_read = False
        self._popen = subprocess.Popen(
            self.arguments,
            cwd=directory,
            env={**clean_environment(directory), **(environment or {}), _MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_the_tests if sys.platform == "linux" else None,
            user=account.user if account else None,
            group=account.group if account else None,
            extra_groups=[] if account else None,
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {self.pid}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id, which is also its group's."""
        return self._popen.pid

    @property
    def lines(self) -> tuple[str, ...]:
        """Everything printed so far on stdout and stderr, without line ends."""
        with self._printed:
            return tuple(self._lines)

    @property
    def output(self) -> str:
        """Everything printed so far, as one text."""
        return "\n".join(self.lines)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._popen.poll() is None

    def wait_for_line(self, pattern: str, *, seconds: float = 20) -> re.Match[str]:
        """Return the first match of the regular expression in a printed line, waiting for it if need be."""

        wanted = re.compile(pattern)

        def search(lines: Sequence[str]) -> re.Match[str] | None:
            return next(filter(None, map(wanted.search, lines)), None)

        return self.wait_for(search, seconds=seconds, what=f"a line like {pattern!r}")

    def wait_for(
        self,
        look: Callable[[Sequence[str]], Found | None],
        *,
        seconds: float = 20,
        what: str = "the output awaited",
    ) -> Found:
        """Return what `look` finds in the lines printed so far, asking anew whenever more is printed."""
        deadline = time.monotonic() + seconds
        with self._printed:
            while (found := look(self._lines)) is None:
                remaining = deadline - time.monotonic()
                ended = self._is_read
                if remaining <= 0 or ended or not self._printed.wait(remaining):
                    complaint = f"{what} did not come in {seconds:g} s"
                    raise AssertionError(self._complaint(complaint, ended=ended))
            return found

    def wait_for_exit(self, *, seconds: float = 20) -> int:
        """Return the exit status once the process has ended and all it printed is read."""
        try:
            status = self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(self._complaint(f"it did not end in {seconds:g} s", ended=False)) from None
        self._reader.join(seconds)
        return status

    def wait_for_output_end(self, *, seconds: float = 20) -> None:
        """Wait until nobody can print any more: neither the process nor what it started."""
        self._reader.join(seconds)
        if self._reader.is_alive():
            raise AssertionError(self._complaint(f"its output did not end in {seconds:g} s", ended=False))

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone, not to its children."""
        self._popen.send_signal(number)

    def stop(self, *, seconds: float = 20) -> int:
        """Ask the process to end as an operator would, and return its exit status."""
        if self.is_running:
            self.send(signal.SIGTERM)
        return self.wait_for_exit(seconds=seconds)

    def kill(self) -> None:
        """End the process at once, as `kill -9` does; its children are left to themselves."""
        self.send(signal.SIGKILL)
        self._popen.wait()

    def descendants(self) -> list[int]:
        """Return the ids of the processes that this one started and that still run, wherever they moved."""
        return [pid for pid in _marked(self._mark) if pid != self.pid]

    def assert_nothing_left(self) -> None:
        """End whatever still runs, and fail when the process had ended without ending its own children."""
        left = {pid: _command_line(pid) for pid in self.descendants()}
        for pid in left:
            _kill(pid)
        assert not left, self._complaint(f"it left processes running: {left}", ended=True)

    def end_everything(self) -> None:
        """End the process and all it started, whatever state they are in."""
        if self.is_running:
            self.kill()
        for pid in self.descendants():
            _kill(pid)
        self._reader.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_everything()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as stream:
            for raw in stream:
                self._add(raw.decode(errors="replace").rstrip("\r\n"))
        with self._printed:
            self._is_read = True
            self._printed.notify_all()

    def _add(self, line: str) -> None:
        with self._printed:
            self._lines.append(line)
            self._printed.notify_all()

    def _complaint(self, what: str, *, ended: bool) -> str:
        # Its output may be read to the end a moment before the process is gone.
        state = f"ended with status {self._popen.wait(5)}" if ended else "is still running"
        return f"{' '.join(self.arguments)}: {what}; it {state} and printed:\n" + "\n".join(self._lines[-60:])


class StartCommand(Protocol):
    """Starts the real `trigger-lite`; keywords other than `directory` are its environment."""

    def __call__(self, *arguments: str | Path, directory: Path = ..., **environment: str) -> Process: ...


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment in which no setting of the machine's user reaches the program under test."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, "HOME": str(home), "PYTHONUNBUFFERED": "1"}


def wait_until_ended(*pids: int, seconds: float = 10) -> None:
    """Wait until none of these processes runs; they need not be children of this one."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            ended, _, _ = select.select([handle], [], [], seconds)
        finally:
            os.close(handle)
        assert ended, f"process {pid} still runs after {seconds:g} s: {_command_line(pid)}"


def memory_of(pid: int) -> int:
    """Return the memory of a process in bytes, what it shares counted in parts (PSS); 0 when it ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def trigger_lite_command() -> list[str]:
    """Return how the installed `trigger-lite` is started, as a user would."""
    installed = Path(sys.executable).with_name("trigger-lite")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "trigger_lite"]


def _end_with_the_tests() -> None:
    """Have the kernel end this process when the test process dies, even by SIGKILL."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _marked(mark: str) -> list[int]:
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0") and not _is_zombie(folder):
                found.append(int(folder.name))
    return found


def _is_zombie(folder: Path) -> bool:
    return (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return "(ended meanwhile)"


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
