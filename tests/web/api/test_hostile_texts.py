"""Texts that a database cannot hold or index: refused or kept, on either database, never a defect."""

import random
import string
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import Serving, serving
from trigger_lite.protocol import worker
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.metadata import Operation


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Serving]:
    settings = {} if database_url.startswith("sqlite") else {"database_url": database_url}
    async with serving(tmp_path, **settings) as running:
        yield running


def _noise(length: int, letters: str = string.ascii_letters + string.digits) -> str:
    """A text that does not get shorter when it is compressed."""
    source = random.Random(length)
    return "".join(source.choice(letters) for _ in range(length))


_WIDE = "".join(map(chr, range(0x4E00, 0x9000)))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v3/runs/run_%00"),
        ("GET", "/api/v1/runs/%00/result"),
        ("GET", "/api/v1/runs/run_%00/wait"),
        ("GET", "/api/v1/runs/run_%00/logs"),
        ("POST", "/api/v2/runs/%00/cancel"),
        ("POST", "/api/v1/runs/%00/replay"),
        ("POST", "/api/v1/tasks/a%00b/trigger"),
        ("POST", "/api/v1/tasks//trigger"),
        ("POST", f"/api/v1/tasks/{'x' * 257}/trigger"),
        ("GET", "/api/v1/runs?filter[taskIdentifier]=a%00b"),
        ("GET", "/api/v1/runs?filter[tag]=%00"),
        ("GET", "/api/v1/runs?filter[queue]=%00"),
        ("GET", "/api/v1/runs?filter[version]=%00"),
        ("POST", f"/api/v1/tasks/{_WIDE[:250]}/trigger"),
        ("GET", "/api/v1/runs?page[after]=AA"),
    ],
)
async def test_an_address_that_can_name_nothing_is_the_callers_mistake(
    server: Serving, caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    async with server.client() as client:
        answer = await client.request(method, path, json={} if method == "POST" else None)
    assert 400 <= answer.status_code < 500, answer.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("options", "status"),
    [
        pytest.param({"concurrencyKey": _noise(2048)}, 200, id="concurrency key"),
        pytest.param({"concurrencyKey": _noise(512, _WIDE)}, 200, id="wide concurrency key"),
        pytest.param({"concurrencyKey": _noise(2049)}, 400, id="long concurrency key"),
        pytest.param({"concurrencyKey": _noise(100_000)}, 400, id="huge concurrency key"),
        pytest.param({"concurrencyKey": 1e308}, 200, id="large number"),
        pytest.param({"idempotencyKey": _noise(2048)}, 200, id="idempotency key"),
        pytest.param({"idempotencyKey": _noise(2048, _WIDE)}, 400, id="wide idempotency key"),
        pytest.param({"queue": {"name": _noise(10_000)}}, 200, id="queue name"),
        pytest.param({"tags": [_noise(128, _WIDE)]}, 200, id="wide tag"),
        pytest.param({"payloadType": _noise(100_000)}, 400, id="payload type"),
        pytest.param({"lockToVersion": _noise(100_000)}, 422, id="version"),
        pytest.param({"parentRunId": _noise(100_000)}, 422, id="parent"),
        pytest.param({"maxDuration": 1e308, "priority": -1e308, "ttl": 2**63}, 200, id="huge numbers"),
        pytest.param({"maxAttempts": 10**30, "payloadSize": 10**30}, 200, id="huge whole numbers"),
    ],
)
async def test_an_option_that_no_index_can_hold_is_refused(
    server: Serving, caplog: pytest.LogCaptureFixture, options: dict[str, Any], status: int
) -> None:
    async with server.client() as client:
        path = f"/api/v1/tasks/{_noise(256)}/trigger"
        answer = await client.post(path, json={"payload": {"a": 10**30}, "options": options})
    assert answer.status_code == status, answer.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("header", "length", "status"),
    [
        ("x-trigger-request-idempotency-key", 2048, 200),
        ("x-trigger-request-idempotency-key", 2049, 400),
        ("idempotency-key", 2048, 200),
        ("idempotency-key", 2049, 400),
    ],
)
async def test_a_key_in_a_header_has_its_limit(
    server: Serving, caplog: pytest.LogCaptureFixture, header: str, length: int, status: int
) -> None:
    async with server.client() as client:
        answer = await client.post(
            f"/api/v1/tasks/{_noise(256)}/trigger", json={}, headers={header: _noise(length)}
        )
    assert answer.status_code == status, answer.text
    assert "Traceback" not in caplog.text


async def test_values_nested_as_deep_as_is_taken_can_be_read_again(
    server: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """What was accepted must not make a run that cannot be shown."""
    async with server.client() as client:
        for depth in (100, 900, 930, 940, 950, 960, 970, 980, 990):
            deep = "[" * depth + "]" * depth
            for body in (f'{{"payload": {deep}}}', f'{{"options": {{"metadata": {{"a": {deep}}}}}}}'):
                made = await client.post("/api/v1/tasks/deep/trigger", content=body)
                assert made.status_code in (200, 400), made.text
                if made.status_code == 200:
                    assert (await client.get(f"/api/v3/runs/{made.json()['id']}")).status_code == 200
        assert (await client.get("/api/v1/runs")).status_code == 200
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("depth", [99, 100, 985])
async def test_a_run_whose_code_nests_without_end_can_be_shown(
    server: Serving, caplog: pytest.LogCaptureFixture, depth: int
) -> None:
    """Neither what it makes of its metadata nor what it returns hides it, or the list it is in."""
    version = await server.register("resize")
    async with server.worker(version) as played:
        run = await server.trigger("resize")
        await played.send(worker.Credits(1))
        given = await played.receive(worker.Run)
        change = Operation("set", "$." + ".".join("a" * depth), [])
        output = "[" * 1_000 + str(10**30) + "]" * 1_000
        completion = Completion(ok=True, id=run, output=output, output_type="application/json")
        await played.send(
            worker.Start(1, run, given.snapshot),
            worker.Metadata(2, run, [change]),
            worker.Complete(3, run, given.started_snapshot, completion),
        )
        if depth < 100:
            assert [(await played.receive(worker.Ack)).seq for _ in range(3)] == [1, 2, 3]
        else:
            assert "nested more than 100 levels" in (await played.receive(worker.Refused)).error
            assert [(await played.receive(worker.Ack)).seq for _ in range(2)] == [1, 3]
    async with server.client() as client:
        assert output in (await client.get(f"/api/v3/runs/{run}")).text
        assert (await client.get("/api/v1/runs")).status_code == 200
    assert "Traceback" not in caplog.text
