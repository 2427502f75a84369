"""Many runs at once: what is sent, and what comes of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.batch_edge import BatchEdge, Item, a_batch
from tests.support.edge import Edge, Reply, Request
from trigger_lite import (
    ApiError,
    BatchError,
    BatchHandle,
    BlockingCall,
    Client,
    OutsideRun,
    QueueFull,
    batch,
    batches,
    run_inline,
    task,
)
from trigger_lite.protocol.batches import MAX_ITEMS
from trigger_lite.sdk.batch_items import PIECE_BYTES

ITEMS = "/api/v3/batches/.*/items"


@dataclass
class Size:
    width: int
    height: int


@task(tags=["image"], priority=5)
def resize(url: str, width: int = 100) -> Size:
    return Size(width, width)


@task
def double(number: int) -> int:
    return 2 * number


@pytest.fixture
def server(edge: Edge) -> BatchEdge:
    return BatchEdge(edge)


def urls(server: BatchEdge) -> list[str]:
    return [item["payload"]["url"] for item in server.items]


# ---- what is sent --------------------------------------------------------------------------------------


def test_items_are_values_tuples_or_items_and_handles_keep_their_order(server: BatchEdge) -> None:
    """BA-02, BA-17: announced, then streamed, one line each."""
    handles = resize.batch_trigger(
        ["a", ("b", 2), resize.item("c", width=3), resize.with_(delay="1h").item("d")]
    )
    assert [handle.id for handle in handles] == ["run_1_0", "run_1_1", "run_1_2", "run_1_3"]
    assert server.created == [{"runCount": 4, "taskIdentifiers": ["resize"]}]
    assert [item["index"] for item in server.items] == [0, 1, 2, 3]
    assert server.items[1] == {
        "index": 1,
        "task": "resize",
        "payload": {"url": "b", "width": 2},
        "options": {"payloadType": "application/json", "tags": ["image"], "priority": 5.0},
    }
    assert server.options[3]["delay"] == "1h" and "delay" not in server.options[2]
    types = [r.headers["content-type"] for r in server.edge.requests if r.path.endswith("/items")]
    assert types == ["application/x-ndjson"]


def test_a_handle_is_a_sequence_of_handles_that_knows_its_batch(server: BatchEdge) -> None:
    handles = double.batch_trigger([1, 2, 3])
    assert isinstance(handles, BatchHandle)
    assert (handles.id, handles.ids, len(handles)) == ("batch_1", ["batch_1"], 3)
    assert [run.id for run in handles] == [run.id for run in handles.runs]
    assert handles[0].id == "run_1_0" and [run.id for run in handles[1:]] == ["run_1_1", "run_1_2"]
    assert handles[1] in handles and handles.index(handles[2]) == 2
    assert repr(handles) == "BatchHandle('batch_1', 3 runs)"
    assert repr(double.batch_trigger([1])) == "BatchHandle('batch_2', 1 run)"


def test_how_far_a_batch_is(server: BatchEdge) -> None:
    handles = double.batch_trigger([1, 2, 3])
    server.edge.on(
        "GET", "/api/v2/batches/.*", Reply(body=a_batch("b", ["r"] * 3, status="PENDING", finished=1))
    )
    progress = handles.status()
    assert (progress.status, progress.total, progress.finished, progress.failed) == ("PENDING", 3, 1, 0)
    assert not progress.is_over


def test_an_item_that_a_key_led_to_an_earlier_run_is_cached(server: BatchEdge) -> None:
    """ID-11"""
    shown = a_batch("batch_1", ["run_a", "run_b"], cachedIndexes=[1])
    server.edge.on("GET", "/api/v2/batches/.*", Reply(body=shown))
    assert [handle.is_cached for handle in double.batch_trigger([1, 2])] == [False, True]


def test_options_of_the_batch_hold_for_items_that_say_nothing_else(server: BatchEdge) -> None:
    resize.with_(delay="1h", key="k").batch_trigger(["a", resize.with_(delay="2h").item("b")])
    assert [options["delay"] for options in server.options] == ["1h", "2h"]
    assert server.options[1]["concurrencyKey"] == "k"


def test_one_key_for_a_batch_is_another_for_each_item(server: BatchEdge) -> None:
    """ID-11: keys on items work item by item."""
    resize.with_(idempotency_key="night").batch_trigger(["a", "b"])
    assert {options["idempotencyKeyOptions"]["key"] for options in server.options} == {"night-0", "night-1"}


def test_a_batch_inside_a_run_names_its_parent_once(server: BatchEdge) -> None:
    """TR-20: the batch says whose children its runs are, not each item."""

    @task
    def parent() -> str:
        return resize.batch_trigger(["a"]).id

    assert run_inline(parent).unwrap() == "batch_1"
    assert server.created[0]["parentRunId"] == "run_local"
    assert "resumeParentOnCompletion" not in server.created[0]
    assert "parentRunId" not in server.options[0]


def test_no_items_are_no_requests(server: BatchEdge) -> None:
    handles = resize.batch_trigger([])
    assert (list(handles), handles.id, handles.status().is_over) == ([], "", True)
    assert server.edge.requests == []


def test_a_generator_is_read_as_far_as_one_batch_holds_and_then_sent(server: BatchEdge) -> None:
    """BA-08: what is more goes into further batches."""
    sent_by_then: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(MAX_ITEMS + 2):
            if number == MAX_ITEMS:
                sent_by_then.append(len(server.items))
            yield number

    handles = double.batch_trigger(numbers())
    assert sent_by_then == [MAX_ITEMS]
    assert [body["runCount"] for body in server.created] == [MAX_ITEMS, 2]
    assert (handles.id, handles.ids, len(handles)) == ("batch_1", ["batch_1", "batch_2"], MAX_ITEMS + 2)
    assert handles[-1].id == "run_2_1"
    assert [item["payload"]["number"] for item in server.items] == list(range(MAX_ITEMS + 2))
    assert (handles.status().total, handles.status().finished) == (MAX_ITEMS + 2, MAX_ITEMS + 2)


def test_large_items_are_sent_in_pieces(server: BatchEdge) -> None:
    large = "x" * PIECE_BYTES
    resize.batch_trigger([large] * 5)
    assert urls(server) == [large] * 5
    (sent,) = [r for r in server.edge.requests if r.path.endswith("/items")]
    assert sent.headers["transfer-encoding"] == "chunked" and "content-length" not in sent.headers


# ---- of several tasks ----------------------------------------------------------------------------------


def test_a_batch_may_be_of_several_tasks(server: BatchEdge) -> None:
    handles = batch(double.item(1), resize.with_(tags=["b"]).item("a")).trigger()
    assert [handle.task for handle in handles] == ["double", "resize"]
    assert server.created[0]["taskIdentifiers"] == ["double", "resize"]
    assert [item["task"] for item in server.items] == ["double", "resize"]
    assert server.options[1]["tags"] == ["image", "b"] and "tags" not in server.options[0]
    assert len(batch([double.item(1)]).trigger()) == 1
    assert len(batch(double.item(n) for n in range(3)).trigger()) == 3
    assert len(batch(double.item(1)).trigger()) == 1


def test_what_is_no_item_is_told(server: BatchEdge) -> None:
    with pytest.raises(BatchError, match=r"item 1: an item of batch\(…\) is made by task.item\(…\), not 3"):
        batch([double.item(1), 3]).trigger()  # type: ignore[arg-type]
    assert server.edge.requests == []


# ---- what goes wrong -----------------------------------------------------------------------------------


def test_a_wrong_item_keeps_the_whole_batch_from_being_sent(server: BatchEdge) -> None:
    with pytest.raises(
        BatchError, match=r"2 of 4 items do not fit, so their batch was not triggered: 1, 3; item 1: resize: "
    ) as caught:
        resize.batch_trigger(["a", 3, ("b", 1), ("c", "wide")])
    assert (caught.value.phase, sorted(caught.value.failed), caught.value.handles) == (
        "payload",
        [1, 3],
        [None] * 4,
    )
    assert server.edge.requests == []


def test_a_wrong_item_of_a_later_batch_leaves_those_before_triggered(server: BatchEdge) -> None:
    with pytest.raises(BatchError, match=f"1 of {MAX_ITEMS + 1} items .*: {MAX_ITEMS}; ") as caught:
        double.batch_trigger([*range(MAX_ITEMS), "wide"])
    assert caught.value.phase == "payload"
    assert caught.value.handles[MAX_ITEMS] is None
    assert [handle and handle.id for handle in caught.value.handles[:2]] == ["run_1_0", "run_1_1"]


def test_refused_items_are_named_and_the_others_have_handles(edge: Edge) -> None:
    """BA-13: with the server's reason for each."""

    def refuse(item: Item) -> str | None:
        return f"no {item['payload']['url']}" if item["payload"]["url"] in "bd" else None

    BatchEdge(edge, refuse=refuse)
    with pytest.raises(BatchError, match=r"2 of 4 items were not triggered: 1, 3; item 1: no b") as caught:
        resize.batch_trigger(["a", "b", "c", "d"])
    assert caught.value.phase == "send"
    assert [handle and handle.id for handle in caught.value.handles] == ["run_1_0", None, "run_1_2", None]
    assert all(isinstance(error, ApiError) for error in caught.value.failed.values())


