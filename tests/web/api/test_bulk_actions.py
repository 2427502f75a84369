"""Bulk actions over HTTP, as official clients send them (management-api 9.2)."""

from typing import Any

import pytest

from tests.web.api.conftest import Api
from trigger_lite.background.bulk_actions import work_on_bulk_actions

_PATH = "/api/v1/bulk-actions"


async def _make(api: Api, **body: Any) -> str:
    answer = await api.call("POST", _PATH, json={"action": "cancel", **body})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def _work(api: Api) -> None:
    while await work_on_bulk_actions(api.services.store) is not None:
        pass


async def _done(api: Api, **body: Any) -> dict[str, Any]:
    """Make a bulk action and return it when it is through."""
    bulk_id = await _make(api, **body)
    await _work(api)
    found: dict[str, Any] = await api.get(f"{_PATH}/{bulk_id}")
    return found


async def _statuses(api: Api) -> dict[str, str]:
    listed = await api.get("/api/v1/runs", params={"page[size]": 100})
    return {run["id"]: run["status"] for run in listed["data"]}


async def test_a_bulk_action_is_answered_at_once_and_shows_its_progress(api: Api) -> None:
    """CN-14: total is known from the beginning, success and failure as they come."""
    for _ in range(3):
        await api.trigger()
    bulk_id = await _make(api, filter={"status": "QUEUED"}, name="clean up")
    begun = await api.get(f"{_PATH}/{bulk_id}")
    assert (begun["type"], begun["status"], begun["name"]) == ("CANCEL", "PENDING", "clean up")
    assert begun["counts"] == {"total": 3, "success": 0, "failure": 0}
    assert set((await _statuses(api)).values()) == {"QUEUED"}
    await _work(api)
    ended = await api.get(f"{_PATH}/{bulk_id}")
    assert (ended["status"], ended["counts"]) == ("COMPLETED", {"total": 3, "success": 3, "failure": 0})
    assert {"createdAt", "completedAt"} <= set(ended)
    assert set((await _statuses(api)).values()) == {"CANCELED"}


async def test_every_field_of_a_filter_narrows(api: Api) -> None:
    """CN-14: the same words as in a list of runs."""
    await api.register("resize", "mail")
    first = await api.trigger("resize", tags=["a", "b"], machine="micro")
    await api.finish()
    second = await api.trigger("mail", tags=["b"], delay="1h", test=True)
    third = await api.trigger("mail", queue={"name": "letters"})
    version = (await api.run(first))["version"]
    earlier = await _make(api, action="replay", runIds=[third])
    table: list[tuple[dict[str, Any], list[str]]] = [
        ({"status": ["DELAYED", "QUEUED"]}, [second, third]),
        ({"status": "COMPLETED"}, [first]),
        ({"taskIdentifier": ["mail", "none"]}, [second, third]),
        ({"tag": "b"}, [first, second]),
        ({"tag": ["a", "c"]}, [first]),
        ({"version": version}, [first]),
        ({"queue": {"type": "custom", "name": "letters"}}, [third]),
        ({"queue": [{"type": "task", "name": "mail"}, "letters"]}, [second, third]),
        ({"machine": ["micro"]}, [first]),
        ({"isTest": True}, [second]),
        ({"isTest": False, "period": "1d"}, [first, third]),
        ({"from": 1000, "to": 2000}, []),
        ({"from": "2020-01-01T00:00:00.000Z"}, [first, second, third]),
        ({"batch": "batch_none"}, []),
        ({"schedule": "sched_none"}, []),
        ({"bulkAction": earlier}, [third]),
        ({"region": "eu", "period": "1d"}, [first, second, third]),
    ]
    for body, wanted in table:
        made = await _make(api, filter=body)
        counts = (await api.get(f"{_PATH}/{made}"))["counts"]
        assert counts["total"] == len(wanted), body
        await api.call("POST", f"{_PATH}/{made}/abort")


