"""Batches over HTTP (management-api 9.1)."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest

from tests.web.api.conftest import Api
from trigger_lite.protocol.batches import MAX_ITEM_BYTES
from trigger_lite.store.query import Query
from trigger_lite.store.transaction import Tx

ND = {"content-type": "application/x-ndjson"}


def lines(*items: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def an_item(index: int, payload: Any = None, **options: Any) -> dict[str, Any]:
    return {"index": index, "task": "resize", "payload": payload, "options": options}


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def announce(api: Api, count: int, **body: Any) -> str:
    answer = await api.call("POST", "/api/v3/batches", json={"runCount": count, **body})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def send(api: Api, batch: str, body: bytes | AsyncIterator[bytes], **headers: str) -> httpx.Response:
    return await api.call("POST", f"/api/v3/batches/{batch}/items", content=body, headers={**ND, **headers})


async def batch_of(api: Api, batch: str) -> Any:
    return await api.get(f"/api/v2/batches/{batch}")


async def payloads(api: Api, run_ids: Iterable[str]) -> list[Any]:
    return [(await api.run(run_id))["payload"] for run_id in run_ids]


# ---- announce and fill -----------------------------------------------------------------------------


async def test_a_batch_is_announced_filled_and_shown(api: Api) -> None:
    """BA-02, BA-17: the items become runs, in the order of their index."""
    body = {"runCount": 3, "taskIdentifiers": ["resize"], "idempotencyKey": "k"}
    created = await api.call("POST", "/api/v3/batches", json=body)
    assert created.status_code == 202
    batch = created.json()["id"]
    assert created.json() == {"id": batch, "runCount": 3, "isCached": False, "idempotencyKey": "k"}
    assert created.headers["x-trigger-jwt"].count(".") == 2
    before = await batch_of(api, batch)
    assert (before["status"], before["runs"]) == ("PENDING", [])
    taken = await send(api, batch, lines(an_item(2, 2), an_item(0, {"n": 0}), an_item(1, "one")))
    assert taken.status_code == 200
    assert taken.json() == {
        "id": batch,
        "itemsAccepted": 3,
        "itemsDeduplicated": 0,
        "sealed": True,
        "runCount": 3,
    }
    after = await batch_of(api, batch)
    assert (after["status"], after["runCount"], after["processing"]["errors"]) == ("PENDING", 3, [])
    assert after["processing"]["completedAt"] == after["processingCompletedAt"]
    assert await payloads(api, after["runs"]) == [{"n": 0}, "one", 2]
    run = await api.run(after["runs"][0])
    assert (run["batchId"], run["triggerFunction"], run["taskIdentifier"]) == (
        batch,
        "batchTrigger",
        "resize",
    )
    assert await api.get(f"/api/v1/batches/{batch}") == after


@pytest.mark.parametrize("size", [1, 5, 64])
async def test_items_may_be_cut_anywhere(api: Api, size: int) -> None:
    """BA-07: also within a character; the last line needs no end."""
    batch = await announce(api, 2)
    items = [json.dumps(an_item(n, text), ensure_ascii=False) for n, text in enumerate(["é😀", "ü"])]
    assert (await send(api, batch, in_pieces("\n".join(items).encode(), size))).json()["sealed"]
    assert await payloads(api, (await batch_of(api, batch))["runs"]) == ["é😀", "ü"]


async def test_options_of_an_item_are_those_of_a_trigger(api: Api) -> None:
    batch = await announce(api, 2)
    item = an_item(0, {"a": 1}, tags=["b"], delay="1h", maxAttempts=2, metadata={"m": 1})
    text = {"index": 1, "task": "other", "payload": "x", "options": {"payloadType": "text/plain"}}
    assert (await send(api, batch, lines(item, text))).json()["sealed"]
    first, second = [await api.run(run) for run in (await batch_of(api, batch))["runs"]]
    assert (first["status"], first["tags"], first["metadata"]) == ("DELAYED", ["b"], {"m": 1})
    assert (second["taskIdentifier"], second["payload"]) == ("other", "x")


async def test_a_text_of_type_json_is_json_already_written(api: Api) -> None:
    """management-api 5: so official clients send it; what is no JSON is a text."""
    batch = await announce(api, 3)
    sent = lines(an_item(0, '{"n": 1}'), an_item(1, "plain"), {"index": 2, "task": "resize"})
    await send(api, batch, sent)
    runs = [await api.run(run) for run in (await batch_of(api, batch))["runs"]]
    assert [run.get("payload", "absent") for run in runs] == [{"n": 1}, "plain", "absent"]


async def test_an_answer_says_what_is_missing(api: Api) -> None:
    """BA-05, BA-04: the rest may follow, or everything again."""
    batch = await announce(api, 3)
    part = (await send(api, batch, lines(an_item(0), an_item(2)))).json()
    assert part == {
        "id": batch,
        "itemsAccepted": 2,
        "itemsDeduplicated": 0,
        "sealed": False,
        "enqueuedCount": 2,
        "expectedCount": 3,
    }
    whole = (await send(api, batch, lines(*(an_item(n) for n in range(3))))).json()
    assert (whole["itemsAccepted"], whole["itemsDeduplicated"], whole["sealed"]) == (1, 2, True)
    again = (await send(api, batch, lines(*(an_item(n) for n in range(3))))).json()
    assert again == {
        "id": batch,
        "itemsAccepted": 0,
        "itemsDeduplicated": 0,
        "sealed": True,
        "runCount": 3,
    }
    assert len((await batch_of(api, batch))["runs"]) == 3


async def test_a_key_finds_the_batch(api: Api) -> None:
    """ID-11: answered 200, and said to be cached."""
    batch = await announce(api, 2, idempotencyKey="night")
    again = await api.call("POST", "/api/v3/batches", json={"runCount": 9, "idempotencyKey": "night"})
    assert again.status_code == 200
    assert again.json() == {"id": batch, "runCount": 2, "isCached": True, "idempotencyKey": "night"}


async def test_an_announcement_sent_again_is_the_same_batch(api: Api) -> None:
    """BA-10: its answer was lost on the way."""
    headers = {"x-trigger-request-idempotency-key": "request-1"}
    answers = [
        await api.call("POST", "/api/v3/batches", json={"runCount": 2}, headers=headers) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()


# ---- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, -1, 1_001])
async def test_a_batch_has_one_to_a_thousand_items(api: Api, count: int) -> None:
    """BA-08"""
    answer = await api.call("POST", "/api/v3/batches", json={"runCount": count})
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": f"A batch has 1 to 1000 items, not {count}"},
    )


async def test_an_announcement_has_a_limit(api: Api) -> None:
    body = {"runCount": 1, "taskIdentifiers": ["x" * 131_072]}
    assert (await api.call("POST", "/api/v3/batches", json=body)).status_code == 413


async def test_items_of_an_unknown_or_aborted_batch_are_refused(api: Api) -> None:
    """BA-03, BA-04"""
    unknown = await send(api, "batch_unknown", lines(an_item(0)))
    assert (unknown.status_code, unknown.json()["error"]) == (
        422,
        "There is no batch 'batch_unknown' in this environment",
    )
    batch = await announce(api, 2)
    elsewhere = await api.call(
        "POST", f"/api/v3/batches/{batch}/items", content=b"", headers=ND, environment="dev"
    )
    assert elsewhere.status_code == 422
    answer = await api.call("POST", f"/api/v1/batches/{batch}/abort")
    assert answer.json() == {"id": batch, "status": "ABORTED"}
    aborted = await send(api, batch, lines(an_item(0)))
    assert aborted.status_code == 422 and "was aborted" in aborted.json()["error"]
    assert (await api.call("GET", f"/api/v3/batches/{batch}/items")).status_code == 405


@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
async def test_items_of_another_content_type_are_refused(api: Api, kind: str) -> None:
    batch = await announce(api, 1)
    answer = await send(api, batch, lines(an_item(0)), **{"content-type": kind})
    assert answer.status_code == 415 and "application/x-ndjson" in answer.json()["error"]


@pytest.mark.parametrize("kind", ["application/ndjson", "Application/X-NDJSON; charset=utf-8"])
async def test_items_have_two_content_types(api: Api, kind: str) -> None:
    batch = await announce(api, 1)
    assert (await send(api, batch, lines(an_item(0)), **{"content-type": kind})).json()["sealed"]


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"nonsense",
        b'{"index":1,"task":"a","payload":"\xff"}',
        b'{"index":1,"task":"a","payload":{"a":}}',
        b'{"index":1,"task":"a","payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["open", "words", "utf-8", "payload", "deep"],
)
async def test_what_came_before_a_bad_line_stays(api: Api, bad: bytes) -> None:
    """BA-07: bad JSON or UTF-8 ends the stream; sent again whole, the batch is made."""
    batch = await announce(api, 3)
    answer = await send(api, batch, lines(an_item(0)) + bad + b"\n" + lines(an_item(2)))
    assert answer.status_code == 400 and "Invalid JSON" in answer.json()["error"]
    assert (await batch_of(api, batch))["received"] == 1
    again = (await send(api, batch, lines(*(an_item(n) for n in range(3))))).json()
    assert (again["itemsAccepted"], again["itemsDeduplicated"], again["sealed"]) == (2, 1, True)


@pytest.mark.parametrize(
    "bad", [{"task": "a"}, {"index": 1}, {"index": -1, "task": "a"}, {"index": "1", "task": "a"}, [1]]
)
async def test_an_item_needs_an_index_and_a_task(api: Api, bad: Any) -> None:
    batch = await announce(api, 2)
    answer = await send(api, batch, lines(bad))
    assert answer.status_code == 400 and "needs an index and a task" in answer.json()["error"]


async def test_an_index_beyond_the_batch_is_refused(api: Api) -> None:
    """BA-06: what came before stays; a line too long is looked at for it, too."""
    batch = await announce(api, 2)
    answer = await send(api, batch, lines(an_item(0), an_item(2), an_item(1)))
    assert answer.status_code == 422 and "there is no index 2" in answer.json()["error"]
    assert (await batch_of(api, batch))["received"] == 1
    long = await send(api, batch, lines(an_item(9, "x" * MAX_ITEM_BYTES)))
    assert long.status_code == 422 and "there is no index 9" in long.json()["error"]


# ---- items that fail ---------------------------------------------------------------------------------


async def test_an_item_over_the_limit_fails_and_the_rest_goes_on(api: Api) -> None:
    """BA-06, BA-08: PAYLOAD_TOO_LARGE, at 3 MB an item."""
    batch = await announce(api, 3)
    body = lines(an_item(0), an_item(1, "x" * MAX_ITEM_BYTES), an_item(2))
    assert (await send(api, batch, in_pieces(body, 65_536))).json()["sealed"]
    shown = await batch_of(api, batch)
    assert (shown["status"], len(shown["runs"])) == ("PARTIAL_FAILED", 2)
    (error,) = shown["processing"]["errors"]
    assert (error["index"], error["taskIdentifier"], error["errorCode"]) == (1, "resize", "PAYLOAD_TOO_LARGE")
    assert "the limit is 3145728" in error["error"]


async def test_an_item_over_the_limit_that_hides_its_index_ends_the_stream(api: Api) -> None:
    batch = await announce(api, 1)
    body = b'{"payload":"' + b"x" * MAX_ITEM_BYTES + b'","index":0,"task":"a"}\n'
    answer = await send(api, batch, body)
    assert answer.status_code == 413 and "does not begin with its index" in answer.json()["error"]


async def test_an_item_that_is_refused_fails_alone(api: Api) -> None:
    """BA-13: by a rule for requests, by the engine, by options of another shape."""
    batch = await announce(api, 5)
    items = [
        an_item(0),
        an_item(1, delay="soon"),
        an_item(2, lockToVersion="20300101.1"),
        an_item(3, tags=3),
        {"index": 4, "task": "x" * 300},
    ]
    taken = (await send(api, batch, lines(*items))).json()
    assert (taken["itemsAccepted"], taken["sealed"]) == (5, True)
    shown = await batch_of(api, batch)
    assert (shown["status"], len(shown["runs"])) == ("PARTIAL_FAILED", 1)
    errors = shown["processing"]["errors"]
    assert [error["index"] for error in errors] == [1, 2, 3, 4]
    assert {error["errorCode"] for error in errors} == {"BATCH_ITEM_COULD_NOT_TRIGGER"}
    assert "delay 'soon' is neither" in errors[0]["error"]
    assert "no version '20300101.1'" in errors[1]["error"]
    assert "options: Expected `str | array | null`, got `int`" in errors[2]["error"]
    assert "A task id has 1 to 256 characters" in errors[3]["error"]


async def test_an_item_that_finds_its_queue_full_fails_at_once(api: Api) -> None:
    """BA-12, Q-19: it is said to be that, and is not tried again."""
    await api.trigger()
    await api.services.store.write(
        lambda tx: tx.all(Query("UPDATE queue SET max_length = 2 RETURNING id", str))
    )
    batch = await announce(api, 2)
    assert (await send(api, batch, lines(an_item(0), an_item(1)))).json()["sealed"]
    shown = await batch_of(api, batch)
    (error,) = shown["processing"]["errors"]
    assert (shown["status"], error["index"]) == ("PARTIAL_FAILED", 1)
    assert error["errorCode"] == "QUEUE_SIZE_LIMIT_EXCEEDED" and "is full" in error["error"]


async def test_a_batch_of_which_every_item_failed_is_aborted(api: Api) -> None:
    """BA-14: and has no runs."""
    batch = await announce(api, 2)
    await send(api, batch, lines(an_item(0, ttl="soon"), an_item(1, ttl="soon")))
    shown = await batch_of(api, batch)
    assert (shown["status"], shown["runs"], shown["failed"]) == ("ABORTED", [], 2)
    assert (await send(api, batch, b"")).json()["sealed"]


async def test_a_parent_has_a_failed_run_for_an_item_that_was_refused(api: Api) -> None:
    """BA-13, TR-26: shown like any other run."""
    await api.register("parent", "resize")
    await api.trigger("parent")
    parent = (await api.start()).id
    batch = await announce(api, 2, parentRunId=parent, resumeParentOnCompletion=True)
    assert (await api.run(parent))["status"] == "EXECUTING"
    await send(api, batch, lines(an_item(0, delay="soon"), an_item(1)))
    bad, good = (await batch_of(api, batch))["runs"]
    shown = await api.run(bad)
    assert (shown["status"], shown["batchId"]) == ("SYSTEM_FAILURE", batch)
    assert shown["triggerFunction"] == "batchTriggerAndWait"
    assert shown["relatedRuns"]["parent"]["id"] == parent
    result = await api.get(f"/api/v1/runs/{bad}/result")
    assert not result["ok"] and result["error"]["code"] == "BATCH_ITEM_COULD_NOT_TRIGGER"
    assert await api.finish(output='"done"') == good
    assert (await batch_of(api, batch))["status"] == "COMPLETED"


# ---- results and lists -------------------------------------------------------------------------------


async def test_results_are_those_of_the_runs_that_are_over(api: Api) -> None:
    """BA-20: in order, ok or not; the others are left out."""
    await api.register("resize")
    batch = await announce(api, 3)
    await send(api, batch, lines(*(an_item(n) for n in range(3))))
    runs = (await batch_of(api, batch))["runs"]
    assert await api.get(f"/api/v1/batches/{batch}/results") == {"id": batch, "items": []}
    await api.finish(output='"done"')
    await api.fail()
    found = await api.get(f"/api/v1/batches/{batch}/results")
    assert [(item["id"], item["ok"]) for item in found["items"]] == [(runs[0], True), (runs[1], False)]
    assert found["items"][0]["output"] == '"done"'
    assert found["items"][1]["error"]["message"] == "no such file"


@pytest.mark.parametrize("path", ["/api/v2/batches/batch_x", "/api/v1/batches/batch_x/results"])
async def test_an_unknown_batch_is_not_found(api: Api, path: str) -> None:
    """BA-20: nor is another environment's."""
    answer = await api.call("GET", path)
    assert (answer.status_code, answer.json()) == (404, {"error": "Batch not found"})
    batch = await announce(api, 1)
    other = await api.call("GET", path.replace("batch_x", batch), environment="dev")
    assert other.status_code == 404


