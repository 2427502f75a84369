import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.answers import a_failure, a_page, a_result, a_run
from tests.support.edge import Edge, Reply, Request
from trigger_lite import (
    ApiError,
    BlockingCall,
    Client,
    DefinitionError,
    PayloadError,
    Queue,
    RunCanceled,
    RunFailed,
    RunHandle,
    UnknownOption,
    WaitTimeout,
    runs,
)
from trigger_lite.protocol.run_errors import BuiltInError, StringError


def test_a_run_is_fetched(edge: Edge) -> None:
    edge.on("GET", "/api/v3/runs/run_1", Reply(body=a_run(payload={"a": 1}, output=3, version="1")))
    run = runs.get("run_1")
    assert (run.id, run.status, run.payload, run.output, run.version) == (
        "run_1",
        "COMPLETED",
        {"a": 1},
        3,
        "1",
    )


def test_an_unknown_run_is_said_to_be(edge: Edge) -> None:
    edge.on("GET", "/api/v3/runs/.*", Reply(404, {"error": "Not found"}))
    with pytest.raises(ApiError, match="Not found") as caught:
        runs.get("run_2")
    assert caught.value.status == 404


def test_an_id_cannot_leave_its_place_in_the_path(edge: Edge) -> None:
    edge.on("GET", "/api/v3/runs/.*", Reply(body=a_run()))
    runs.get("../../x?y#z")
    assert edge.requests[0].path == "/api/v3/runs/..%2F..%2Fx%3Fy%23z"


def test_pages_follow_each_other_as_they_are_needed(edge: Edge) -> None:
    edge.on(
        "GET",
        "/api/v1/runs",
        a_page(a_run("run_3"), a_run("run_2"), following="c1"),
        a_page(a_run("run_1")),
    )
    listed = runs.list(status="COMPLETED")
    assert edge.requests == []
    assert next(listed).id == "run_3"
    assert len(edge.requests) == 1
    assert [run.id for run in listed] == ["run_2", "run_1"]
    assert [request.query.get("page[after]") for request in edge.requests] == [None, "c1"]
    assert {request.query["filter[status]"] for request in edge.requests} == {"COMPLETED"}


def test_an_empty_page_in_between_does_not_end_the_list(edge: Edge) -> None:
    edge.on("GET", "/api/v1/runs", a_page(following="c1"), a_page(a_run("run_1")))
    assert [run.id for run in runs.list()] == ["run_1"]


def test_each_filter_has_its_form_on_the_wire(edge: Edge) -> None:
    edge.on("GET", "/api/v1/runs", a_page())
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    filters = {
        "status": ["QUEUED", "EXECUTING"],
        "task": "resize",
        "tag": ["a", "b"],
        "version": "20300101.1",
        "queue": ["task/resize", "slow"],
        "machine": "micro",
        "batch": "batch_1",
        "schedule": "sched_1",
        "bulk_action": "bulk_1",
        "since": moment,
        "until": moment + timedelta(seconds=1),
        "period": "1d",
        "test": False,
    }
    assert list(runs.list(**filters)) == []  # type: ignore[arg-type]
    assert edge.requests[0].query == {
        "filter[status]": "QUEUED,EXECUTING",
        "filter[taskIdentifier]": "resize",
        "filter[tag]": "a,b",
        "filter[version]": "20300101.1",
        "filter[queue]": "task/resize,slow",
        "filter[machine]": "micro",
        "filter[batch]": "batch_1",
        "filter[schedule]": "sched_1",
        "filter[bulkAction]": "bulk_1",
        "filter[createdAt][from]": "1893456000000",
        "filter[createdAt][to]": "1893456001000",
        "filter[createdAt][period]": "1d",
        "filter[isTest]": "false",
        "page[size]": "50",
    }


