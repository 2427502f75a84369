"""Every limit is reached, and exceeded by one (management-api 6)."""

import json
from typing import Any, Final

import pytest

from tests.web.api.conftest import Api
from trigger_lite.protocol.tasks import MAX_METADATA_BYTES, MAX_PAYLOAD_BYTES

_TRIGGER: Final = "/api/v1/tasks/resize/trigger"


async def _status(api: Api, **options: Any) -> int:
    return (await api.call("POST", _TRIGGER, json={"options": options})).status_code


@pytest.mark.parametrize(
    ("largest", "over", "status"),
    [
        ({"tags": ["x" * 128]}, {"tags": ["x" * 129]}, 400),
        ({"tags": "x" * 128}, {"tags": "x" * 129}, 400),
        ({"tags": [str(n) for n in range(10)]}, {"tags": [str(n) for n in range(11)]}, 422),
        ({"idempotencyKey": "k" * 2048}, {"idempotencyKey": "k" * 2049}, 400),
        ({"ttl": 0}, {"ttl": -1}, 400),
        ({"maxAttempts": 1}, {"maxAttempts": 0}, 400),
        (
            {"metadata": {"a": "x" * (MAX_METADATA_BYTES - 8)}},
            {"metadata": {"a": "x" * (MAX_METADATA_BYTES - 7)}},
            413,
        ),
    ],
)
async def test_one_more_than_the_limit_is_refused(
    api: Api, largest: dict[str, Any], over: dict[str, Any], status: int
) -> None:
    """MC-05: the limits are those that users of the official server know."""
    assert await _status(api, **largest) == 200
    assert await _status(api, **over) == status
    assert len((await api.get("/api/v1/runs"))["data"]) == 1


async def test_a_body_of_three_megabytes_is_the_largest(api: Api) -> None:
    empty = json.dumps({"payload": ""}).encode()
    largest = json.dumps({"payload": "x" * (MAX_PAYLOAD_BYTES - len(empty))}).encode()
    assert len(largest) == MAX_PAYLOAD_BYTES
    assert (await api.call("POST", _TRIGGER, content=largest)).status_code == 200
    answer = await api.call("POST", _TRIGGER, content=largest + b" ")
    assert (answer.status_code, answer.json()) == (413, {"error": "Request body too large"})


async def test_the_header_of_a_key_has_the_limit_of_the_option(api: Api) -> None:
    assert (
        await api.call("POST", _TRIGGER, json={}, headers={"idempotency-key": "k" * 2048})
    ).status_code == 200
    answer = await api.call("POST", _TRIGGER, json={}, headers={"idempotency-key": "k" * 2049})
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "idempotencyKey is over the limit of 2048 bytes"},
    )


async def test_what_is_bounded_by_meaning_is_clamped_and_not_refused(api: Api) -> None:
    await api.register("resize")
    await api.trigger(maxDuration=1, priority=10**12, maxAttempts=10**6, queue={"name": "ä" + "q" * 200})
    run = await api.claim()
    assert (run.max_duration, run.priority_ms, run.max_attempts) == (5, 2_147_483_647, 250)
    assert run.queue_name == "q" * 128


@pytest.mark.parametrize("size", ["0", "101", "x", "-1", "²", "9" * 5_000])
async def test_a_page_has_one_to_a_hundred_runs(api: Api, size: str) -> None:
    for fitting in ("1", "100"):
        assert (await api.call("GET", "/api/v1/runs", params={"page[size]": fitting})).status_code == 200
    answer = await api.call("GET", "/api/v1/runs", params={"page[size]": size})
    assert answer.status_code == 400
    message = answer.json()["error"]
    assert message.startswith(f"page[size] is '{size[:20]}") and message.endswith(", but must be 1 to 100")
