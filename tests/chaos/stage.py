"""The installation that is hit: a real server, real workers, and what they started, by name."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.support.processes import Process, trigger_lite_command
from tests.support.real_server import RealServer

PROJECT: Final = Path(__file__).with_name("project")
CHILDREN: Final = 3
# A worker that is gone is noticed soon; a machine that is busy is not taken for one.
_TIMEOUT: Final = "6"
_START_SECONDS: Final = 60
_FAULT: Final = re.compile(r"Traceback|\bERROR\b|[Ee]rror:|Exception")


class Stage:
    """A server on SQLite, or on the PostgreSQL database of a URL, with workers for the tasks of `project`."""

    def __init__(self, folder: Path, port: int, *, database_url: str | None, workers: int) -> None:
        self.folder = folder
        self.database_url = database_url
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.starts: list[float] = []
        """When the server was started (`time.monotonic`)."""
        self._processes: list[Process] = []
        self._worker_count = workers
        settings = {
            "TRIGGER_LITE_START_TIMEOUT": _TIMEOUT,
            "TRIGGER_LITE_RUN_TIMEOUT": _TIMEOUT,
            "TRIGGER_LITE_CANCEL_TIMEOUT": _TIMEOUT,
        }
        if database_url is not None:
            settings["TRIGGER_LITE_DATABASE_URL"] = database_url
        self.server = RealServer(self._start, folder, port, **settings)
        self.workers: list[Process] = []

    def open(self) -> None:
        """Start everything, and wait until it works."""
        self.start_server()
        self.wait_until_serving()
        self.workers = [self.begin_worker() for _ in range(self._worker_count)]
        for worker in self.workers:
            worker.wait_for_line("connected", seconds=_START_SECONDS)

    def start_server(self) -> None:
        """Start the server and wait for nothing."""
        self.starts.append(time.monotonic())
        self.server.start("--log-level", "warning", wait=False)

    def wait_until_serving(self) -> None:
        self.server.process.wait_for_line("is serving", seconds=_START_SECONDS)

    def begin_worker(self) -> Process:
        """Start a worker and wait for nothing."""
        options = ("--quiet", "--concurrency", str(CHILDREN))
        return self.server.begin_worker(PROJECT, *options, CHAOS_LEDGER=str(self.ledger))

    def children(self) -> list[int]:
        """Return the processes that workers started: templates, and children with or without a run."""
        return sorted(pid for worker in self.workers if worker.is_running for pid in worker.descendants())

    def close(self) -> list[str]:
        """Stop everything as an operator would; returns what went wrong with that."""
        faults = []
        for process in (*self.workers, self.server.process):
            try:
                code = process.stop(seconds=60)
            except AssertionError as error:
                faults.append(str(error))
            else:
                if code != 0:
                    faults.append(f"{_command(process)} ended with {code}:\n{process.output[-2000:]}")
        left = {pid: _command_line(pid) for process in self._processes for pid in process.descendants()}
        if left:
            faults.append(f"processes were left: {left}")
        return faults

    def doctor(self) -> list[str]:
        """Return what `trigger-lite doctor` finds amiss once everything has stopped."""
        url = [] if self.database_url is None else ["--database-url", self.database_url]
        process = self._start("doctor", "--data", self.server.data, *url)
        code = process.wait_for_exit(seconds=120)
        return [] if code == 0 else [f"the doctor ended with {code}:\n{process.output[-3000:]}"]

    def complaints(self) -> list[str]:
        """Return the lines in which a process says that something failed which no kill explains."""
        return [
            f"{_command(process)} {process.pid}: {line}"
            for process in self._processes
            for line in process.lines
            if _FAULT.search(line)
        ]

    def end_everything(self) -> None:
        for process in self._processes:
            process.end_everything()

    def _start(self, *arguments: str | Path, directory: Path | None = None, **environment: str) -> Process:
        command = [*trigger_lite_command(), *arguments]
        process = Process(command, directory=directory or self.folder, environment=environment)
        self._processes.append(process)
        return process


@contextmanager
def stage(folder: Path, port: int, *, database_url: str | None, workers: int = 2) -> Iterator[Stage]:
    """An installation that serves; whatever is left of it in the end is ended."""
    made = Stage(folder, port, database_url=database_url, workers=workers)
    try:
        made.open()
        yield made
    finally:
        made.end_everything()


def _command(process: Process) -> str:
    return " ".join(process.arguments[1:3])


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return f"{pid} (ended meanwhile)"
