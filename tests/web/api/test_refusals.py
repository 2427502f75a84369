"""Every refusal by a table of request, status and body (management-api 1.3)."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import httpx
import pytest

from tests.web.api.conftest import Api
from trigger_lite.background.clock import Clock
from trigger_lite.background.readiness import readiness
from trigger_lite.store.transaction import Tx

_TRIGGER: Final = "/api/v1/tasks/resize/trigger"
_STORE: Final = b'{"payload": "", "options": {"payloadType": "application/store"}}'
_NO_DELAY: Final = "delay 'soon' is neither a duration such as \"1h30m\" nor an ISO-8601 date"
_NO_TTL: Final = "ttl 'soon' is not a duration; write for example \"10m\" or a number of seconds"
_MISSING: Final = "run_06gzzzzzzzzzzzzzzzzzzzzz"


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (None, "Invalid or Missing API key"),
        ("Basic abc", "Invalid or Missing API key"),
        ("Bearer ", "Invalid or Missing API key"),
        ("Bearer tr_prod_unknown", "Invalid API key"),
        ("Bearer \u00e9", "Invalid API key"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", _TRIGGER),
        ("GET", f"/api/v3/runs/{_MISSING}"),
        ("GET", "/api/v1/runs"),
        ("POST", f"/api/v2/runs/{_MISSING}/cancel"),
        ("POST", f"/api/v1/runs/{_MISSING}/replay"),
        ("GET", f"/api/v1/runs/{_MISSING}/result"),
        ("GET", f"/api/v1/runs/{_MISSING}/wait"),
        ("GET", f"/api/v1/runs/{_MISSING}/logs"),
        ("POST", f"/api/v1/runs/{_MISSING}/reschedule"),
        ("POST", "/api/v1/idempotencyKeys/k/reset"),
        ("POST", "/api/v1/bulk-actions"),
        ("GET", "/api/v1/bulk-actions"),
        ("GET", "/api/v1/bulk-actions/bulk_x"),
        ("POST", "/api/v1/bulk-actions/bulk_x/abort"),
        ("GET", "/api/v1/whoami"),
        ("POST", "/api/v1/projects/proj_x/background-workers"),
    ],
)
async def test_without_a_known_key_every_route_answers_401(
    api: Api, method: str, path: str, header: str | None, error: str
) -> None:
    headers = [] if header is None else [(b"authorization", header.encode())]
    answer = await api.client.request(method, path, headers=headers, content=b"{broken")
    assert (answer.status_code, answer.json()) == (401, {"error": error})


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("GET", f"/api/v3/runs/{_MISSING}", "Run not found"),
        ("GET", "/api/v3/runs/not-even-an-id", "Run not found"),
        ("POST", f"/api/v2/runs/{_MISSING}/cancel", "Run not found"),
        ("POST", f"/api/v1/runs/{_MISSING}/replay", "Run not found"),
        ("GET", f"/api/v1/runs/{_MISSING}/result", "Run not found"),
        ("GET", f"/api/v1/runs/{_MISSING}/wait", "Run not found"),
        ("GET", f"/api/v1/runs/{_MISSING}/logs", "Run not found"),
        ("GET", "/api/v1/bulk-actions/bulk_x", "Bulk action not found"),
        ("POST", "/api/v1/bulk-actions/bulk_x/abort", "Bulk action not found"),
        ("POST", "/api/v1/projects/proj_other/background-workers", "Project not found"),
        ("GET", "/api/v1/nothing/here", "Not found"),
        ("GET", "/api/v99", "Not found"),
    ],
)
async def test_what_is_not_there_is_404_and_not_worth_another_try(
    api: Api, method: str, path: str, error: str
) -> None:
    answer = await api.call(method, path)
    assert (answer.status_code, answer.json()) == (404, {"error": error})
    assert answer.headers["x-should-retry"] == "false"


async def test_a_run_of_another_environment_is_not_there(api: Api) -> None:
    run_id = await api.trigger(environment="dev")
    for method, path in [
        ("GET", f"/api/v3/runs/{run_id}"),
        ("POST", f"/api/v2/runs/{run_id}/cancel"),
        ("POST", f"/api/v1/runs/{run_id}/replay"),
        ("GET", f"/api/v1/runs/{run_id}/result"),
        ("GET", f"/api/v1/runs/{run_id}/logs"),
    ]:
        assert (await api.call(method, path)).status_code == 404
    assert (await api.run(run_id, environment="dev"))["status"] == "QUEUED"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", _TRIGGER, {"POST"}),
        ("DELETE", "/api/v1/runs", {"GET", "HEAD"}),
        ("GET", f"/api/v2/runs/{_MISSING}/cancel", {"POST"}),
        ("GET", f"/api/v1/runs/{_MISSING}/reschedule", {"POST"}),
        ("DELETE", "/api/v1/bulk-actions/bulk_x", {"GET", "HEAD"}),
        ("PUT", "/api/v1/whoami", {"GET", "HEAD"}),
    ],
)
async def test_a_method_that_a_path_does_not_take_is_405_and_says_which_it_takes(
    api: Api, method: str, path: str, allowed: set[str]
) -> None:
    answer = await api.call(method, path)
    assert (answer.status_code, answer.json()) == (405, {"error": "Method not allowed"})
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "Request body is empty"),
        (b" \n", "Request body is empty"),
        (b"null", "Invalid JSON"),
        (b"0", "Invalid JSON"),
        (b"false", "Invalid JSON"),
        (b'""', "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b'{"payload": 1} x', "Invalid JSON"),
        (b'{"payload": "\xff"}', "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"options": []}', "Expected `object`, got `array` - at `$.options`"),
        (b'{"options": {"tags": [1]}}', "Expected `str`, got `int` - at `$.options.tags[0]`"),
        (b'{"options": {"maxAttempts": 0}}', "Expected `int` >= 1 - at `$.options.maxAttempts`"),
        (b'{"options": {"delay": "soon"}}', _NO_DELAY),
        (b'{"options": {"ttl": "soon"}}', _NO_TTL),
        (b'{"options": {"metadata": [1]}}', "metadata must be a JSON object"),
        (_STORE, "A payload of type application/store must name where it is stored"),
    ],
)  # fmt: skip
async def test_a_body_that_is_wrong_is_400_and_makes_no_run(api: Api, body: bytes, error: str) -> None:
    answer = await api.call("POST", _TRIGGER, content=body)
    assert (answer.status_code, answer.json()) == (400, {"error": error})
    assert (await api.get("/api/v1/runs"))["data"] == []


async def test_json_nested_without_end_is_refused(api: Api) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    answer = await api.call("POST", _TRIGGER, content=f'{{"payload": {deep}}}')
    assert (answer.status_code, answer.json()) == (400, {"error": "Invalid JSON: it is nested too deeply"})
    answer = await api.call("POST", _TRIGGER, json={"options": {"metadata": deep}})
    assert (answer.status_code, answer.json()) == (400, {"error": "metadata must be a JSON object"})
    run_id = await api.trigger(payload=deep, payloadType="application/super+json")
    assert (await api.run(run_id))["payload"] == deep


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"lockToVersion": "20200101.1"}, "There is no version '20200101.1' in the environment prod"),
        ({"parentRunId": _MISSING}, f"The parent run '{_MISSING}' is not in this environment"),
        ({"tags": [str(n) for n in range(11)]}, "A run can have at most 10 tags, 11 were given"),
    ],
)
async def test_what_the_rules_forbid_is_422(api: Api, options: dict[str, Any], error: str) -> None:
    answer = await api.call("POST", _TRIGGER, json={"options": options})
    assert (answer.status_code, answer.json()) == (422, {"error": error})


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
async def test_the_content_type_does_not_matter(api: Api, kind: str) -> None:
    answer = await api.call("POST", _TRIGGER, content=b'{"payload": 1}', headers={"content-type": kind})
    assert answer.status_code == 200


async def test_a_body_may_come_in_chunks_without_its_length(api: Api) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for byte in b'{"payload": [1, 2]}':
            yield bytes([byte])

    answer = await api.call("POST", _TRIGGER, content=chunks())
    assert "content-length" not in answer.request.headers
    assert (await api.run(answer.json()["id"]))["payload"] == [1, 2]


async def test_chunks_are_read_no_further_than_the_limit(api: Api) -> None:
    sent = 0

    async def without_end() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65_536

    answer = await api.call("POST", _TRIGGER, content=without_end())
    assert (answer.status_code, answer.json()) == (413, {"error": "Request body too large"})
    assert sent < 100


# --- a server that cannot ----------------------------------------------------------------------------------


@pytest.fixture
def inbox_limit() -> int:
    return 4


async def test_a_full_inbox_answers_503_and_accepts_nothing(api: Api) -> None:
    gate = threading.Event()
    holding = api.services.store.submit(_hold, gate)
    accepted = [asyncio.create_task(api.call("POST", _TRIGGER, json={"payload": n})) for n in range(20)]
    refused, _ = await asyncio.wait(accepted, return_when=asyncio.FIRST_COMPLETED)
    answer = refused.pop().result()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {"error": "The server is busy; nothing was accepted, try again in a second"}
    gate.set()
    await holding
    answers = [task.result() for task in (await asyncio.wait(accepted))[0]]
    made = [answer.json()["id"] for answer in answers if answer.status_code == 200]
    assert 0 < len(made) < 20 and {answer.status_code for answer in answers} == {200, 503}
    assert sorted(run["id"] for run in (await api.get("/api/v1/runs"))["data"]) == sorted(made)


def _hold(_tx: Tx, gate: threading.Event) -> None:
    assert gate.wait(10)


async def test_health_needs_no_key(api: Api) -> None:
    answer = await api.client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    answer = await api.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def _stopped_clock(_api: Api) -> Callable[[], Any]:
    return readiness(_api.services.store, _api.services.telemetry, Clock())


async def test_a_server_whose_clock_stands_is_not_ready(api: Api, tmp_path: Any) -> None:
    assert await readiness(api.services.store, api.services.telemetry, Clock())() == "The server is stopping"
    clock = Clock()
    clock.start([])
    try:
        assert await readiness(api.services.store, api.services.telemetry, clock)() is None
    finally:
        clock.stop()


async def test_a_server_that_is_not_ready_says_so_with_503(api: Api) -> None:
    import dataclasses

    from trigger_lite.web.app import build_app

    services = dataclasses.replace(api.services, trouble=_stopped_clock(api))
    transport = httpx.ASGITransport(build_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8030") as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "not ready", "reason": "The server is stopping"},
    )
