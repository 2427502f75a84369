"""The disk is full, takes no writes or does not answer: said, refused, over by itself, nothing lost."""

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.journeys.faults.conftest import WriteTasks
from tests.support.faults import (
    full_disk,
    is_ready,
    locked_database,
    on_a_small_disk,
    on_small_disk,
    reading_database,
    stopped_database,
    triggered,
    until,
    unwritable_files,
)
from tests.support.postgres import Cluster
from tests.support.processes import AS_ORDINARY, Process, StartCommand, trigger_lite_command
from tests.support.real_server import RealServer

Fault = Callable[[RealServer], AbstractContextManager[None]]
LetGo = Callable[[], None]

_TASKS: Final = """
    @task
    def echo(payload):
        return payload

    @task
    def hold(payload):
        print("held")
        os.read(os.open("go", os.O_RDONLY), 1)
        print("let go")
        return "held"
"""
# A stall of three seconds, with thresholds to match; with STALL_SECONDS=30 one of thirty, with those of use.
STALL_SECONDS: Final = float(os.environ.get("STALL_SECONDS", "3"))
_SCALED: Final = {
    "TRIGGER_LITE_STALL_TIMEOUT": f"{STALL_SECONDS / 6:g}",
    "TRIGGER_LITE_RUN_TIMEOUT": f"{STALL_SECONDS / 1.5:g}",
    "TRIGGER_LITE_START_TIMEOUT": f"{STALL_SECONDS / 1.5:g}",
}


@pytest.fixture
def jobs(write_tasks: WriteTasks) -> Path:
    return write_tasks(_TASKS)


@pytest.fixture
def let_go(tmp_path: Path) -> Iterator[LetGo]:
    """Let one run of `hold` go on."""
    os.mkfifo(tmp_path / "go")
    gate = os.open(tmp_path / "go", os.O_RDWR)
    yield lambda: (os.write(gate, b"x"), None)[1]
    os.close(gate)


class Held:
    """A server with a run that executes, and everything that it accepted: payloads by run."""

    def __init__(self, server: RealServer, jobs: Path) -> None:
        self.server = server
        self.worker = server.start_worker(jobs, "--concurrency", "2")
        self.accepted: dict[str, int] = {}
        self.hold = server.trigger("hold")
        server.reaches(self.hold, "EXECUTING")

    def trigger(self, client: httpx.Client, payload: int = 0) -> int:
        """Trigger once; returns the status of the answer."""
        answer = triggered(client, payload)
        if answer.status_code == 200:
            self.accepted[answer.json()["id"]] = payload
        return answer.status_code

    def end_meanwhile(self, let_go: LetGo) -> None:
        """Let the run that executes end, whether or not the server can hear of it."""
        let_go()
        until("the run's end", lambda: any("✓ hold" in line for line in self.worker.lines))

    def assert_nothing_lost(self) -> None:
        """Each accepted run is made once, none that was refused, and the one that executed went on."""
        held = self.server.finished(self.hold)
        assert (held["status"], held["output"], held["attemptCount"]) == ("COMPLETED", "held", 1)
        for run_id, payload in self.accepted.items():
            run = self.server.finished(run_id)
            assert (run["status"], run["output"], run["attemptCount"]) == ("COMPLETED", payload, 1)
        with self.server.client() as client:
            listed = client.get("/api/v1/runs", params={"page[size]": 100}).json()["data"]
        assert sorted(run["id"] for run in listed) == sorted([self.hold, *self.accepted])
        assert [line["message"] for line in self.server.logs(self.hold)] == ["held", "let go"]
        assert "Traceback" not in self.server.process.output


def assert_sound(start_command: StartCommand, server: RealServer) -> None:
    """`doctor` finds nothing on a server that went through this."""
    doctor = start_command("doctor", "--data", server.data)
    assert doctor.wait_for_exit() == 0, doctor.output


# ---- changes are refused --------------------------------------------------------------------------------


def _endure(held: Held, fault: Fault, let_go: LetGo) -> None:
    """Let a fault come, and a run end while it lasts; then let it go."""
    with held.server.client() as client:
        assert held.trigger(client) == 200
        with fault(held.server):
            until("a refusal", lambda: held.trigger(client) == 503)
            refused = triggered(client)
            assert refused.status_code == 503 and "retry-after" in refused.headers
            assert "out of order" in refused.json()["error"]
            not_ready: dict[str, Any] = client.get("/readyz").json()
            assert not_ready["status"] == "not ready" and "out of order" in not_ready["reason"]
            assert client.get("/healthz").status_code == 200
            until("a read", lambda: client.get(f"/api/v3/runs/{held.hold}").status_code == 200)
            held.server.process.wait_for_line("the state database did not take")
            held.end_meanwhile(let_go)
        until("being ready", lambda: is_ready(client))
        held.server.process.wait_for_line("the state database takes changes again; .* were refused meanwhile")
        assert held.trigger(client) == 200
    held.assert_nothing_lost()