def test_a_replay_changes_what_is_named(edge: Edge) -> None:
    """CN-11: everything else stays as it was, and is not sent."""
    edge.on("POST", "/api/v1/runs/run_1/replay", Reply(body={"id": "run_2"}))
    runs.replay("run_1", payload={"a": 1}, version="20300101.1", machine="large-1x")
    runs.replay(
        "run_1",
        delay="1h",
        ttl="2h",
        tags=["a"],
        key="org_7",
        idempotency_key="0" * 64,
        idempotency_key_ttl="1d",
        queue=Queue("slow"),
        priority=5,
        max_attempts=2,
        max_duration="1h",
        metadata={"n": 1},
    )
    assert [request.body for request in edge.requests] == [
        {
            "payload": {"a": 1},
            "payloadType": "application/json",
            "version": "20300101.1",
            "machine": "large-1x",
        },
        {
            "delay": "1h",
            "ttl": 7200,
            "tags": ["a"],
            "concurrencyKey": "org_7",
            "idempotencyKey": "0" * 64,
            "idempotencyKeyTTL": "86400s",
            "queue": "slow",
            "priority": 5.0,
            "maxAttempts": 2,
            "maxDuration": 3600.0,
            "metadata": {"n": 1},
        },
    ]


def test_a_wrong_option_of_a_replay_is_named(edge: Edge) -> None:
    with pytest.raises(UnknownOption, match="replay of run_1 has no option 'machin'; did you mean 'machine'"):
        runs.replay("run_1", machin="micro")  # type: ignore[call-arg]
    with pytest.raises(DefinitionError, match="replay of run_1: there is no machine 'huge'"):
        runs.replay("run_1", machine="huge")
    assert edge.requests == []


def test_a_delayed_run_is_rescheduled(edge: Edge, client: Client) -> None:
    """CN-09: by a duration or an aware time, from runs and from a handle."""
    edge.on("POST", "/api/v1/runs/run_1/reschedule", Reply(body=a_run(status="DELAYED")))
    assert runs.reschedule("run_1", "2h").status == "DELAYED"
    runs.reschedule("run_1", datetime(2030, 1, 1, tzinfo=UTC))
    handle: RunHandle[Any] = RunHandle("run_1", lambda: client, task="resize")
    handle.reschedule(90)
    asyncio.run(handle.aio.reschedule("1d"))
    sent = [request.body["delay"] for request in edge.requests]
    assert sent == ["2h", "2030-01-01T00:00:00.000Z", "1m30s", "1d"]
    with pytest.raises(DefinitionError, match=r"runs\.reschedule: delay: 'soon'"):
        runs.reschedule("run_1", "soon")


def test_a_wrong_filter_is_named(edge: Edge) -> None:
    with pytest.raises(UnknownOption, match="has no option 'statsu'; did you mean 'status'"):
        runs.list(statsu="QUEUED")  # type: ignore[call-arg]
    with pytest.raises(DefinitionError, match=r"since: .* has no time zone"):
        runs.list(since=datetime(2030, 1, 1))  # noqa: DTZ001 - that is the mistake
    assert edge.requests == []


def test_waiting_asks_again_until_the_run_is_over(edge: Edge) -> None:
    edge.on(
        "GET",
        "/api/v1/runs/run_1/wait",
        Reply(body=a_run(status="QUEUED", updatedAt="2030-01-01T00:00:01.000Z")),
        Reply(body=a_run(status="EXECUTING", updatedAt="2030-01-01T00:00:02.000Z")),
        Reply(body=a_run()),
    )
    assert runs.wait("run_1").status == "COMPLETED"
    assert [request.query for request in edge.requests] == [
        {"seconds": "25"},
        {"seconds": "25", "since": "2030-01-01T00:00:01.000Z"},
        {"seconds": "25", "since": "2030-01-01T00:00:02.000Z"},
    ]


def test_waiting_ends_in_time_and_the_run_goes_on(edge: Edge) -> None:
    edge.on("GET", "/api/v1/runs/run_1/wait", Reply(body=a_run(status="EXECUTING")))
    with pytest.raises(WaitTimeout, match=r"run_1 did not finish within 0.05; it goes on"):
        runs.wait("run_1", timeout=0.05)
    assert all(float(request.query["seconds"]) <= 0.05 for request in edge.requests)