def test_a_full_queue_is_named_as_such(server: BatchEdge) -> None:
    """Q-19, BA-13: as a single trigger would."""
    full = {"index": 1, "taskIdentifier": "double", "error": "full", "errorCode": "QUEUE_SIZE_LIMIT_EXCEEDED"}
    server.edge.on("GET", "/api/v2/batches/.*", Reply(body=a_batch("batch_1", ["run_a"], errors=[full])))
    with pytest.raises(BatchError) as caught:
        double.batch_trigger([1, 2])
    assert isinstance(caught.value.failed[1], QueueFull)


def test_a_batch_that_is_not_taken_at_all_says_so_once(edge: Edge) -> None:
    edge.on("POST", "/api/v3/batches", Reply(401, {"error": "Invalid API key"}))
    with pytest.raises(
        BatchError, match=r"300 of 300 items .* and 290 more; item 0: Invalid API key"
    ) as caught:
        resize.batch_trigger(["a"] * 300)
    assert caught.value.phase == "create"
    assert len(edge.requests) == 1


def test_a_batch_without_a_server_says_so() -> None:
    with pytest.raises(BatchError, match="2 of 2 items"):
        resize.batch_trigger(["a", "b"])


def test_a_later_batch_that_is_not_taken_leaves_the_handles_of_those_before(server: BatchEdge) -> None:
    server.edge.on("POST", ITEMS, server.take, Reply(422, {"error": "no more"}))
    with pytest.raises(BatchError, match=f"1 of {MAX_ITEMS + 1} items") as caught:
        double.batch_trigger(range(MAX_ITEMS + 1))
    assert (caught.value.phase, list(caught.value.failed)) == ("send", [MAX_ITEMS])
    assert [handle is None for handle in caught.value.handles] == [False] * MAX_ITEMS + [True]