def test_a_disk_that_is_full(
    start_command: StartCommand, tmp_path: Path, free_port: int, jobs: Path, let_go: LetGo
) -> None:
    """Once there is room, the server goes on where it was."""
    server = on_small_disk(start_command, tmp_path, free_port, megabytes=32)
    try:
        _endure(Held(server, jobs), full_disk, let_go)
        assert "database or disk is full" in server.process.output
        assert server.process.stop() == 0
    finally:
        server.process.end_everything()


def test_a_disk_with_little_room_is_found_by_the_doctor(server: RealServer) -> None:
    server.start()
    server.process.stop()
    doctor = "cp -a data/. small && exec {} doctor --data small".format(*trigger_lite_command())
    with on_a_small_disk(doctor, server.folder / "small", megabytes=32) as process:
        assert process.wait_for_exit() == 1
        assert [line.split()[:2] for line in process.lines if line.startswith("✗")] == [["✗", "disk"]]


def test_a_disk_that_takes_no_writes(
    server: RealServer, jobs: Path, let_go: LetGo, start_command: StartCommand
) -> None:
    """As one that the system made read-only after an error."""
    server.start()
    _endure(Held(server, jobs), unwritable_files, let_go)
    assert_sound(start_command, server)


@pytest.mark.postgres
def test_a_database_that_only_reads(
    server: RealServer, jobs: Path, let_go: LetGo, postgres_cluster: Cluster
) -> None:
    """As one that became a replica: its connections break, and the new ones may change nothing."""
    with postgres_cluster.database() as url:
        server.environment["TRIGGER_LITE_DATABASE_URL"] = url
        server.start()
        _endure(Held(server, jobs), partial(reading_database, url), let_go)
        assert server.process.stop() == 0


def test_a_database_that_may_not_be_written_is_refused_at_the_start(server: RealServer) -> None:
    server.start()
    server.process.stop()
    (server.data / "trigger.db").chmod(0o400)
    command: list[str | Path] = [*trigger_lite_command(), "serve", "--port", "0", "--data", server.data]
    with Process([sys.executable, "-c", AS_ORDINARY, *command], directory=server.folder) as process:
        assert process.wait_for_exit() == 2
        (line,) = process.lines
        assert line.startswith(f"Error: The database {server.data / 'trigger.db'} cannot be opened:"), line
    with sqlite3.connect(server.data / "trigger.db") as database:
        assert database.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    database.close()


# ---- changes take for ever ------------------------------------------------------------------------------


def _endure_stall(held: Held, fault: Fault, let_go: LetGo) -> None:
    """Let the database not answer for longer than a worker may be silent; nobody pays for it (HB-08)."""
    began = time.monotonic()
    with held.server.client() as client, ThreadPoolExecutor(4) as threads:
        assert held.trigger(client) == 200
        with fault(held.server):
            waiting = [threads.submit(held.trigger, client, number) for number in range(1, 5)]
            held.server.process.wait_for_line("the state database (has taken no change|did not take)")
            assert held.trigger(client) == 503
            not_ready = client.get("/readyz")
            assert not_ready.status_code == 503 and "database" in not_ready.json()["reason"].lower()
            assert client.get("/healthz").status_code == 200
            assert client.get(f"/api/v3/runs/{held.hold}").json()["status"] == "EXECUTING"
            held.end_meanwhile(let_go)
            while time.monotonic() < began + STALL_SECONDS:
                assert held.trigger(client) == 503
                threading.Event().wait(0.05)
        assert {answer.result() for answer in waiting} <= {200, 503}
        until("being ready", lambda: is_ready(client))
        held.server.process.wait_for_line("the state database takes changes again")
        assert held.trigger(client) == 200
    held.assert_nothing_lost()


def test_a_database_that_is_locked(
    server: RealServer, jobs: Path, let_go: LetGo, start_command: StartCommand
) -> None:
    server.environment.update(_SCALED)
    server.start()
    _endure_stall(Held(server, jobs), locked_database, let_go)
    assert_sound(start_command, server)


@pytest.mark.postgres
def test_a_database_that_stands_still(
    server: RealServer, jobs: Path, let_go: LetGo, postgres_cluster: Cluster
) -> None:
    """No error and no answer, as of a disk or a network that hangs: new work is refused at once."""
    with postgres_cluster.database() as url:
        server.environment.update(_SCALED, TRIGGER_LITE_DATABASE_URL=url)
        server.start()
        _endure_stall(Held(server, jobs), partial(stopped_database, url), let_go)
        assert "has taken no change for" in server.process.output
        assert server.process.stop() == 0