async def test_batches_are_listed_newest_first_by_pages(api: Api) -> None:
    made = [await announce(api, 1) for _ in range(5)][::-1]
    first = await api.get("/api/v1/batches?page[size]=2")
    assert [row["id"] for row in first["data"]] == made[:2]
    assert "previous" not in first["pagination"]
    second = await api.get(f"/api/v1/batches?page[size]=2&page[after]={first['pagination']['next']}")
    assert [row["id"] for row in second["data"]] == made[2:4]
    last = await api.get(f"/api/v1/batches?page[size]=2&page[after]={second['pagination']['next']}")
    assert [row["id"] for row in last["data"]] == made[4:] and "next" not in last["pagination"]
    back = await api.get(f"/api/v1/batches?page[size]=2&page[before]={last['pagination']['previous']}")
    assert [row["id"] for row in back["data"]] == made[2:4]
    assert (await api.get("/api/v1/batches", environment="dev"))["data"] == []
    assert (await api.call("GET", "/api/v1/batches?page[after]=nonsense")).status_code == 400


async def test_runs_can_be_narrowed_to_those_of_a_batch(api: Api) -> None:
    """BA-17: newest first, as every list of runs."""
    batch, other = await announce(api, 3), await announce(api, 1)
    await send(api, batch, lines(*(an_item(n) for n in range(3))))
    await send(api, other, lines(an_item(0)))
    found = await api.get(f"/api/v1/runs?filter[batch]={batch}")
    assert [run["id"] for run in found["data"]] == (await batch_of(api, batch))["runs"][::-1]
    assert {run["batchId"] for run in found["data"]} == {batch}