def test_a_result_is_what_the_task_returned(edge: Edge) -> None:
    edge.on("GET", "/api/v1/runs/run_1/wait", Reply(body=a_run()))
    edge.on("GET", "/api/v1/runs/run_1/result", a_result('{"a":[1]}'))
    assert runs.result("run_1") == {"a": [1]}
    edge.on("GET", "/api/v1/runs/run_1/result", a_result("plain", "text/plain"))
    assert runs.result("run_1") == "plain"
    edge.on("GET", "/api/v1/runs/run_1/result", a_result('{"json":3}', "application/super+json"))
    assert runs.result("run_1") == 3
    edge.on("GET", "/api/v1/runs/run_1/result", a_result())
    assert runs.result("run_1") is None


def test_a_failed_run_raises_its_error(edge: Edge) -> None:
    edge.on("GET", "/api/v1/runs/run_1/wait", Reply(body=a_run(status="FAILED")))
    edge.on("GET", "/api/v3/runs/run_1", Reply(body=a_run(status="FAILED")))
    edge.on(
        "GET",
        "/api/v1/runs/run_1/result",
        a_failure(type="BUILT_IN_ERROR", name="ValueError", message="bad", stackTrace="Traceback…"),
    )
    with pytest.raises(RunFailed, match="resize run_1 ended FAILED: ValueError: bad") as caught:
        runs.result("run_1")
    assert caught.value.error == BuiltInError("ValueError", "bad", "Traceback…")
    assert (caught.value.run_id, caught.value.task, caught.value.status) == ("run_1", "resize", "FAILED")


def test_a_cancelled_run_raises_that(edge: Edge) -> None:
    edge.on("GET", "/api/v1/runs/run_1/wait", Reply(body=a_run(status="CANCELED")))
    edge.on("GET", "/api/v3/runs/run_1", Reply(body=a_run(status="CANCELED")))
    edge.on("GET", "/api/v1/runs/run_1/result", a_failure(type="STRING_ERROR", raw="Cancelled by user"))
    with pytest.raises(RunCanceled, match="ended CANCELED: Cancelled by user") as caught:
        runs.result("run_1")
    assert caught.value.error == StringError("Cancelled by user")


def test_a_run_is_cancelled(edge: Edge) -> None:
    edge.on("POST", "/api/v2/runs/run_1/cancel", Reply(body={"id": "run_1"}))
    runs.cancel("run_1")
    assert len(edge.requests) == 1


def test_a_run_is_replayed_as_it_was_or_with_another_payload(edge: Edge) -> None:
    edge.on("POST", "/api/v1/runs/run_1/replay", Reply(body={"id": "run_2"}))
    assert runs.replay("run_1").id == "run_2"
    assert runs.replay("run_1", payload=None).id == "run_2"
    assert runs.replay("run_1", payload={"a": 1}).id == "run_2"
    assert [request.body for request in edge.requests] == [
        {},
        {"payload": None, "payloadType": "application/json"},
        {"payload": {"a": 1}, "payloadType": "application/json"},
    ]
    with pytest.raises(PayloadError, match="replay of run_1: a value of type `object`"):
        runs.replay("run_1", payload=object())


def a_line(seq: int) -> dict[str, Any]:
    return {"seq": seq, "at": 0, "level": "INFO", "source": "stdout", "message": f"line {seq}", "attempt": 1}


def log_pages(request: Request) -> Reply:
    """Three lines, one a page; the run is over when the third is there."""
    after = int(request.query["after"])
    lines = [a_line(after + 1)] if after < 3 else []
    body = {"lines": lines, "next": after + len(lines), "finished": after >= 2}
    return Reply(body=body)


def test_log_lines_are_read_up_to_now(edge: Edge) -> None:
    edge.on("GET", "/api/v1/runs/run_1/logs", log_pages)
    assert [line.message for line in runs.logs("run_1")] == ["line 1", "line 2", "line 3"]
    assert {request.query["wait"] for request in edge.requests} == {"0"}


def test_log_lines_are_followed_until_the_run_is_over(edge: Edge) -> None:
    empty = Reply(body={"lines": [], "next": 0, "finished": False})
    edge.on("GET", "/api/v1/runs/run_1/logs", empty, empty, log_pages)
    assert [line.seq for line in runs.follow_logs("run_1")] == [1, 2, 3]
    assert [request.query["wait"] for request in edge.requests] == ["0", "25", "25", "25", "25", "25"]


