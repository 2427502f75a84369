"""Workers and servers that are killed or stopped at the worst moment: nothing is lost, nothing runs twice."""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.journeys.faults.conftest import WriteTasks
from tests.support.processes import wait_until_ended
from tests.support.real_server import RealServer

_TASKS: Final = """
    @task
    def echo(payload):
        return payload

    @task
    def hold(payload):
        with open("executions", "a") as file:
            file.write(f"{os.getpid()}\\n")
        os.read(os.open("go", os.O_RDONLY), 1)
        return "held"
"""
_CLIENTS: Final = 16
_TRIGGERS: Final = 200


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


def executions(folder: Path) -> list[int]:
    """Return the processes in which `hold` was executed, one for each time."""
    return [int(line) for line in (folder / "executions").read_text().split()]


# --- workers -----------------------------------------------------------------------------------------------


def test_a_run_whose_worker_was_killed_is_made_again_by_another(
    server: RealServer, jobs: Path, tmp_path: Path, let_go: Callable[[], None]
) -> None:
    server.environment["TRIGGER_LITE_RUN_TIMEOUT"] = "2"
    server.start()
    first = server.start_worker(jobs)
    run_id = server.trigger("hold", {})
    server.until(run_id, lambda run: run["status"] == "EXECUTING" and _has(tmp_path / "executions"))
    first.kill()
    server.start_worker(jobs)
    server.until(run_id, lambda run: run["attemptCount"] == 2)
    let_go()
    run = server.finished(run_id)
    assert (run["status"], run["output"], run["attemptCount"]) == ("COMPLETED", "held", 2)
    (lost, _) = executions(tmp_path)
    wait_until_ended(lost)
    first.assert_nothing_left()


def test_the_worker_beside_a_server_is_started_again_when_it_is_killed(
    server: RealServer, jobs: Path, tmp_path: Path, let_go: Callable[[], None]
) -> None:
    server.environment["TRIGGER_LITE_RUN_TIMEOUT"] = "2"
    server.start(jobs)
    server.process.wait_for_line("connected; waiting for runs")
    run_id = server.trigger("hold", {})
    server.until(run_id, lambda run: run["status"] == "EXECUTING" and _has(tmp_path / "executions"))
    os.kill(_worker_of(server), signal.SIGKILL)
    server.process.wait_for_line(r"The worker ended by SIGKILL; it is started again in")
    server.until(run_id, lambda run: run["attemptCount"] == 2)
    let_go()
    assert server.finished(run_id)["output"] == "held"
    assert server.process.stop() == 0


def test_a_worker_that_is_stopped_finishes_its_run_and_hands_back_the_others(
    server: RealServer, jobs: Path, tmp_path: Path, let_go: Callable[[], None]
) -> None:
    server.start()
    worker = server.start_worker(jobs, "--concurrency", "1")
    run_ids = [server.trigger("hold", number) for number in range(3)]
    server.until(run_ids[0], lambda _: _has(tmp_path / "executions"))
    worker.send(signal.SIGTERM)
    worker.wait_for_line("stopping: 1 run may finish within 30s;")
    let_go()
    assert server.finished(run_ids[0])["attemptCount"] == 1
    assert worker.wait_for_exit() == 0
    assert [server.run(run_id)["status"] for run_id in run_ids[1:]] == ["QUEUED", "QUEUED"]
    server.start_worker(jobs, "--concurrency", "1")
    let_go()
    let_go()
    assert [server.finished(run_id)["attemptCount"] for run_id in run_ids[1:]] == [1, 1]


# --- the server ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends_while_away", [True, False])
def test_a_run_is_made_once_when_the_server_is_killed_meanwhile(
    server: RealServer, jobs: Path, tmp_path: Path, let_go: Callable[[], None], ends_while_away: bool
) -> None:
    server.start()
    worker = server.start_worker(jobs)
    run_id = server.trigger("hold", {})
    server.until(run_id, lambda _: _has(tmp_path / "executions"))
    server.process.kill()
    if ends_while_away:
        let_go()
        worker.wait_for_line(r"✓ hold\S* completed")
    server.start()
    if not ends_while_away:
        worker.wait_for_line("connected again")
        let_go()
    run = server.finished(run_id)
    assert (run["status"], run["output"], run["attemptCount"]) == ("COMPLETED", "held", 1)
    assert len(executions(tmp_path)) == 1
    assert server.finished(server.trigger("echo", "after"))["output"] == "after"


