"""Bulk actions as Python code asks for them."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.edge import Edge, Reply
from trigger_lite import ApiError, BlockingCall, DefinitionError, UnknownOption, WaitTimeout, runs
from trigger_lite.protocol.bulk_actions import BulkAction

_PATH = "/api/v1/bulk-actions"


def an_action(bulk_id: str = "bulk_1", status: str = "COMPLETED", success: int = 2) -> dict[str, Any]:
    counts = {"total": 2, "success": success, "failure": 0}
    created = {"createdAt": "2030-01-01T00:00:00.000Z"}
    return {"id": bulk_id, "type": "CANCEL", "status": status, "counts": counts, **created}


def _answer(edge: Edge) -> None:
    edge.on("POST", _PATH, Reply(202, {"id": "bulk_1"}))
    edge.on("GET", f"{_PATH}/bulk_1", Reply(body=an_action(status="PENDING", success=0)))


def test_runs_of_a_filter_are_cancelled(edge: Edge) -> None:
    """CN-14: each filter in its form; what comes back is the action as it begins."""
    _answer(edge)
    action = runs.bulk.cancel(
        name="clean up",
        status=["QUEUED", "DELAYED"],
        task="resize",
        tag=["a,b", "c"],
        queue="task/resize",
        machine="micro",
        version="20300101.1",
        batch="batch_1",
        schedule="sched_1",
        bulk_action="bulk_0",
        since=datetime(2030, 1, 1, tzinfo=UTC),
        period="1d",
        test=False,
    )
    assert (action.id, action.status, action.counts.total) == ("bulk_1", "PENDING", 2)
    assert edge.requests[0].body == {
        "action": "cancel",
        "name": "clean up",
        "filter": {
            "status": ["QUEUED", "DELAYED"],
            "taskIdentifier": ["resize"],
            "tag": ["a,b", "c"],
            "queue": ["task/resize"],
            "machine": ["micro"],
            "version": ["20300101.1"],
            "batch": "batch_1",
            "schedule": "sched_1",
            "bulkAction": "bulk_0",
            "from": 1893456000000,
            "period": "1d",
            "isTest": False,
        },
    }


def test_named_runs_are_replayed(edge: Edge) -> None:
    """CN-14: the ids as they are."""
    _answer(edge)
    runs.bulk.replay(["run_1", "run_2"])
    assert edge.requests[0].body == {"action": "replay", "runIds": ["run_1", "run_2"]}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: runs.bulk.cancel(), DefinitionError, "give either the ids of runs or a filter"),
        (lambda: runs.bulk.replay(["run_1"], task="a"), DefinitionError, "runs.bulk.replay: give either"),
        (
            lambda: runs.bulk.cancel(taks="a"),  # type: ignore[call-arg]
            UnknownOption,
            "no option 'taks'; did you mean 'task'",
        ),
        (
            lambda: runs.bulk.cancel(since=datetime(2030, 1, 1)),  # noqa: DTZ001 - that is the mistake
            DefinitionError,
            "since: .* has no time zone",
        ),
    ],
)
def test_what_means_no_runs_is_not_sent(
    edge: Edge, call: Callable[[], BulkAction], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()
    assert edge.requests == []


def test_a_refusal_says_why(edge: Edge) -> None:
    """CN-14: a fourth replay at a time is not tried again."""
    refused = Reply(429, {"error": "Only 3 bulk replays at a time"}, {"x-should-retry": "false"})
    edge.on("POST", _PATH, refused)
    with pytest.raises(ApiError, match="Only 3 bulk replays"):
        runs.bulk.replay(status="FAILED")
    assert len(edge.requests) == 1


def test_polling_ends_when_the_action_does(edge: Edge) -> None:
    edge.on("GET", f"{_PATH}/bulk_1", Reply(body=an_action(status="PENDING")), Reply(body=an_action()))
    assert runs.bulk.wait("bulk_1", interval=0).counts.success == 2
    assert len(edge.requests) == 2


def test_polling_gives_up_after_its_time(edge: Edge) -> None:
    edge.on("GET", f"{_PATH}/bulk_1", Reply(body=an_action(status="PENDING")))
    with pytest.raises(WaitTimeout, match="bulk_1 was not through within 0; it goes on"):
        runs.bulk.wait("bulk_1", timeout=0, interval=0)


def test_actions_are_listed_page_by_page(edge: Edge) -> None:
    def page(*ids: str, following: str | None = None) -> Reply:
        pagination = {"next": following} if following else {}
        return Reply(body={"data": [an_action(one) for one in ids], "pagination": pagination})

    edge.on("GET", _PATH, page("bulk_3", "bulk_2", following="c1"), page("bulk_1"))
    assert [action.id for action in runs.bulk.list()] == ["bulk_3", "bulk_2", "bulk_1"]
    assert edge.requests[1].query["page[after]"] == "c1"


def test_an_action_is_aborted(edge: Edge) -> None:
    edge.on("POST", f"{_PATH}/bulk_1/abort", Reply(body={"id": "bulk_1"}))
    runs.bulk.abort("bulk_1")
    assert edge.requests[0].path == f"{_PATH}/bulk_1/abort"


def test_the_async_forms_do_the_same(edge: Edge) -> None:
    _answer(edge)
    edge.on("GET", f"{_PATH}/bulk_2", Reply(body=an_action("bulk_2")))
    edge.on("GET", _PATH, Reply(body={"data": [an_action("bulk_2")], "pagination": {}}))
    edge.on("POST", f"{_PATH}/bulk_2/abort", Reply(body={"id": "bulk_2"}))

    async def everything() -> list[str]:
        bulk = runs.bulk.aio
        made = [await bulk.cancel(["run_1"]), await bulk.replay(status="FAILED")]
        made += [await bulk.get("bulk_2"), await bulk.wait("bulk_2")]
        made += [action async for action in bulk.list()]
        await bulk.abort("bulk_2")
        return [action.id for action in made]

    assert asyncio.run(everything()) == ["bulk_1", "bulk_1", "bulk_2", "bulk_2", "bulk_2"]


def test_a_blocking_call_in_an_event_loop_says_what_to_write() -> None:
    async def handler() -> None:
        runs.bulk.cancel(status="QUEUED")

    with pytest.raises(BlockingCall, match=r"await runs\.bulk\.aio\.cancel"):
        asyncio.run(handler())
