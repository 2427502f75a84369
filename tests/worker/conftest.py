"""A played server, and real workers that talk to it."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support.fake_server import FakeServer
from tests.support.worker_process import WorkerProcess, write_tasks


class StartWorker(Protocol):
    """Starts a worker for task source text, or for the folder as it is; keywords are its settings."""

    def __call__(
        self, source: str | None = None, *, environment: Mapping[str, str] | None = None, **settings: Any
    ) -> WorkerProcess: ...


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """A server that acknowledges everything."""
    async with FakeServer() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the worker's task files."""
    path = tmp_path / "jobs"
    path.mkdir()
    return path


@pytest.fixture
def start_worker(server: FakeServer, folder: Path) -> Iterator[StartWorker]:
    """Start real workers; the test fails when one met a fault of its own or left a process behind."""
    started: list[WorkerProcess] = []

    def start(
        source: str | None = None, *, environment: Mapping[str, str] | None = None, **settings: Any
    ) -> WorkerProcess:
        if source is not None:
            write_tasks(folder, source)
        worker = WorkerProcess(folder, server.url, environment=environment, **settings)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        if worker.is_running:
            worker.end_everything()
        else:
            worker.assert_nothing_left()
        assert "Traceback" not in worker.output, worker.output