def test_the_worker_beside_a_server_that_was_killed_ends(server: RealServer, jobs: Path) -> None:
    server.start(jobs)
    server.process.wait_for_line("connected; waiting for runs")
    worker = _worker_of(server)
    server.process.kill()
    server.process.wait_for_output_end()
    wait_until_ended(worker)
    server.process.assert_nothing_left()
    server.start(jobs)
    assert server.finished(server.trigger("echo", "again"))["output"] == "again"


def test_a_killed_server_has_every_run_that_it_answered_for_once(server: RealServer, jobs: Path) -> None:
    server.start()
    keys = [f"request-{number}" for number in range(_TRIGGERS)]
    answered = _trigger_many(server, keys, server.process.kill)
    assert 0 < len(answered) < _TRIGGERS, "the server was to be killed before all were answered"
    server.start()
    after = _trigger_many(server, keys, lambda: None)
    assert {key: after[key] for key in answered} == answered
    assert sorted(_listed(server)) == sorted(after.values())
    server.start_worker(jobs)
    assert {server.finished(run_id)["output"] for run_id in after.values()} == set(keys)


def test_a_server_that_is_stopped_under_load_loses_nothing(server: RealServer, jobs: Path) -> None:
    server.start()
    worker = server.start_worker(jobs, "--quiet")
    keys = [f"request-{number}" for number in range(_TRIGGERS)]
    answered = _trigger_many(server, keys, lambda: _stop(server))
    assert answered
    server.start()
    worker.wait_for_line("connected again")
    runs = [server.finished(run_id) for run_id in answered.values()]
    assert {(run["status"], run["attemptCount"]) for run in runs} == {("COMPLETED", 1)}
    assert set(answered.values()) <= set(_listed(server))


def _stop(server: RealServer) -> None:
    """Stop the server as an operator does; it says nothing of what it cut short."""
    printed = len(server.process.lines)
    assert server.process.stop() == 0
    assert server.process.lines[printed:] == ()


def _trigger_many(server: RealServer, keys: Sequence[str], meanwhile: Callable[[], None]) -> dict[str, str]:
    """Trigger once for each key; `meanwhile` is called after a quarter. Returns what was answered."""
    enough = threading.Semaphore(0)

    def trigger(client: httpx.Client, key: str) -> str | None:
        headers = {"x-trigger-request-idempotency-key": key}
        try:
            answer = client.post("/api/v1/tasks/echo/trigger", json={"payload": key}, headers=headers)
        except httpx.TransportError:
            return None
        finally:
            enough.release()
        return str(answer.json()["id"]) if answer.status_code == 200 else None

    with server.client() as client, ThreadPoolExecutor(_CLIENTS) as threads:
        answers = {key: threads.submit(trigger, client, key) for key in keys}
        for _ in range(len(keys) // 4):
            assert enough.acquire(timeout=20)
        meanwhile()
        return {key: found for key, answer in answers.items() if (found := answer.result()) is not None}


def _listed(server: RealServer) -> list[str]:
    """Return the ids of all runs there are."""
    found: list[str] = []
    query = {"page[size]": "100"}
    with server.client() as client:
        while True:
            page = client.get("/api/v1/runs", params=query).json()
            found += [run["id"] for run in page["data"]]
            if "next" not in page["pagination"]:
                return found
            query["page[after]"] = page["pagination"]["next"]


def _worker_of(server: RealServer) -> int:
    """Return the process id of the worker that a server started beside itself."""
    found = [
        pid
        for pid in server.process.descendants()
        if re.search(rb"trigger_lite\0worker\0", Path(f"/proc/{pid}/cmdline").read_bytes())
        and int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == server.process.pid
    ]
    (worker,) = found
    return worker


def _has(path: Path) -> bool:
    return path.exists() and bool(path.read_text())
