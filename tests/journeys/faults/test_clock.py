"""The machine's clock is set ahead and back by an hour: nobody is taken for silent or waits for it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.journeys.faults.conftest import WriteTasks
from tests.support.machine_clock import MachineClock
from tests.support.real_server import RealServer

HOUR: Final = 3_600
_TASKS: Final = """
    @task
    def echo(payload):
        return payload

    @task(max_duration=1_800)
    def hold(payload):
        os.read(os.open("go", os.O_RDONLY), 1)
        return "held"
"""


@pytest.fixture
def jobs(write_tasks: WriteTasks) -> Path:
    return write_tasks(_TASKS)


@pytest.fixture
def let_go(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Let one run of `hold` go on."""
    os.mkfifo(tmp_path / "go")
    gate = os.open(tmp_path / "go", os.O_RDWR)
    yield lambda: (os.write(gate, b"x"), None)[1]
    os.close(gate)


@pytest.fixture
def machine(server: RealServer, machine_clock: MachineClock) -> MachineClock:
    """The clock of the server and of its workers; a worker may be silent for three seconds."""
    server.environment.update(machine_clock.environment, TRIGGER_LITE_RUN_TIMEOUT="3")
    server.start()
    return machine_clock


def is_executing(server: RealServer, machine: MachineClock, jobs: Path) -> str:
    """Start a worker of one child, and a run that keeps it busy."""
    server.start_worker(jobs, "--concurrency", "1", **machine.environment)
    run_id = server.trigger("hold")
    server.reaches(run_id, "EXECUTING")
    return run_id


def test_an_hour_ahead_what_is_due_starts_and_nobody_is_taken_for_silent(
    server: RealServer, machine: MachineClock, jobs: Path, let_go: Callable[[], None]
) -> None:
    """TR-10, HB-08: silence, and how long a run may take, are measured by a clock that nobody sets."""
    hold = is_executing(server, machine, jobs)
    soon, later = (server.trigger("echo", text, delay=text) for text in ("30m", "3h"))
    machine.set(HOUR)
    server.process.wait_for_line("the machine's clock was set ahead by 3600 s")
    server.reaches(soon, "QUEUED")
    assert server.run(later)["status"] == "DELAYED"
    assert server.run(hold)["status"] == "EXECUTING"
    let_go()
    held = server.finished(hold)
    assert (held["status"], held["attemptCount"]) == ("COMPLETED", 1)
    assert server.finished(soon)["output"] == "30m"
    assert server.finished(server.trigger("echo", "after"))["output"] == "after"


def test_an_hour_back_nobody_waits_for_it_to_come_again(
    server: RealServer, machine: MachineClock, jobs: Path, let_go: Callable[[], None]
) -> None:
    """TR-14, HB-08: neither a run that came meanwhile, nor one that executes, nor one that comes after."""
    machine.set(HOUR)
    server.process.wait_for_line("the machine's clock was set ahead by 3600 s")
    hold = is_executing(server, machine, jobs)
    waiting = server.trigger("echo", "waiting")
    machine.set(0)
    server.process.wait_for_line("the machine's clock was set back by 3600 s")
    after = server.trigger("echo", "after")
    assert server.run(hold)["status"] == "EXECUTING"
    let_go()
    held = server.finished(hold)
    assert (held["status"], held["attemptCount"]) == ("COMPLETED", 1)
    assert [server.finished(run_id)["output"] for run_id in (waiting, after)] == ["waiting", "after"]
    with server.client() as client:
        assert client.get("/readyz").status_code == 200
