"""Schedules over HTTP (management-api 9.3): SC-01, SC-02, SC-10 to SC-15, SC-21."""

from typing import Any, Final

import pytest

from tests.web.api.conftest import Api

_ALL: Final = "/api/v1/schedules"
_MISSING: Final = f"{_ALL}/sched_06gzzzzzzzzzzzzzzzzzzzzz"


async def _register(
    api: Api, *tasks: dict[str, Any], environment: str = "prod", content: str = "one"
) -> None:
    """Register tasks as workers do; without any, `nightly`, which schedules may run, and `resize`."""
    project = (await api.get("/api/v1/whoami"))["project"]["externalRef"]
    listed = list(tasks) or [{"id": "nightly", "triggerSource": "schedule"}, {"id": "resize"}]
    answer = await api.call(
        "POST",
        f"/api/v1/projects/{project}/background-workers",
        environment=environment,
        json={"metadata": {"contentHash": content, "tasks": listed}},
    )
    assert answer.status_code == 200, answer.text


async def _create(api: Api, *, environment: str = "prod", **body: Any) -> Any:
    request = {"task": "nightly", "cron": "0 5 * * *", **body}
    answer = await api.call("POST", _ALL, json=request, environment=environment)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _send(api: Api, method: str, path: str, **request: Any) -> Any:
    answer = await api.call(method, path, **request)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_schedule_is_made_and_shown_whole(api: Api) -> None:
    """SC-21: what clients read, and what only this server has."""
    await _register(api)
    environment = (await api.get("/api/v1/whoami"))["id"]
    body = {"timezone": "Asia/Tokyo", "externalId": "user_7", "deduplicationKey": "u7", "window": "30m"}
    made = await _create(api, **body, overlap="skip", catchUp="all", expectWithin="15m")
    next_run = made.pop("nextRun")
    assert next_run.endswith("T20:00:00.000Z")
    assert made.pop("nextRunEffectiveAt") == next_run
    assert made.pop("id").startswith("sched_")
    assert made == {
        "type": "IMPERATIVE",
        "task": "nightly",
        "active": True,
        "generator": {"type": "CRON", "expression": "0 5 * * *", "description": "At 05:00 every day"},
        "timezone": "Asia/Tokyo",
        "externalId": "user_7",
        "deduplicationKey": "u7",
        "window": "30m",
        "overlap": "skip",
        "catchUp": "all",
        "expectWithin": 900,
        "environments": [{"id": environment, "type": "PRODUCTION"}],
    }


async def test_a_schedule_without_a_key_shows_none(api: Api) -> None:
    """SC-21: nor anything else that nobody gave."""
    await _register(api)
    made = await _create(api)
    assert not {"deduplicationKey", "externalId", "window", "expectWithin", "lastRun"} & made.keys()
    assert (made["timezone"], made["overlap"], made["catchUp"]) == ("UTC", "allow", "latest")
    assert await api.get(f"{_ALL}/{made['id']}") == made


async def test_schedules_are_listed_page_by_page_the_newest_first(api: Api) -> None:
    """SC-21, SC-13: those of this environment."""
    await _register(api)
    await _register(api, environment="dev")
    await _create(api, environment="dev")
    ids = [(await _create(api))["id"] for _ in range(5)][::-1]
    page = await api.get(_ALL)
    assert [schedule["id"] for schedule in page["data"]] == ids
    assert page["pagination"] == {"currentPage": 1, "totalPages": 1, "count": 5}
    page = await api.get(f"{_ALL}?page=2&perPage=2")
    assert [schedule["id"] for schedule in page["data"]] == ids[2:4]
    assert page["pagination"] == {"currentPage": 2, "totalPages": 3, "count": 5}
    assert (await api.get(f"{_ALL}?page=9"))["data"] == []


async def test_a_key_leads_to_the_same_schedule(api: Api) -> None:
    """SC-11."""
    await _register(api)
    first = await _create(api, deduplicationKey="u7", externalId="seven")
    second = await _create(api, deduplicationKey="u7", cron="0 6 * * *")
    assert (second["id"], second["generator"]["expression"]) == (first["id"], "0 6 * * *")
    assert "externalId" not in second
    assert (await api.get(_ALL))["pagination"]["count"] == 1


