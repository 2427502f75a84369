"""Queues as users meet them: rates in the code, a pause, a limit, a full queue, a server that restarts."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from tests.journeys.served import Served
from tests.support.processes import Process, trigger_lite_command
from trigger_lite import Client, QueueFull
from trigger_lite.protocol.runs import RunDetail

LATE_MS: Final = 150
TASKS: Final = """\
import time

from trigger_lite import Rate, queue, task


@task(queue=queue("steady", rate="20/s"))
def steady(number: int) -> float:
    return time.time()


@task(queue=queue("per-key", per_key_rate=Rate(10, per="1s", burst=2)))
def keyed(number: int) -> float:
    return time.time()


@task(queue=queue("narrow", concurrency=1, max_length=2))
def narrow(seconds: float) -> None:
    time.sleep(seconds)


@task
def plain(number: int) -> int:
    return number
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`trigger-lite serve jobs` with queues of every kind."""
    folder = tmp_path_factory.mktemp("queues")
    (folder / "jobs").mkdir()
    (folder / "jobs/tasks.py").write_text(TASKS)
    with Process([*trigger_lite_command(), "serve", "jobs", "--port", "0"], directory=folder) as process:
        process.wait_for_line("waiting for runs")
        yield Served(folder, process)
        assert process.stop() == 0
        assert "Traceback" not in process.output


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with _client(served) as made:
        yield made


def _refuse_too_many(starts: list[float], *, per_second: int, burst: int) -> None:
    """What counts is when runs are handed to their worker; their code begins a little later."""
    for first, last in ((a, b) for a in range(len(starts)) for b in range(a, len(starts))):
        span = starts[last] - starts[first] + LATE_MS
        assert last - first + 1 <= burst + per_second * span / 1000


def _starts(runs: list[RunDetail]) -> list[float]:
    """When the code of the runs began, in ms."""
    started = [datetime.fromisoformat(run.started_at or "").timestamp() * 1000 for run in runs]
    return sorted(round(at, 3) for at in started)


def _finish(client: Client, task: str, keys: list[str | None]) -> list[RunDetail]:
    options: list[dict[str, Any]] = [{} if key is None else {"key": key} for key in keys]
    handles = [client.trigger(task, {"number": number}, **given) for number, given in enumerate(options)]
    return [client.runs.wait(handle.id, timeout="30s") for handle in handles]


def test_runs_of_a_rated_queue_start_as_its_rate_says(client: Client) -> None:
    """Twenty a second, two at once: thirty take no less than 1.4 seconds, and not much more."""
    starts = _starts(_finish(client, "steady", [None] * 30))
    _refuse_too_many(starts, per_second=20, burst=2)
    assert 1_400 - LATE_MS <= starts[-1] - starts[0] < 5_000


def test_each_key_has_its_own_rate(client: Client) -> None:
    runs = _finish(client, "keyed", ["a", "b"] * 6)
    for parity in (0, 1):
        _refuse_too_many(_starts(runs[parity::2]), per_second=10, burst=2)


def test_a_paused_queue_says_so_and_goes_on_when_resumed(served: Served, client: Client) -> None:
    assert "plain is paused: 0 running" in served.run("queues", "pause", "task/plain").text
    handle = client.trigger("plain", {"number": 7})
    waiting = client.runs.get(handle.id).waiting_for
    assert waiting is not None
    assert (waiting.reason, waiting.position) == ("QUEUE_PAUSED", 1)
    assert "is paused, next in line" in served.run("runs", "get", handle.id).text
    assert re.search(r"task/plain +0 +1 .*paused", served.run("queues", "list").text)
    client.queues.resume("task/plain")
    assert handle.result(timeout="20s") == 7


def test_a_full_queue_refuses_and_has_room_again(served: Served, client: Client) -> None:
    first = client.trigger("narrow", {"seconds": 1.5})
    _until_running(client, first.id)
    waiting = [client.trigger("narrow", {"seconds": 0}) for _ in range(2)]
    with pytest.raises(QueueFull, match="'narrow' is full"):
        client.trigger("narrow", {"seconds": 0})
    refused = served.run("trigger", "narrow", '{"seconds": 0}')
    assert refused.code == 2 and "'narrow' is full" in refused.text
    for handle in [first, *waiting]:
        client.runs.wait(handle.id, timeout="20s")
    client.trigger("narrow", {"seconds": 0}).result(timeout="20s")


def test_a_limit_is_overridden_until_it_is_reset(served: Served, client: Client) -> None:
    assert "narrow runs at most 3 at once" in served.run("queues", "limit", "narrow", "3").text
    handles = [client.trigger("narrow", {"seconds": 1.5}) for _ in range(2)]
    for handle in handles:
        _until_running(client, handle.id)
    assert client.queues.get("narrow").running == 2
    assert client.queues.reset("narrow").concurrency_limit == 1


def _until_running(client: Client, run_id: str) -> None:
    deadline = time.monotonic() + 20
    run = client.runs.get(run_id)
    while not run.is_executing:
        assert time.monotonic() < deadline and not run.is_completed, run.status
        run = client.runs.poll(run_id, 5, run.updated_at)


@contextmanager
def _client(served: Served) -> Iterator[Client]:
    made = Client(served.local.url, served.local.keys["prod"])
    yield made
    made.close()


def test_a_rate_outlives_the_server(tmp_path: Path) -> None:
    """The bucket stands in the database: a restart starts nothing that was not due."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/tasks.py").write_text(
        'from trigger_lite import queue, task\n\n\n@task(queue=queue("slow", rate="1/h"))\n'
        "def slow(number: int) -> int:\n    return number\n"
    )
    command = [*trigger_lite_command(), "serve", "jobs", "--port", "0"]
    with Process(command, directory=tmp_path) as process:
        process.wait_for_line("waiting for runs")
        served = Served(tmp_path, process)
        with _client(served) as client:
            handles = [client.trigger("slow", {"number": number}) for number in (1, 2)]
            assert handles[0].result(timeout="20s") == 1
        process.kill()
    with Process(command, directory=tmp_path) as process:
        process.wait_for_line("waiting for runs")
        with _client(served) as client:
            waiting = client.runs.get(handles[1].id).waiting_for
            assert waiting is not None
            assert (waiting.reason, waiting.text[:35]) == (
                "QUEUE_RATE",
                "queued: slow starts 1/h, the next i",
            )
            client.queues.pause("slow")
        assert process.stop() == 0
