"""Everyday options over HTTP: debounce, reschedule, replay, reset of keys (management-api 7, 9.1, 9.2)."""

import asyncio
from typing import Any

import pytest

from tests.web.api.conftest import Api

_DEBOUNCE = {"key": "user-1", "delay": "1h"}


async def _refused(api: Api, path: str, body: Any) -> tuple[int, str]:
    answer = await api.call("POST", path, json=body)
    return answer.status_code, answer.json()["error"]


# ---- debounce -------------------------------------------------------------------------------------------


async def test_debounced_triggers_at_once_make_one_run(api: Api) -> None:
    """DB-10: no trigger fails, all name the same run."""
    made = await asyncio.gather(*(api.trigger(payload=n, debounce=_DEBOUNCE) for n in range(20)))
    assert len(set(made)) == 1
    run = await api.run(made[0])
    assert (run["status"], run["payload"]) == ("DELAYED", 0)


async def test_the_last_payload_wins_in_trailing_mode(api: Api) -> None:
    """DB-08: as the official client sends it."""
    debounce = {**_DEBOUNCE, "mode": "trailing", "maxDelay": "1d"}
    first = await api.trigger(payload=1, debounce=debounce)
    assert await api.trigger(payload=2, debounce=debounce) == first
    assert (await api.run(first))["payload"] == 2


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"delay": "tomorrow"}, 422, "debounce.delay 'tomorrow' is not a duration"),
        ({"maxDelay": "1h"}, 422, "debounce.maxDelay '1h' must be longer than debounce.delay '1h'"),
        ({"key": ""}, 400, "length >= 1"),
        ({"key": "k" * 513}, 400, "length <= 512"),
        ({"mode": "both"}, 400, "Invalid enum value 'both'"),
        ({"delay": None}, 400, "Expected `str`, got `null`"),
    ],
)
async def test_a_debounce_that_makes_no_sense_is_refused(
    api: Api, change: dict[str, Any], status: int, error: str
) -> None:
    """DB-06: in one line that says what would be right."""
    body = {"options": {"debounce": {**_DEBOUNCE, **change}}}
    answered, message = await _refused(api, "/api/v1/tasks/resize/trigger", body)
    assert answered == status and error in message


# ---- reschedule -----------------------------------------------------------------------------------------


async def test_a_delayed_run_is_rescheduled_and_shown_whole(api: Api) -> None:
    """CN-09: by a duration or a date."""
    run_id = await api.trigger(delay="1h")
    before = (await api.run(run_id))["delayedUntil"]
    path = f"/api/v1/runs/{run_id}/reschedule"
    by_duration = (await api.call("POST", path, json={"delay": "2h"})).json()
    assert by_duration["delayedUntil"] > before
    by_date = await api.call("POST", path, json={"delay": "2099-01-02T03:04:05.678Z"})
    assert (by_date.status_code, by_date.json()["delayedUntil"]) == (200, "2099-01-02T03:04:05.678Z")
    assert await api.run(run_id) == by_date.json()


@pytest.mark.parametrize(
    ("delay", "status"), [("soon", 400), ("0s", 400), ("2001-01-01", 400), (None, 400), (7, 400)]
)
async def test_a_time_that_is_none_moves_nothing(api: Api, delay: Any, status: int) -> None:
    """CN-09: malformed or over."""
    run_id = await api.trigger(delay="1h")
    before = await api.run(run_id)
    answered, _ = await _refused(api, f"/api/v1/runs/{run_id}/reschedule", {"delay": delay})
    assert (answered, await api.run(run_id)) == (status, before)


async def test_a_run_in_line_is_not_rescheduled(api: Api) -> None:
    """CN-09: 422, and a missing run 404."""
    run_id = await api.trigger()
    status, error = await _refused(api, f"/api/v1/runs/{run_id}/reschedule", {"delay": "1h"})
    assert (status, error) == (422, f"{run_id} is QUEUED; only a DELAYED run can be rescheduled")
    assert (await _refused(api, "/api/v1/runs/run_06gz/reschedule", {"delay": "1h"}))[0] == 404


# ---- replay ---------------------------------------------------------------------------------------------


async def test_a_run_whose_payload_is_gone_is_not_replayed(api: Api) -> None:
    """CN-13: a clear answer instead of an empty payload."""
    run_id = await api.trigger(payload=1)

    def prune(tx: Any) -> None:
        from trigger_lite.store.runs import find_run, update_run

        run = find_run(tx, run_id)
        assert run is not None
        update_run(tx, run, {"payload": None, "pruned_at": tx.now})

    await api.services.store.write(prune)
    status, error = await _refused(api, f"/api/v1/runs/{run_id}/replay", {})
    assert (status, f"The payload of {run_id} is kept no more" in error) == (422, True)
    replayed = await api.call("POST", f"/api/v1/runs/{run_id}/replay", json={"payload": 2})
    assert (await api.run(replayed.json()["id"]))["payload"] == 2


# ---- keys -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["order-7", "a/b c?", "90c1" * 16])
async def test_a_key_is_reset_by_its_name(api: Api, key: str) -> None:
    """ID-09: whatever it is made of."""
    from urllib.parse import quote

    first = await api.trigger(idempotencyKey=key)
    path = f"/api/v1/idempotencyKeys/{quote(key, safe='')}/reset"
    answer = await api.call("POST", path, json={"taskIdentifier": "resize"})
    assert (answer.status_code, answer.json()) == (200, {"id": key})
    assert await api.trigger(idempotencyKey=key) != first


async def test_a_key_nobody_carries_is_not_there(api: Api) -> None:
    """ID-09: 404, and 400 without a task."""
    await api.trigger(idempotencyKey="k")
    path = "/api/v1/idempotencyKeys/k/reset"
    status, error = await _refused(api, path, {"taskIdentifier": "mail"})
    assert (status, error) == (404, "No run of 'mail' in this environment has this idempotency key")
    assert (await _refused(api, path, {}))[0] == 400