async def test_a_put_replaces_and_a_patch_changes(api: Api) -> None:
    """SC-12: what a PUT leaves out is as by default, what a PATCH leaves out stays."""
    await _register(api)
    made = await _create(api, timezone="Asia/Tokyo", externalId="seven", overlap="skip")
    one = f"{_ALL}/{made['id']}"
    changed = await _send(api, "PATCH", one, json={"cron": "0 6 * * *"})
    assert (changed["generator"]["description"], changed["timezone"]) == ("At 06:00 every day", "Asia/Tokyo")
    assert (changed["externalId"], changed["overlap"]) == ("seven", "skip")
    assert "externalId" not in await _send(api, "PATCH", one, json={"externalId": None})
    replaced = await _send(api, "PUT", one, json={"task": "nightly", "cron": "0 7 * * *"})
    assert (replaced["timezone"], replaced["overlap"]) == ("UTC", "allow")


async def test_a_schedule_is_switched_off_and_on(api: Api) -> None:
    """SC-14: while it is off there is no next run."""
    await _register(api)
    made = await _create(api)
    one = f"{_ALL}/{made['id']}"
    off = await _send(api, "POST", f"{one}/deactivate")
    assert not off["active"] and "nextRun" not in off
    assert await _send(api, "POST", f"{one}/activate") == made


async def test_a_deleted_schedule_is_gone(api: Api) -> None:
    """SC-15."""
    await _register(api)
    made = await _create(api)
    one = f"{_ALL}/{made['id']}"
    assert await _send(api, "DELETE", one) == {"id": made["id"]}
    assert (await api.call("GET", one)).status_code == 404


async def test_runs_show_their_schedule_and_are_listed_by_it(api: Api) -> None:
    """SC-21: also once the schedule is gone, as far as that is known."""
    await _register(api)
    made = await _create(api, externalId="seven", deduplicationKey="u7")
    run_id = (await _send(api, "POST", f"{_ALL}/{made['id']}/run"))["id"]
    await _send(api, "POST", f"{_ALL}/{(await _create(api))['id']}/run")
    run = await api.run(run_id)
    assert run["schedule"] == {
        "id": made["id"],
        "externalId": "seven",
        "deduplicationKey": "u7",
        "generator": made["generator"],
    }
    assert run["payload"]["scheduleId"] == made["id"]
    listed = await api.get(f"/api/v1/runs?filter[schedule]={made['id']}")
    assert [found["id"] for found in listed["data"]] == [run_id]
    await _send(api, "DELETE", f"{_ALL}/{made['id']}")
    assert "schedule" not in await api.run(run_id)


async def test_code_declares_schedules_as_the_official_command_registers_them(api: Api) -> None:
    """SC-10: they cannot be changed or removed by calls."""
    declared = {"cron": "*/15 9-17 * * 1-5", "timezone": "Europe/Berlin", "environments": ["PRODUCTION"]}
    await _register(api, {"id": "nightly", "triggerSource": "schedule", "schedule": declared})
    (schedule,) = (await api.get(_ALL))["data"]
    assert (schedule["type"], schedule["task"]) == ("DECLARATIVE", "nightly")
    description = "Every 15 minutes from 09:00 to 17:59 from Monday to Friday"
    assert schedule["generator"]["description"] == description
    assert "deduplicationKey" not in schedule
    one = f"{_ALL}/{schedule['id']}"
    for method, body in (("PUT", {"task": "nightly", "cron": "0 5 * * *"}), ("PATCH", {}), ("DELETE", None)):
        answer = await api.call(method, one, json=body)
        assert answer.status_code == 422, answer.text
        assert "is declared in code" in answer.json()["error"]
    assert not (await _send(api, "POST", f"{one}/deactivate"))["active"]


