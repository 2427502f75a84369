"""Runs over HTTP: retrieve, list, cancel, replay, result, and the long polls (management-api 4, 9.2)."""

import asyncio
from typing import Any

import pytest

from tests.web.api.conftest import Api
from trigger_lite.engine.retention import Kind, remove

_STATES = ("isQueued", "isExecuting", "isWaiting", "isCompleted", "isSuccess", "isFailed", "isCancelled")


def _true(run: dict[str, Any]) -> set[str]:
    return {name for name in _STATES if run[name]}


# --- one run ------------------------------------------------------------------------------------------------


async def test_the_status_and_its_flags_follow_the_run(api: Api) -> None:
    await api.register("resize")
    run_id = await api.trigger()
    seen = [await api.run(run_id)]
    await api.claim()
    seen.append(await api.run(run_id))
    other = await api.trigger()
    await api.start()
    seen.append(await api.run(other))
    assert [run["status"] for run in seen] == ["QUEUED", "DEQUEUED", "EXECUTING"]
    assert [_true(run) for run in seen] == [{"isQueued"}, {"isExecuting"}, {"isExecuting"}]


async def test_the_ends_of_runs_have_their_flags_and_data(api: Api) -> None:
    await api.register("resize")
    await api.trigger()
    done = await api.run(await api.finish(output='"ok"'))
    await api.trigger()
    failed = await api.run(await api.fail())
    run_id = await api.trigger()
    await api.call("POST", f"/api/v2/runs/{run_id}/cancel")
    canceled = await api.run(run_id)
    assert (done["status"], _true(done)) == ("COMPLETED", {"isCompleted", "isSuccess"})
    assert (failed["status"], _true(failed)) == ("FAILED", {"isCompleted", "isFailed"})
    assert (canceled["status"], _true(canceled)) == ("CANCELED", {"isCompleted", "isFailed", "isCancelled"})
    assert failed["error"] == {"name": "ValueError", "message": "no such file", "stackTrace": "Traceback …"}
    assert canceled["error"] == {"message": "Canceled by user"}
    assert {"startedAt", "finishedAt", "version"} <= set(done) and "output" not in failed
    assert (done["attemptCount"], canceled["attemptCount"]) == (1, 0)


async def test_clients_of_before_versions_get_the_words_they_know(api: Api) -> None:
    await api.register("resize")
    run_id = await api.trigger()
    await api.claim()
    headers = {"authorization": api.headers()["authorization"]}
    old = (await api.client.get(f"/api/v3/runs/{run_id}", headers=headers)).json()
    listed = (await api.client.get("/api/v1/runs", headers=headers)).json()["data"]
    assert (old["status"], listed[0]["status"]) == ("EXECUTING", "EXECUTING")
    assert (await api.run(run_id))["status"] == "DEQUEUED"


async def test_the_result_is_there_when_the_run_is_over(api: Api) -> None:
    await api.register("resize")
    run_id = await api.trigger()
    answer = await api.call("GET", f"/api/v1/runs/{run_id}/result")
    assert (answer.status_code, answer.json()) == (404, {"error": "Run not finished"})
    await api.finish(output='{"a":1}')
    assert await api.get(f"/api/v1/runs/{run_id}/result") == {
        "ok": True,
        "id": run_id,
        "taskIdentifier": "resize",
        "output": '{"a":1}',
        "outputType": "application/json",
        "usage": {"durationMs": 0},
    }
    await api.trigger()
    failed = await api.get(f"/api/v1/runs/{await api.fail()}/result")
    assert failed["ok"] is False and failed["error"]["type"] == "BUILT_IN_ERROR"


# --- lists --------------------------------------------------------------------------------------------------


async def _ids(api: Api, **query: str) -> list[str]:
    names = {name.replace("__", "[").replace("_", "][") + "]": value for name, value in query.items()}
    return [run["id"] for run in (await api.get("/api/v1/runs", params=names))["data"]]