@pytest.mark.parametrize(
    "trouble", [Reply(hang_up=True), Reply(503, {"error": "busy"})], ids=["broken", "busy"]
)
def test_a_stream_that_breaks_is_sent_again_whole(server: BatchEdge, trouble: Reply) -> None:
    """BA-04: each item is a run once all the same."""

    def take_and_break(request: Request) -> Reply:
        server.take(request)
        return trouble

    server.edge.on("POST", ITEMS, take_and_break, server.take)
    assert len(double.batch_trigger(range(300))) == 300
    assert len(server.created) == 1 and len(server.items) == 300


def test_an_announcement_whose_answer_is_lost_is_made_again_under_its_name(server: BatchEdge) -> None:
    """BA-10: so that the server knows it for the same."""
    server.edge.on("POST", "/api/v3/batches", Reply(hang_up=True), server.create)
    double.batch_trigger([1])
    sent = [r for r in server.edge.requests if r.path == "/api/v3/batches"]
    assert len({r.headers["x-trigger-request-idempotency-key"] for r in sent}) == 1
    assert len(sent) == 2


def test_items_that_the_server_misses_are_sent_again(server: BatchEdge) -> None:
    """BA-05: not for ever."""
    part: dict[str, Any] = {"id": "batch_1", "itemsAccepted": 1, "itemsDeduplicated": 0, "sealed": False}
    server.edge.on("POST", ITEMS, Reply(body=part), server.take)
    assert len(double.batch_trigger([1, 2])) == 2
    server.edge.on("POST", ITEMS, Reply(body=part))
    with pytest.raises(BatchError, match="has not all of its items, though they were sent"):
        double.batch_trigger([1, 2])


# ---- waiting for all -----------------------------------------------------------------------------------


@task
def sum_of_doubles(count: int) -> int:
    return sum(result.unwrap() for result in double.batch_trigger_and_wait(range(count)))


@task
def picky(number: int) -> int:
    if number == 1:
        raise ValueError("not one")
    return number


def test_results_come_in_the_order_of_the_items() -> None:
    """BA-17: `run_inline` runs the children too."""
    assert run_inline(sum_of_doubles, 4).unwrap() == 12
    assert run_inline(sum_of_doubles, 0).unwrap() == 0


def test_a_child_that_fails_is_a_result_of_its_own() -> None:
    """BA-16: one of them does not hide the others."""

    @task
    def parent() -> list[str]:
        found = picky.with_(max_attempts=1).batch_trigger_and_wait([0, 1, 2])
        return [str(result.output) if result.ok else str(result.error.cause) for result in found]

    first, second, third = run_inline(parent).unwrap()
    assert (first, third) == ("0", "2")
    assert "ValueError: not one" in second