async def test_an_item_that_a_key_led_elsewhere_is_said_to_be_cached(api: Api) -> None:
    """ID-11, BA-17: each index names its run."""
    earlier = await api.trigger(idempotencyKey="one")
    batch = await announce(api, 3)
    await send(api, batch, lines(an_item(0), an_item(1, idempotencyKey="one"), an_item(2)))
    shown = await batch_of(api, batch)
    assert shown["runs"][1] == earlier and shown["cachedIndexes"] == [1]


# ---- one request ---------------------------------------------------------------------------------------


async def test_a_whole_batch_may_come_in_one_request(api: Api) -> None:
    """BA-08: as older clients send it."""
    items = [{"task": "resize", "payload": {"n": n}, "options": {"tags": [str(n)]}} for n in range(3)]
    answer = await api.call("POST", "/api/v2/tasks/batch", json={"items": items})
    assert answer.status_code == 202 and "x-trigger-jwt" in answer.headers
    batch = answer.json()["id"]
    assert answer.json() == {"id": batch, "runCount": 3}
    shown = await batch_of(api, batch)
    assert (shown["status"], shown["runCount"]) == ("PENDING", 3)
    assert await payloads(api, shown["runs"]) == [{"n": 0}, {"n": 1}, {"n": 2}]


async def test_one_request_has_one_to_five_hundred_items(api: Api) -> None:
    """BA-08: 500 in one request, of a megabyte."""
    item = {"task": "resize"}
    full = await api.call("POST", "/api/v2/tasks/batch", json={"items": [item] * 500})
    assert full.status_code == 202
    assert (await batch_of(api, full.json()["id"]))["received"] == 500
    for count in (0, 501):
        answer = await api.call("POST", "/api/v2/tasks/batch", json={"items": [item] * count})
        assert (answer.status_code, answer.json()["error"]) == (
            400,
            f"A batch has 1 to 500 items, not {count}",
        )
    large = {"items": [{"task": "resize", "payload": "x" * 1_000_000}]}
    assert (await api.call("POST", "/api/v2/tasks/batch", json=large)).status_code == 413