async def test_named_runs_are_replayed_once_each(api: Api) -> None:
    """CN-14: an id that is named twice is one run; the new runs say where they come from."""
    named = [await api.trigger(payload=number) for number in range(2)]
    done = await _done(api, action="replay", runIds=[*named, named[0]])
    assert (done["type"], done["counts"]) == ("REPLAY", {"total": 2, "success": 2, "failure": 0})
    listed = await api.get("/api/v1/runs", params={"filter[bulkAction]": done["id"]})
    assert len(listed["data"]) == 4 and {run["id"] for run in listed["data"]} > set(named)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "Exactly one of filter or runIds must be provided"),
        ({"filter": {"tag": "a"}, "runIds": ["run_1"]}, "Exactly one of filter or runIds must be provided"),
        ({"filter": {}}, "At least one filter must be provided"),
        ({"filter": {"tag": "  ", "status": []}}, "At least one filter must be provided"),
        ({"filter": {"statuses": "QUEUED"}}, "Object contains unknown field `statuses`"),
        ({"filter": {"status": "BUSY"}}, "filter.status has 'BUSY', which is no status"),
        ({"filter": {"machine": "huge"}}, "filter.machine has 'huge'; machines are micro"),
        ({"filter": {"period": "often"}}, "filter.period is 'often'; write for example \"1d\""),
        ({"filter": {"from": "often"}}, "filter.from is 'often', which is neither Unix ms nor a date"),
        ({"filter": {"to": -1}}, "filter.to is -1, which is neither Unix ms nor a date"),
        ({"filter": {"queue": {"type": "other", "name": "x"}}}, "Invalid enum value 'other'"),
        ({"runIds": []}, "runIds must name at least one run"),
        ({"runIds": [f"run_{n}" for n in range(501)]}, "Too many runIds (501). Maximum is 500."),
        ({"action": "pause", "runIds": ["run_1"]}, "Invalid enum value 'pause'"),
        ({"runIds": ["run_1"], "name": "n" * 256}, "length <= 255"),
    ],
)
async def test_a_body_that_means_no_runs_is_refused(api: Api, body: dict[str, Any], error: str) -> None:
    """CN-14: in one line; nothing is made."""
    answer = await api.call("POST", _PATH, json={"action": "cancel", **body})
    assert answer.status_code == 400 and error in answer.json()["error"]
    assert (await api.get(_PATH))["data"] == []


async def test_without_a_time_the_last_seven_days_are_meant(api: Api) -> None:
    """CN-14: as in a list of runs, so that what was listed is what is touched."""
    old = await api.trigger()

    def age(tx: Any) -> None:
        from trigger_lite.store.query import Statement

        week_ago = tx.now - 8 * 86_400_000
        tx.run(Statement("UPDATE run SET created_at = :at WHERE id = :id"), at=week_ago, id=old)

    await api.services.store.write(age)
    assert (await _done(api, filter={"status": "QUEUED"}))["counts"]["total"] == 0
    assert (await _done(api, filter={"status": "QUEUED", "period": "30d"}))["counts"]["success"] == 1


async def test_a_fourth_replay_is_refused_and_not_worth_another_try(api: Api) -> None:
    """CN-14: 429 that official clients do not repeat."""
    run_id = await api.trigger()
    for _ in range(3):
        await _make(api, action="replay", runIds=[run_id])
    answer = await api.call("POST", _PATH, json={"action": "replay", "runIds": [run_id]})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "false")
    assert "3 bulk replays at a time" in answer.json()["error"]


async def test_bulk_actions_are_listed_newest_first_by_cursor(api: Api) -> None:
    """CN-14: back and forth."""
    run_id = await api.trigger()
    made = [await _make(api, runIds=[run_id], name=str(n)) for n in range(3)][::-1]
    first = await api.get(_PATH, params={"page[size]": 2})
    assert [one["id"] for one in first["data"]] == made[:2]
    assert "previous" not in first["pagination"]
    second = await api.get(_PATH, params={"page[size]": 2, "page[after]": first["pagination"]["next"]})
    assert [one["id"] for one in second["data"]] == made[2:]
    assert "next" not in second["pagination"]
    back = await api.get(_PATH, params={"page[size]": 2, "page[before]": second["pagination"]["previous"]})
    assert back["data"] == first["data"]
    assert (await api.call("GET", _PATH, params={"page[after]": "x"})).status_code == 400
    assert (await api.get(_PATH, environment="dev"))["data"] == []


async def test_an_aborted_action_stays_as_it_is(api: Api) -> None:
    """CN-14: a second abort is refused."""
    await api.trigger()
    bulk_id = await _make(api, filter={"status": "QUEUED"})
    answer = await api.call("POST", f"{_PATH}/{bulk_id}/abort")
    assert (answer.status_code, answer.json()) == (200, {"id": bulk_id})
    await _work(api)
    assert (await api.get(f"{_PATH}/{bulk_id}"))["status"] == "ABORTED"
    assert set((await _statuses(api)).values()) == {"QUEUED"}
    again = await api.call("POST", f"{_PATH}/{bulk_id}/abort")
    assert (again.status_code, again.json()) == (422, {"error": f"{bulk_id} is ABORTED already"})


async def test_a_bulk_action_of_another_environment_is_not_there(api: Api) -> None:
    """CN-14: neither to read nor to abort."""
    bulk_id = await _make(api, runIds=[await api.trigger()])
    for method, path in (("GET", f"{_PATH}/{bulk_id}"), ("POST", f"{_PATH}/{bulk_id}/abort")):
        answer = await api.call(method, path, environment="dev")
        assert (answer.status_code, answer.json()) == (404, {"error": "Bulk action not found"})


async def test_a_request_sent_again_makes_no_second_action(api: Api) -> None:
    """ID-07: the answer is the same."""
    headers = {"x-trigger-request-idempotency-key": "request-1"}
    body = {"action": "cancel", "runIds": [await api.trigger()]}
    first = await api.call("POST", _PATH, json=body, headers=headers)
    second = await api.call("POST", _PATH, json=body, headers=headers)
    assert first.json() == second.json()
    assert len((await api.get(_PATH))["data"]) == 1
