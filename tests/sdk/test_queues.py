import asyncio
from datetime import UTC, datetime

import pytest

from tests.support.answers import a_queue, a_queue_page
from tests.support.edge import Edge, Reply
from trigger_lite import (
    ApiError,
    BlockingCall,
    Client,
    DefinitionError,
    Queue,
    QueueFull,
    queue,
    queues,
    task,
)


@task
def resize(url: str) -> None: ...


def test_a_queue_is_fetched_by_its_name(edge: Edge) -> None:
    edge.on("GET", "/api/v1/queues/.*", Reply(body=a_queue(limit=None, rate="10/s")))
    crm = queues.get("crm")
    assert (crm.name, crm.running, crm.queued, crm.paused) == ("crm", 5, 12, False)
    assert (crm.concurrency_limit, crm.concurrency.base, crm.rate, crm.key_rate) == (None, 5, "10/s", None)
    assert edge.requests[0].query == {"type": "custom"}


@pytest.mark.parametrize(
    ("named", "path", "kind"),
    [
        ("crm", "crm", "custom"),
        (Queue("crm"), "crm", "custom"),
        ("eu/crm", "eu%252Fcrm", "custom"),
        ("task/resize", "task%252Fresize", "task"),
        ("../x?y#z", "..%252Fx%3Fy%23z", "custom"),
    ],
)
def test_a_queue_is_named_by_text_or_by_the_queue_of_the_code(
    edge: Edge, named: Queue | str, path: str, kind: str
) -> None:
    """Slashes are encoded twice, as by the official client."""
    edge.on("GET", "/api/v1/queues/.*", Reply(body=a_queue()))
    queues.get(named)
    assert (edge.requests[0].path, edge.requests[0].query) == (f"/api/v1/queues/{path}", {"type": kind})


def test_pages_follow_each_other_as_they_are_needed(edge: Edge) -> None:
    first = a_queue_page(a_queue("a"), a_queue("b"), pages=2)
    edge.on("GET", "/api/v1/queues", first, a_queue_page(a_queue("c"), page=2, pages=2))
    listed = queues.list()
    assert edge.requests == []
    assert next(listed).name == "a"
    assert len(edge.requests) == 1
    assert [item.name for item in listed] == ["b", "c"]
    assert [request.query["page"] for request in edge.requests] == ["1", "2"]


def test_no_queue_is_an_empty_list(edge: Edge) -> None:
    edge.on("GET", "/api/v1/queues", a_queue_page(pages=0))
    assert list(queues.list()) == []


def test_a_queue_is_paused_and_resumed(edge: Edge) -> None:
    edge.on("POST", "/api/v1/queues/crm/pause", Reply(body=a_queue(paused=True)))
    assert queues.pause("crm").paused
    queues.resume("crm")
    assert [request.body for request in edge.requests] == [
        {"action": "pause", "type": "custom"},
        {"action": "resume", "type": "custom"},
    ]


def test_a_limit_is_set_and_reset(edge: Edge) -> None:
    edge.on("POST", "/api/v1/queues/.*", Reply(body=a_queue()))
    queues.limit("task/resize", 0)
    queues.limit("crm", percent=12.5)
    queues.limit("crm", 3, until="2h")
    queues.limit("crm", 3, until=datetime(2030, 1, 1, tzinfo=UTC))
    queues.reset("crm")
    assert [(request.path.partition("queues/")[2], request.body) for request in edge.requests] == [
        ("task%252Fresize/concurrency/override", {"type": "task", "concurrencyLimit": 0}),
        ("crm/concurrency/override", {"type": "custom", "percent": 12.5}),
        ("crm/concurrency/override", {"type": "custom", "concurrencyLimit": 3, "until": "2h"}),
        (
            "crm/concurrency/override",
            {"type": "custom", "concurrencyLimit": 3, "until": "2030-01-01T00:00:00.000Z"},
        ),
        ("crm/concurrency/reset", {"type": "custom"}),
    ]


def test_a_time_without_a_zone_is_refused(edge: Edge) -> None:
    with pytest.raises(DefinitionError, match=r"queues\.limit: until"):
        queues.limit("crm", 3, until=datetime(2030, 1, 1))  # noqa: DTZ001 - the mistake that is tested
    assert edge.requests == []


def test_a_refusal_says_why(edge: Edge) -> None:
    edge.on("POST", "/api/v1/queues/.*", Reply(400, {"error": "The limit of crm is not overridden"}))
    with pytest.raises(ApiError, match="not overridden") as caught:
        queues.reset("crm")
    assert caught.value.status == 400


def test_a_queue_that_is_not_there_is_named_with_what_it_may_be(edge: Edge) -> None:
    edge.on("GET", "/api/v1/queues/.*", Reply(404, {"error": "queue-not-found"}))
    edge.on("POST", "/api/v1/queues/.*", Reply(404, {"error": "queue-not-found"}))
    with pytest.raises(ApiError, match=r"'resize' yet; the own queue .* would be 'task/resize'") as caught:
        queues.get("resize")
    assert caught.value.status == 404
    with pytest.raises(ApiError, match=r"has named a queue 'task/resize' yet \(HTTP 404\)$"):
        queues.pause("task/resize")


def test_a_full_queue_is_an_error_of_its_own(edge: Edge) -> None:
    """It is made once: asking again at once would not help."""
    refusal = {"error": "The queue 'crm' is full", "code": "QUEUE_SIZE_LIMIT_EXCEEDED"}
    edge.on("POST", "/api/v1/tasks/.*/trigger", Reply(422, refusal))
    with pytest.raises(QueueFull, match="is full") as caught:
        resize.trigger("u")
    assert (caught.value.status, len(edge.requests)) == (422, 1)


def test_another_refusal_of_the_rules_is_not_a_full_queue(edge: Edge) -> None:
    for body in ({"error": "no", "code": "OTHER"}, {"error": "no"}, ["no"]):
        edge.on("POST", "/api/v1/tasks/.*/trigger", Reply(422, body))
        with pytest.raises(ApiError) as caught:
            resize.trigger("u")
        assert type(caught.value) is ApiError


def test_async_code_has_the_same(edge: Edge, client: Client) -> None:
    edge.on("GET", "/api/v1/queues/crm", Reply(body=a_queue()))
    edge.on("POST", "/api/v1/queues/crm/.*", Reply(body=a_queue()))
    edge.on("GET", "/api/v1/queues", a_queue_page(a_queue("a"), pages=2), a_queue_page(a_queue("b"), pages=2))

    async def all_of_it() -> list[str]:
        calls = client.aio.queues
        named = [await calls.get("crm"), await calls.pause("crm"), await calls.resume(queue("crm"))]
        named += [await calls.limit("crm", 3, until=60), await calls.reset("crm")]
        return [item.name for item in named] + [item.name async for item in calls.list()]

    assert asyncio.run(all_of_it()) == ["crm"] * 5 + ["a", "b"]


@pytest.mark.parametrize("call", ["list", "get", "pause", "resume", "limit", "reset"])
def test_a_blocking_call_in_an_event_loop_is_refused(edge: Edge, call: str) -> None:
    async def mistaken() -> None:
        getattr(queues, call)(*([] if call == "list" else ["crm"]))

    with pytest.raises(BlockingCall, match=rf"queues\.aio\.{call}"):
        asyncio.run(mistaken())