async def test_a_version_whose_schedule_cannot_be_is_refused(api: Api) -> None:
    """SC-01."""
    project = (await api.get("/api/v1/whoami"))["project"]["externalRef"]
    tasks = [{"id": "nightly", "schedule": {"cron": "0 5 * *"}}]
    answer = await api.call(
        "POST",
        f"/api/v1/projects/{project}/background-workers",
        json={"metadata": {"contentHash": "x", "tasks": tasks}},
    )
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Task 'nightly': cron '0 5 * *' must have five fields")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"task": "nightly"}, 400, "Object missing required field `cron`"),
        ({"task": "nightly", "cron": 5}, 400, "Expected `str`, got `int` - at `$.cron`"),
        ({"task": "nightly", "cron": "0 5 * * *", "overlap": "stack"}, 400, "Invalid enum value 'stack'"),
        ({"task": "nightly", "cron": "0 5 * * *", "window": "1d"}, 400, "window"),
        ({"task": "nightly", "cron": "0 5 * * *", "window": "25h"}, 400, "over its limit of 24h"),
        ({"task": "nightly", "cron": "0 5 * * *", "expectWithin": "soon"}, 400, "is not a duration"),
        ({"task": "nightly", "cron": "0 5 * * *", "expectWithin": -1}, 400, "expectWithin"),
        ({"task": "nightly", "cron": "0 5 * * *", "externalId": "x" * 1_025}, 400, "externalId"),
        ({"task": "nightly", "cron": "0 5 * * *", "deduplicationKey": "x" * 2_000}, 400, "over the limit"),
        ({"task": "nightly", "cron": "0 0 5 * * *"}, 422, "seconds are not supported"),
        ({"task": "nightly", "cron": "0 0 30 2 *"}, 422, "never happens"),
        ({"task": "nightly", "cron": "0 5 * * *", "timezone": "Mars"}, 422, "no IANA time zone"),
        ({"task": "unknown", "cron": "0 5 * * *"}, 422, "There is no task 'unknown'"),
        ({"task": "resize", "cron": "0 5 * * *"}, 422, "is no scheduled task"),
    ],
)
async def test_a_schedule_that_cannot_be_is_refused_in_one_line(
    api: Api, body: dict[str, Any], status: int, error: str
) -> None:
    """SC-01, SC-02, SC-11: when it is made, and when it is changed."""
    await _register(api)
    answer = await api.call("POST", _ALL, json=body)
    assert answer.status_code == status, answer.text
    assert error in answer.json()["error"] and "\n" not in answer.json()["error"]
    assert (await api.get(_ALL))["data"] == []
    made = await _create(api)
    answer = await api.call("PUT", f"{_ALL}/{made['id']}", json=body)
    if "deduplicationKey" not in body:
        assert answer.status_code == status, answer.text
        assert await api.get(f"{_ALL}/{made['id']}") == made


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", _MISSING, None),
        ("PUT", _MISSING, {"task": "nightly", "cron": "0 5 * * *"}),
        ("PATCH", _MISSING, {}),
        ("DELETE", _MISSING, None),
        ("POST", f"{_MISSING}/activate", None),
        ("POST", f"{_MISSING}/deactivate", None),
        ("POST", f"{_MISSING}/run", None),
    ],
)
async def test_a_schedule_that_is_not_there_is_not_found(api: Api, method: str, path: str, body: Any) -> None:
    """SC-13: nor is another environment's."""
    await _register(api, environment="dev")
    other = await _create(api, environment="dev")
    for place in (path, path.replace("sched_06gzzzzzzzzzzzzzzzzzzzzz", other["id"])):
        answer = await api.call(method, place, json=body)
        assert (answer.status_code, answer.json()) == (404, {"error": "Schedule not found"})
    assert await api.get(f"{_ALL}/{other['id']}", environment="dev") == other


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "perPage=0", "page=-1", "page=1.5", "page=" + "9" * 99]
)
async def test_a_page_that_is_none_is_refused(api: Api, query: str) -> None:
    answer = await api.call("GET", f"{_ALL}?{query}")
    assert answer.status_code == 400, answer.text


async def test_without_a_key_nothing_is_shown_but_the_zones(api: Api) -> None:
    """SC-02: every zone that a schedule may name."""
    for method, path in (("GET", _ALL), ("POST", _ALL), ("GET", _MISSING), ("POST", f"{_MISSING}/run")):
        assert (await api.client.request(method, path)).status_code == 401
    zones = (await api.client.get("/api/v1/timezones")).json()["timezones"]
    assert {"UTC", "Europe/Berlin", "Asia/Tokyo"} <= set(zones)
    assert zones == sorted(zones)
    without = (await api.client.get("/api/v1/timezones?excludeUtc=true")).json()["timezones"]
    assert set(zones) - set(without) == {"UTC"}


async def test_a_request_that_is_sent_again_is_answered_and_not_repeated(api: Api) -> None:
    """ID-07: its answer was lost on the way."""
    await _register(api)
    again = {"headers": {"x-trigger-request-idempotency-key": "once"}}
    body = {"task": "nightly", "cron": "0 5 * * *", "overlap": "skip"}
    made = [(await _send(api, "POST", _ALL, json=body, **again))["id"] for _ in range(2)]
    assert made[0] == made[1] and made[0] != (await _send(api, "POST", _ALL, json=body))["id"]
    ran = [(await _send(api, "POST", f"{_ALL}/{made[0]}/run", **again))["id"] for _ in range(2)]
    assert ran[0] == ran[1]
    long = {"x-trigger-request-idempotency-key": "x" * 2_000}
    assert (await api.call("POST", _ALL, json=body, headers=long)).status_code == 400
    await _send(api, "DELETE", f"{_ALL}/{made[0]}")
    assert (await _send(api, "POST", _ALL, json=body, **again))["id"] != made[0]