async def test_every_filter_narrows(api: Api) -> None:
    await api.register("resize", "mail")
    await api.trigger("resize", tags=["a", "b"], machine="micro")
    done = await api.finish()
    late = await api.trigger("mail", tags=["b"], delay="1h", test=True)
    queued = await api.trigger("mail", queue={"name": "letters"})
    version = (await api.run(done))["version"]
    every = [queued, late, done]
    table: list[tuple[dict[str, str], list[str]]] = [
        ({}, every),
        ({"filter__status": "COMPLETED"}, [done]),
        ({"filter__status": "DELAYED,QUEUED"}, [queued, late]),
        ({"filter__status": "REATTEMPTING,QUEUED"}, [queued]),
        ({"filter__taskIdentifier": "mail"}, [queued, late]),
        ({"filter__taskIdentifier": "mail,resize"}, every),
        ({"filter__tag": "b"}, [late, done]),
        ({"filter__tag": "a,none"}, [done]),
        ({"filter__version": version}, [done]),
        ({"filter__version": "20200101.1"}, []),
        ({"filter__queue": "letters"}, [queued]),
        ({"filter__queue": "task/resize"}, [done]),
        ({"filter__queue": "letters,task/resize"}, [queued, done]),
        ({"filter__machine": "micro"}, [done]),
        ({"filter__batch": "batch_x"}, []),
        ({"filter__schedule": "sched_x"}, []),
        ({"filter__bulkAction": "bulk_x"}, []),
        ({"filter__isTest": "true"}, [late]),
        ({"filter__isTest": "false"}, [queued, done]),
        ({"filter__createdAt_from": "1000"}, every),
        ({"filter__createdAt_to": "1000"}, []),
        ({"filter__createdAt_from": "2020-01-01T00:00:00Z", "filter__createdAt_to": "2100-01-01"}, every),
        ({"filter__createdAt_period": "1d", "filter__createdAt_to": "1000"}, every),
        ({"filter__createdAt_period": "9999999w"}, every),
    ]
    for query, wanted in table:
        assert await _ids(api, **query) == wanted, query


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filter[status]", "DONE"),
        ("filter[machine]", "huge"),
        ("filter[isTest]", "yes"),
        ("filter[createdAt][from]", "yesterday"),
        ("filter[createdAt][from]", "9" * 18),
        ("filter[createdAt][to]", "9" * 5000),
        ("filter[createdAt][period]", "long"),
        ("page[after]", "no cursor"),
        ("page[before]", "é"),
    ],
)
async def test_a_filter_that_is_wrong_is_named(api: Api, name: str, value: str) -> None:
    answer = await api.call("GET", "/api/v1/runs", params={name: value})
    assert answer.status_code == 400
    assert name in answer.json()["error"] or "cursor" in answer.json()["error"]


async def test_pages_lead_forth_and_back(api: Api) -> None:
    made = [await api.trigger() for _ in range(5)][::-1]

    async def page(**cursor: str) -> tuple[list[str], dict[str, str]]:
        query = {"page[size]": "2", **{f"page[{name}]": value for name, value in cursor.items()}}
        found = await api.get("/api/v1/runs", params=query)
        return [run["id"] for run in found["data"]], found["pagination"]

    first, at_first = await page()
    assert (first, set(at_first)) == (made[:2], {"next"})
    second, at_second = await page(after=at_first["next"])
    assert (second, set(at_second)) == (made[2:4], {"next", "previous"})
    third, at_third = await page(after=at_second["next"])
    assert (third, set(at_third)) == (made[4:], {"previous"})
    back, _ = await page(before=at_second["previous"], after=at_first["next"])
    assert back == made[:2]
    assert (await page(before=at_third["previous"]))[0] == made[2:4]


async def test_an_item_of_a_list_has_its_environment_and_no_payload(api: Api) -> None:
    run_id = await api.trigger(payload={"a": 1}, metadata={"m": 1})
    (item,) = (await api.get("/api/v1/runs"))["data"]
    assert (item["id"], item["env"]["name"], item["metadata"]) == (run_id, "prod", {"m": 1})
    assert not {"payload", "output", "relatedRuns"} & set(item)


# --- changes ----------------------------------------------------------------------------------------------


async def test_a_cancel_is_answered_alike_whatever_the_run_does(api: Api) -> None:
    await api.register("resize")
    executing = await api.trigger()
    await api.start()
    delayed = await api.trigger(delay="1h")
    await api.trigger()
    done = await api.finish()
    for run_id in (executing, delayed, done, executing):
        answer = await api.call("POST", f"/api/v2/runs/{run_id}/cancel")
        assert (answer.status_code, answer.json()) == (200, {"id": run_id})
    assert [(await api.run(run_id))["status"] for run_id in (executing, delayed, done)] == [
        "CANCELED",
        "CANCELED",
        "COMPLETED",
    ]
    assert "finishedAt" not in await api.run(executing), "its worker has not confirmed"


@pytest.mark.parametrize("body", [None, b"", b"{}"])
async def test_a_replay_takes_what_the_run_was_given(api: Api, body: bytes | None) -> None:
    first = await api.trigger(
        payload={"a": 1}, tags=["t"], metadata={"m": 1}, idempotencyKey="k", ttl="1h", delay="1h"
    )
    answer = await api.call(
        "POST", f"/api/v1/runs/{first}/replay", content=body, headers={"content-type": "application/json"}
    )
    run = await api.run(answer.json()["id"])
    assert run["id"] != first and (run["payload"], run["tags"], run["metadata"]) == (
        {"a": 1},
        ["t"],
        {"m": 1},
    )
    assert not {"idempotencyKey", "ttl", "delayedUntil"} & set(run)