def test_several_tasks_are_waited_for_together() -> None:
    @task
    def parent() -> tuple[int, int]:
        number, size = batch(double.item(4), resize.item("a", width=7)).trigger_and_wait()
        (listed,) = batch([double.item(1)]).trigger_and_wait()
        return number.unwrap() + listed.unwrap(), size.unwrap().width

    assert run_inline(parent).unwrap() == (10, 7)


def test_async_code_waits_for_all() -> None:
    @task
    async def parent() -> int:
        found = await double.aio.batch_trigger_and_wait([1, 2])
        mixed = await batch(double.item(3), resize.item("a")).aio.trigger_and_wait()
        return sum(result.unwrap() for result in found) + mixed[0].unwrap() + mixed[1].unwrap().width

    assert run_inline(parent).unwrap() == 2 + 4 + 6 + 100


def test_a_wrong_item_is_told_before_anything_is_waited_for() -> None:
    @task
    def parent() -> str:
        try:
            double.batch_trigger_and_wait([1, "two"])
        except BatchError as error:
            return f"{error.phase} {sorted(error.failed)}"
        return ""

    assert run_inline(parent).unwrap() == "payload [1]"


# ---- async code ----------------------------------------------------------------------------------------


async def test_async_code_triggers_batches(server: BatchEdge) -> None:
    handles = await resize.aio.batch_trigger(["c", "d"])
    assert [handle.id for handle in handles] == ["run_1_0", "run_1_1"]
    assert (await handles.aio.status()).is_over
    assert len(await batch(double.item(1), double.item(2)).aio.trigger()) == 2
    assert len(await resize.with_(key="k").aio.batch_trigger(["c"])) == 1


async def test_a_blocking_batch_inside_a_loop_names_the_other(server: BatchEdge) -> None:
    handles = await double.aio.batch_trigger([1])
    for call, instead in (
        (lambda: resize.batch_trigger(["a"]), r"await resize.aio.batch_trigger\(…\)"),
        (lambda: resize.batch_trigger_and_wait(["a"]), r"await resize.aio.batch_trigger_and_wait\(…\)"),
        (lambda: batch(double.item(1)).trigger(), r"await batch\(…\).aio.trigger\(\)"),
        (lambda: batch(double.item(1)).trigger_and_wait(), r"await batch\(…\).aio.trigger_and_wait\(\)"),
        (handles.status, r"await batch.aio.status\(\)"),
    ):
        with pytest.raises(BlockingCall, match=instead):
            call()


def test_waiting_for_a_batch_needs_a_run() -> None:
    with pytest.raises(OutsideRun, match=r"double\.batch_trigger_and_wait\(…\) works only inside a run"):
        double.batch_trigger_and_wait([1])
    with pytest.raises(OutsideRun, match=r"batch\(…\)\.trigger_and_wait\(\) works only inside a run"):
        batch(double.item(1)).trigger_and_wait()


# ---- batches of an environment ---------------------------------------------------------------------------


def a_list(*ids: str, following: str = "") -> Reply:
    rows = [a_batch(batch_id, []) for batch_id in ids]
    return Reply(body={"data": rows, "pagination": {"next": following} if following else {}})


def test_a_batch_is_looked_at_by_its_id(edge: Edge) -> None:
    shown = a_batch("batch_1", ["run_1"], errors=[{"index": 1, "taskIdentifier": "resize", "error": "full"}])
    edge.on("GET", "/api/v2/batches/batch_1", Reply(body=shown))
    found = batches.get("batch_1")
    assert (found.status, found.runs, found.processing.errors[0].error) == ("COMPLETED", ["run_1"], "full")
    with pytest.raises(ApiError, match="404"):
        batches.get("batch_2")


async def test_batches_are_listed_page_by_page(edge: Edge) -> None:
    edge.on("GET", "/api/v1/batches", a_list("a", "b", following="cursor"), a_list("c"))
    assert [listed.id async for listed in batches.aio.list()] == ["a", "b", "c"]
    assert [request.query.get("page[after]") for request in edge.requests] == [None, "cursor"]
    edge.on("GET", "/api/v2/batches/a", Reply(body=a_batch("a", [])))
    assert (await batches.aio.get("a")).id == "a"
    with pytest.raises(BlockingCall, match=r"async for batch in batches.aio.list\(\)"):
        batches.list()
    with pytest.raises(BlockingCall, match=r"await batches.aio.get\(…\)"):
        batches.get("a")


def test_a_client_has_the_batches_of_its_own_server(edge: Edge, client: Client) -> None:
    edge.on("GET", "/api/v1/batches", a_list("a"))
    assert [listed.id for listed in client.batches.list()] == ["a"]
    assert client.aio.batches is not None
