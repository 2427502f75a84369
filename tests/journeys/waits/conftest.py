"""A real server, and tasks that wait."""

from pathlib import Path
from typing import Final

import pytest

from tests.support.processes import StartCommand
from tests.support.real_server import RealServer

TASKS: Final = """\
import os
import time
from datetime import UTC, datetime, timedelta

from trigger_lite import Ctx, Err, Ok, Retry, queue, task, tokens, wait

one_at_a_time = queue("one-at-a-time", concurrency=1)


@task(max_duration=5)
def nap(duration: str) -> float:
    print("asleep in", os.getpid(), flush=True)
    began = time.monotonic()
    wait.for_(duration)
    return time.monotonic() - began


@task
async def nap_until(seconds: float) -> str:
    await wait.aio.until(datetime.now(UTC) + timedelta(seconds=seconds))
    return "rested"


@task
def tidy(duration: str) -> None:
    print("asleep in", os.getpid(), flush=True)
    try:
        wait.for_(duration)
    finally:
        print("tidied up", flush=True)


@task
def approve(timeout: str) -> str:
    token = tokens.create(timeout=timeout, tags="approval", type=dict[str, str])
    match wait.for_token(token):
        case Ok(answer):
            return f"yes, by {answer['by']}"
        case Err(error):
            return type(error).__name__


@task
def approve_later(path: str) -> str:
    token = tokens.create(type=str)
    while not os.path.exists(path):
        time.sleep(0.01)
    return wait.for_token(token).unwrap()


@task
def double(number: int) -> int:
    return 2 * number


@task(retry=Retry(1))
def broken(number: int) -> int:
    raise ValueError(f"{number} is no number")


@task
def sleepy(number: int) -> int:
    wait.for_("1h")
    return number


@task
def parent(number: int, child: str = "double") -> str:
    match {"double": double, "broken": broken, "sleepy": sleepy}[child].trigger_and_wait(number):
        case Ok(output):
            return f"{output} in {os.getpid()}"
        case Err(error):
            return f"{error.task} {error.cause.status}: {error}"


@task(queue=one_at_a_time)
def inner() -> str:
    return "inner"


@task(queue=one_at_a_time)
def outer() -> str:
    return "outer and " + inner.trigger_and_wait().unwrap()


@task
def three_levels(depth: int) -> int:
    return 1 if depth == 0 else 1 + three_levels.trigger_and_wait(depth - 1).unwrap()
"""


class WaitingServer(RealServer):
    """A server whose runs wait."""

    def waits(self, run_id: str) -> None:
        """Wait until a run waits for something."""
        self.until(run_id, lambda _: self._reason(run_id) == "WAITPOINT")

    def process_of(self, run_id: str) -> int:
        """Return the process that a run printed, once the run waits in it."""
        self.waits(run_id)
        with self.client() as client:
            page = client.get(f"/api/v1/runs/{run_id}/logs", params={"after": 0, "wait": 20}).json()
        line: str = page["lines"][0]["message"]
        assert line.startswith("asleep in ")
        return int(line.rpartition(" ")[2])

    def cancel(self, run_id: str) -> None:
        """Ask a run to stop."""
        with self.client() as client:
            assert client.post(f"/api/v2/runs/{run_id}/cancel").status_code == 200

    def _reason(self, run_id: str) -> str | None:
        reason: str | None = self.run(run_id).get("waitingFor", {}).get("reason")
        return reason


@pytest.fixture
def server(start_command: StartCommand, tmp_path: Path, free_port: int) -> WaitingServer:
    """A server that is not started yet."""
    return WaitingServer(start_command, tmp_path, free_port)


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """The folder with tasks that wait."""
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "tasks.py").write_text(TASKS)
    return folder