async def test_a_replay_whose_answer_was_lost_may_be_asked_for_again(api: Api) -> None:
    """ID-07: the request names itself by its header."""
    first = await api.trigger()
    headers = {"x-trigger-request-idempotency-key": "request-1"}
    answers = [await api.call("POST", f"/api/v1/runs/{first}/replay", headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    other = await api.call("POST", f"/api/v1/runs/{first}/replay")
    assert other.json() != answers[0].json()


async def test_a_replay_may_change_what_the_run_is_given(api: Api) -> None:
    first = await api.trigger(payload={"a": 1}, tags=["t"], metadata={"m": 1})
    body = {
        "payload": '{"json":{"b":2}}',
        "payloadType": "application/super+json",
        "tags": ["u"],
        "metadata": {"m": 2},
        "delay": "1h",
        "ttl": "2h",
    }
    answer = await api.call("POST", f"/api/v1/runs/{first}/replay", json=body)
    run = await api.run(answer.json()["id"])
    assert (run["payload"], run["tags"], run["metadata"], run["ttl"]) == ({"b": 2}, ["u"], {"m": 2}, "2h")
    assert run["status"] == "DELAYED"


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"unknown": 1}', b'{"maxAttempts": 0}'])
async def test_a_replay_with_a_body_that_is_wrong_is_refused(api: Api, body: bytes) -> None:
    run_id = await api.trigger()
    answer = await api.call("POST", f"/api/v1/runs/{run_id}/replay", content=body)
    assert answer.status_code == 400 and list(answer.json()) == ["error"]
    assert len((await api.get("/api/v1/runs"))["data"]) == 1


# --- long polls -------------------------------------------------------------------------------------------


async def test_whoever_waits_hears_of_the_next_change(api: Api) -> None:
    await api.register("resize")
    run_id = await api.trigger()
    since = (await api.run(run_id))["updatedAt"]
    await asyncio.sleep(0.002)  # times are milliseconds, and the change must have another one
    query = {"seconds": "10", "since": since}
    waiting = asyncio.create_task(api.get(f"/api/v1/runs/{run_id}/wait", params=query))
    await api.claim()
    assert (await asyncio.wait_for(waiting, 5))["status"] == "DEQUEUED"


async def test_a_wait_ends_by_itself(api: Api) -> None:
    run_id = await api.trigger()
    assert (await api.get(f"/api/v1/runs/{run_id}/wait", params={"seconds": "0.01"}))["status"] == "QUEUED"
    assert (await api.get(f"/api/v1/runs/{run_id}/wait"))["status"] == "QUEUED"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("wait", {"seconds": "long"}),
        ("wait", {"seconds": "nan"}),
        ("logs", {"after": "-1"}),
        ("logs", {"after": "²"}),
        ("logs", {"limit": "9" * 30}),
        ("logs", {"wait": "x"}),
    ],
)
async def test_a_number_that_is_none_is_refused(api: Api, path: str, query: dict[str, str]) -> None:
    run_id = await api.trigger()
    answer = await api.call("GET", f"/api/v1/runs/{run_id}/{path}", params=query)
    assert answer.status_code == 400 and next(iter(query)) in answer.json()["error"]


async def test_logs_come_in_pages_and_end_with_the_run(api: Api) -> None:
    from trigger_lite.store.logs import LogRow

    await api.register("resize")
    run_id = await api.trigger()
    rows = [LogRow(0, run_id, 1, 1_000 + n, "LOG", "stdout", f"line {n}", None) for n in range(3)]
    await api.services.logs.add(rows)
    first = await api.get(f"/api/v1/runs/{run_id}/logs", params={"limit": "2"})
    assert ([line["message"] for line in first["lines"]], first["finished"]) == (["line 0", "line 1"], False)
    rest = await api.get(f"/api/v1/runs/{run_id}/logs", params={"after": str(first["next"])})
    assert [line["message"] for line in rest["lines"]] == ["line 2"]
    await api.finish()
    done = await api.get(f"/api/v1/runs/{run_id}/logs", params={"after": str(rest["next"]), "wait": "10"})
    assert (done["lines"], done["next"], done["finished"]) == ([], rest["next"], True)


async def test_what_was_removed_by_age_is_left_out(api: Api) -> None:
    """CN-13: an absent member, not a null."""
    await api.register("resize")
    run_id = await api.trigger(payload={"order": 7}, options={"metadata": {"a": 1}})
    await api.finish()
    before = (await api.services.store.read(lambda tx: tx.now)) + 60_000
    assert await api.services.store.write(remove, Kind.PAYLOADS, [run_id], before) == 1
    run = await api.get(f"/api/v3/runs/{run_id}")
    assert (run["status"], "payload" in run, "output" in run) == ("COMPLETED", False, False)
    assert not run.get("metadata")