async def test_one_request_sent_again_makes_no_second_batch(api: Api) -> None:
    """BA-04: by its request key, as by the index of its items."""
    headers = {"x-trigger-request-idempotency-key": "request-1"}
    body = {"items": [{"task": "resize"}] * 2}
    answers = [await api.call("POST", "/api/v2/tasks/batch", json=body, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len((await api.get("/api/v1/runs"))["data"]) == 2


# ---- a database or an inbox with no room ---------------------------------------------------------------


def _let_grow(tx: Tx, pages: int) -> None:
    has = tx.first(Query("PRAGMA page_count", int)) or 0
    tx.all(Query(f"PRAGMA max_page_count = {has + pages}", int))


async def test_a_batch_that_found_the_disk_full_is_finished_by_sending_it_again(api: Api) -> None:
    """BA-04, BA-12: 503, what was taken stays, and every item is a run once in the end."""
    batch = await announce(api, 300)
    body = lines(*(an_item(n, "x" * 4_000) for n in range(300)))
    await api.services.store.write(_let_grow, 60)
    answer = await send(api, batch, body)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    await api.services.store.write(_let_grow, 1_000_000)
    shown = await batch_of(api, batch)
    assert shown["status"] == "PENDING" and shown["received"] < 300
    again = (await send(api, batch, body)).json()
    assert (again["sealed"], again["itemsAccepted"]) == (True, 300 - shown["received"])
    runs = (await batch_of(api, batch))["runs"]
    assert len(set(runs)) == 300


@pytest.mark.parametrize("inbox_limit", [5])
async def test_a_stream_waits_for_room_in_the_inbox(api: Api) -> None:
    """BA-11: it is slower then, and nothing is refused."""
    batch = await announce(api, 100)
    assert (await send(api, batch, lines(*(an_item(n) for n in range(100))))).json()["sealed"]


async def test_two_streams_of_one_batch_make_each_run_once(api: Api) -> None:
    """BA-04: a client that gave up waiting sends again while the first stream is still read."""
    batch = await announce(api, 200)
    body = lines(*(an_item(n) for n in range(200)))
    answers = await asyncio.gather(*(send(api, batch, in_pieces(body, 500)) for _ in range(2)))
    taken = [answer.json() for answer in answers]
    assert all(answer["sealed"] for answer in taken)
    assert sum(answer["itemsAccepted"] for answer in taken) == 200
    assert len(set((await batch_of(api, batch))["runs"])) == 200