def test_an_answer_that_cannot_be_read_is_an_error(edge: Edge) -> None:
    edge.on("GET", "/api/v3/runs/run_1", Reply(body=b"<html>"))
    with pytest.raises(ApiError, match="the answer to GET /api/v3/runs/run_1 cannot be read"):
        runs.get("run_1")


def test_a_client_has_runs_of_its_own(edge: Edge, client: Client) -> None:
    edge.on("GET", "/api/v3/runs/run_1", Reply(body=a_run()))
    assert client.runs.get("run_1").id == "run_1"


# ---- the same for async code ---------------------------------------------------------------------------


async def test_every_async_twin_does_what_its_blocking_form_does(edge: Edge) -> None:
    edge.on("GET", "/api/v3/runs/run_1", Reply(body=a_run()))
    edge.on("GET", "/api/v1/runs", a_page(a_run("run_2"), following="c"), a_page(a_run("run_1")))
    edge.on("GET", "/api/v1/runs/run_1/wait", Reply(body=a_run(status="QUEUED")), Reply(body=a_run()))
    edge.on("GET", "/api/v1/runs/run_1/result", a_result("7"))
    edge.on("POST", "/api/v2/runs/run_1/cancel", Reply(body={"id": "run_1"}))
    edge.on("POST", "/api/v1/runs/run_1/replay", Reply(body={"id": "run_2"}))
    edge.on("GET", "/api/v1/runs/run_1/logs", log_pages)
    assert (await runs.aio.get("run_1")).id == "run_1"
    assert [run.id async for run in runs.aio.list(task="resize")] == ["run_2", "run_1"]
    assert (await runs.aio.wait("run_1")).status == "COMPLETED"
    assert await runs.aio.result("run_1") == 7
    await runs.aio.cancel("run_1")
    assert (await runs.aio.replay("run_1", payload=3)).id == "run_2"
    assert [line.seq async for line in runs.aio.logs("run_1")] == [1, 2, 3]
    assert [line.seq async for line in runs.aio.follow_logs("run_1")] == [1, 2, 3]
    assert edge.requests[-9].method in ("GET", "POST")


def test_every_public_verb_has_an_async_twin() -> None:
    internal = {"pages", "poll", "finished_result", "log_page", "aio"}
    verbs = {name for name in dir(runs) if not name.startswith("_")} - internal
    assert verbs <= set(dir(runs.aio))


async def test_async_waiting_ends_in_time(edge: Edge) -> None:
    edge.on("GET", "/api/v1/runs/run_1/wait", Reply(body=a_run(status="EXECUTING")))
    with pytest.raises(WaitTimeout):
        await runs.aio.wait("run_1", timeout=0.05)


async def test_waits_do_not_wait_for_each_other_or_hold_up_the_loop(edge: Edge) -> None:
    everybody = threading.Barrier(40)

    def together(request: Request) -> Reply:
        everybody.wait(20)
        return Reply(body=a_run())

    edge.on("GET", "/api/v1/runs/.*/wait", together)
    waited = await asyncio.gather(*(runs.aio.wait(f"run_{n}") for n in range(40)))
    assert all(run.is_success for run in waited)


async def test_a_blocking_call_inside_a_loop_names_the_other(edge: Edge) -> None:
    calls: dict[str, Callable[[], object]] = {
        "await runs.aio.get(…)": lambda: runs.get("x"),
        "async for run in runs.aio.list(…)": lambda: runs.list(),
        "await ….aio.wait(…)": lambda: runs.wait("x"),
        "await runs.aio.cancel(…)": lambda: runs.cancel("x"),
        "await runs.aio.replay(…)": lambda: runs.replay("x"),
        "async for line in runs.aio.logs(…)": lambda: runs.logs("x"),
        "async for line in runs.aio.follow_logs(…)": lambda: runs.follow_logs("x"),
    }
    for instead, call in calls.items():
        with pytest.raises(BlockingCall) as caught:
            call()
        assert f"write `{instead}`" in str(caught.value)
    assert edge.requests == []
