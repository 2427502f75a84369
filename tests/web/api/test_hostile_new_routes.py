"""Whatever is sent for waits, batches, schedules, queues, bulk actions: refused in one line, or taken.

Never a defect of the server, and never a change by what was refused, on either database.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.serving import Serving, serving

_MISSING: Final = {
    "run": "run_06fd3vq1s3c4hm7b0n2x9k5e8a",
    "token": "waitpoint_06fd3vq1s3c4hm7b0n2x9k5e8a",
    "batch": "batch_06fd3vq1s3c4hm7b0n2x9k5e8a",
    "schedule": "sched_06fd3vq1s3c4hm7b0n2x9k5e8a",
    "bulk": "bulk_06fd3vq1s3c4hm7b0n2x9k5e8a",
    "queue": "no-such-queue",
}
# A route, and a body that it takes; names in braces are things there are.
_ROUTES: Final[dict[str, Any]] = {
    "POST /api/v1/tasks/resize/trigger": {
        "payload": 1,
        "options": {
            "delay": "1h",
            "debounce": {"key": "a", "delay": "5s", "mode": "leading", "maxDelay": "1m"},
        },
    },
    "POST /api/v1/runs/{run}/reschedule": {"delay": "2h"},
    "POST /api/v1/idempotencyKeys/some-key/reset": {"taskIdentifier": "resize"},
    "POST /api/v3/batches": {
        "runCount": 1,
        "taskIdentifiers": ["resize"],
        "parentRunId": None,
        "resumeParentOnCompletion": False,
        "idempotencyKey": "key",
        "idempotencyKeyOptions": {"key": "key", "scope": "global"},
    },
    "POST /api/v3/batches/{batch}/items": {
        "index": 0,
        "task": "resize",
        "payload": 1,
        "options": {"tags": "a"},
    },
    "POST /api/v2/tasks/batch": {
        "items": [{"task": "resize", "payload": 1, "options": {"tags": "a"}}],
        "parentRunId": None,
        "resumeParentOnCompletion": False,
    },
    "POST /api/v1/batches/{batch}/abort": None,
    "POST /engine/v1/runs/{run}/wait/duration": {
        "date": "2030-01-01T00:00:00Z",
        "idempotencyKey": "key",
        "idempotencyKeyTTL": "1h",
    },
    "POST /engine/v1/runs/{run}/waitpoints/tokens/{token}/wait": None,
    "POST /api/v1/waitpoints/tokens": {
        "timeout": "1d",
        "idempotencyKey": "key",
        "idempotencyKeyTTL": "1h",
        "tags": ["a"],
    },
    "POST /api/v1/waitpoints/tokens/{token}/complete": {"data": {"a": 1}},
    "POST /api/v1/bulk-actions": {
        "action": "cancel",
        "name": "all",
        "filter": {
            "status": "QUEUED",
            "taskIdentifier": ["resize"],
            "version": "1",
            "from": 0,
            "to": 1,
            "period": "1d",
            "bulkAction": "bulk_1",
            "tag": ["a"],
            "schedule": "sched_1",
            "isTest": False,
            "batch": "batch_1",
            "queue": {"type": "task", "name": "resize"},
            "machine": "micro",
            "region": "here",
        },
    },
    "POST /api/v1/bulk-actions ": {"action": "replay", "runIds": ["run_1"], "targetRegion": "here"},
    "POST /api/v1/bulk-actions/{bulk}/abort": None,
    "POST /api/v1/queues/{queue}/pause": {"action": "resume", "type": "custom"},
    "POST /api/v1/queues/{queue}/concurrency/override": {
        "type": "custom",
        "concurrencyLimit": 3,
        "percent": 50.0,
        "until": "1h",
    },
    "POST /api/v1/queues/{queue}/concurrency/reset": {"type": "custom"},
    "POST /api/v1/environment/pause": {"action": "resume"},
    "POST /api/v1/environment/limit": {"concurrencyLimit": 7, "burst": 1.5},
    "POST /api/v1/schedules": {
        "task": "nightly",
        "cron": "0 5 * * *",
        "timezone": "Asia/Tokyo",
        "externalId": "a",
        "window": "10m",
        "overlap": "skip",
        "catchUp": "latest",
        "expectWithin": 60,
        "deduplicationKey": "key",
    },
    "PUT /api/v1/schedules/{schedule}": {"task": "nightly", "cron": "0 6 * * *", "timezone": "UTC"},
    "PATCH /api/v1/schedules/{schedule}": {"cron": "0 7 * * *", "externalId": "b", "expectWithin": "5m"},
    "POST /api/v1/schedules/{schedule}/activate": None,
    "POST /api/v1/schedules/{schedule}/deactivate": None,
    "POST /api/v1/schedules/{schedule}/run": None,
    "DELETE /api/v1/schedules/{schedule}": None,
}
_MARK: Final = "«here»"
_NULL_BYTE: Final = '"\\u0000"'
_VALUES: Final = [
    *("null", "true", "0", "-1", "1" + "0" * 30, "1e308", "-1e308", "NaN", '""', '" "', "[]", "{}", "[null]"),
    *('"a\\u0000b\\n"', '["a\\u0000b"]', '{"a\\u0000b\\n": "c\\u0000d"}', '"\\ud800"', '"999999999d"'),
    *(
        '"+999999-01-01T00:00:00Z"',
        '"' + "界" * 5_000 + '"',
        "[" * 900 + "]" * 900,
        '{"a":' * 990 + "1" + "}" * 990,
    ),
]
_BODIES: Final = [b"", b"null", b"[]", b"0", b'"text"', b"{", b"\xff\xfe", b"\0", b"{}", b'{"a":' * 10_000]
_LISTS: Final = (
    *("/api/v1/runs", "/api/v1/batches", "/api/v1/waitpoints/tokens", "/api/v1/bulk-actions"),
    *("/api/v1/queues", "/api/v1/schedules"),
)


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Serving]:
    settings = {} if database_url.startswith("sqlite") else {"database_url": database_url}
    async with serving(tmp_path, **settings) as running:
        yield running


async def _furnish(server: Serving, environment: str) -> dict[str, str]:
    """Make one of everything in an environment; returns their ids by kind."""
    manifest = {"id": "nightly", "triggerSource": "schedule"}
    ref = (await server.call("GET", "/api/v1/whoami"))["project"]["externalRef"]
    body = {"metadata": {"contentHash": "one", "tasks": [{"id": "resize"}, manifest]}}
    async with server.client(environment) as client:

        async def make(path: str, body: dict[str, Any]) -> str:
            answer = await client.post(path, json=body)
            assert answer.status_code < 300, answer.text
            return str(answer.json()["id"])

        await make(f"/api/v1/projects/{ref}/background-workers", body)
        options = {"delay": "1d", "queue": {"name": "crm"}}
        return {
            "run": await make("/api/v1/tasks/resize/trigger", {"payload": 1, "options": options}),
            "token": await make("/api/v1/waitpoints/tokens", {}),
            "batch": await make("/api/v3/batches", {"runCount": 1_000}),
            "schedule": await make("/api/v1/schedules", {"task": "nightly", "cron": "0 5 * * *"}),
            "bulk": await make("/api/v1/bulk-actions", {"action": "cancel", "filter": {"tag": "no-run"}}),
            "queue": "crm",
        }


def _places(value: Any) -> Iterator[Any]:
    """Yield a body with a mark in place of each of its values, at every depth."""
    yield _MARK
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ({**value, name: changed} for changed in _places(inner))
    elif isinstance(value, list):
        for changed in _places(value[0]):
            yield [changed]


def _bodies(body: Any) -> Iterator[bytes]:
    """Yield what is sent: each place of a short body has half of the values, of a long one some of them."""
    yield from _BODIES
    marked = [json.dumps(changed, ensure_ascii=False) for changed in _places(body)]
    step = 2 if len(marked) < 6 else 8
    for number, text in enumerate(marked):
        for value in {_NULL_BYTE, *_VALUES[number % step :: step]}:
            yield text.replace(f'"{_MARK}"', value).encode()


async def _send(client: httpx.AsyncClient, route: str, body: bytes) -> httpx.Response:
    method, _, path = route.strip().partition(" ")
    kind = "application/x-ndjson" if path.endswith("/items") else "application/json"
    return await client.request(method, path, content=body, headers={"content-type": kind})


async def _state(server: Serving, environment: str) -> list[Any]:
    """What there is in an environment, as its lists show it."""
    return [
        await server.call("GET", f"{path}", environment=environment)
        for path in (*_LISTS, "/api/v1/environment")
    ]


def _check(answer: httpx.Response, route: str, body: bytes) -> None:
    assert answer.status_code < 500, (route, body[:200], answer.text)
    if answer.status_code >= 400:
        message = answer.json()["error"]
        assert message and "\n" not in message and len(message) < 500, (route, body[:200], message[:1000])


@pytest.mark.parametrize("route", _ROUTES, ids=str.strip)
async def test_whatever_a_body_holds_is_refused_in_a_line_without_a_change_or_taken(
    server: Serving, caplog: pytest.LogCaptureFixture, route: str
) -> None:
    there = await _furnish(server, "prod")
    address = route.format(**there)
    refused: dict[str, bytes] = {}  # one of each kind
    async with server.client() as client:
        for body in _bodies(_ROUTES[route]):
            answer = await _send(client, address, body)
            _check(answer, route, body)
            if answer.status_code >= 400:
                refused[answer.text] = body
        before = await _state(server, "prod")
        for body in refused.values():
            answer = await _send(client, address, body)
            assert answer.status_code >= 400, (body[:200], answer.text)
        assert await _state(server, "prod") == before
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("route", [route for route in _ROUTES if "{" in route])
async def test_what_is_of_another_environment_or_nowhere_is_not_found(server: Serving, route: str) -> None:
    """And nothing changes there; an id of another kind leads nowhere either."""
    there = await _furnish(server, "dev")
    before = await _state(server, "dev")
    body = json.dumps(_ROUTES[route]).encode()
    others = {kind: there["run"] if kind != "run" else there["batch"] for kind in there}
    async with server.client("prod") as client:
        for names in (
            there,
            _MISSING,
            others,
            dict.fromkeys(there, "x" * 5_000),
            dict.fromkeys(there, "界 '\""),
        ):
            answer = await _send(client, route.format(**names), body)
            assert answer.status_code in (400, 404, 422), (names, answer.status_code, answer.text)
            _check(answer, route, body)
    assert await _state(server, "dev") == before


@pytest.mark.parametrize("path", _LISTS)
async def test_whatever_a_list_is_asked_is_answered_or_refused_in_a_line(
    server: Serving, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    there = await _furnish(server, "prod")
    names = (
        *("page", "perPage", "page[size]", "page[after]", "page[before]", "filter[status]", "filter[batch]"),
        *("filter[schedule]", "filter[bulkAction]", "filter[tags]", "filter[idempotencyKey]", "filter[id]"),
        *("filter[createdAt][from]", "filter[createdAt][to]", "filter[createdAt][period]"),
    )
    values = (
        "",
        "0",
        "-1",
        "1.5",
        "9" * 18,
        "9" * 40,
        "1e9",
        "x" * 3_000,
        "界",
        "\x01",
        ",",
        "'",
        *there.values(),
    )
    async with server.client() as client:
        for name in names:
            for value in values:
                answer = await client.get(path, params={name: value})
                _check(answer, f"{path}?{name}={value[:50]}", b"")
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "chosen", [{"batch": "\0"}, {"schedule": "\0"}, {"bulkAction": "\0"}, {"region": "here"}]
)
async def test_a_filter_of_nothing_means_no_run(server: Serving, chosen: dict[str, str]) -> None:
    """What cannot be looked for, or narrows nothing, must not reach every run."""
    there = await _furnish(server, "prod")
    async with server.client() as client:
        made = await client.post("/api/v1/bulk-actions", json={"action": "cancel", "filter": chosen})
        if made.status_code == 400:
            assert made.json()["error"] == "At least one filter must be provided"
        else:
            path = f"/api/v1/bulk-actions/{made.json()['id']}"
            async with asyncio.timeout(10):
                while (action := (await client.get(path)).json())["status"] == "PENDING":
                    continue
            assert action["counts"] == {"total": 0, "success": 0, "failure": 0}
    assert (await server.run(there["run"]))["status"] == "DELAYED"
