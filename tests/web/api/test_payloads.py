"""How values travel: packets in, packets and plain JSON out (management-api 5)."""

import json
from typing import Any

import pytest

from tests.web.api.conftest import Api

_SUPER = "application/super+json"
_ABSENT = object()
_A_DATE = '{"json":"1970-01-01T00:00:00.000Z","meta":{"values":["Date"]}}'


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"payload": {"a": 1}}, {"a": 1}),
        ({"payload": "text"}, "text"),
        ({"payload": '{"a": 1}'}, '{"a": 1}'),
        ({"payload": 0}, 0),
        ({"payload": False}, False),
        ({"payload": None}, None),
        ({"payload": 12345678901234567890}, 12345678901234567890),
        ({}, _ABSENT),
        ({"options": {"payloadType": "application/json"}}, _ABSENT),
        ({"payload": '{"json":{"a":1}}', "options": {"payloadType": _SUPER}}, {"a": 1}),
        ({"payload": '{"json":null}', "options": {"payloadType": _SUPER}}, None),
        ({"payload": _A_DATE, "options": {"payloadType": _SUPER}}, "1970-01-01T00:00:00.000Z"),
        ({"payload": {"not": "text"}, "options": {"payloadType": _SUPER}}, _ABSENT),
        ({"payload": "raw {text", "options": {"payloadType": "text/plain"}}, "raw {text"),
        ({"payload": "", "options": {"payloadType": "text/plain"}}, ""),
        ({"payload": 5, "options": {"payloadType": "text/plain"}}, _ABSENT),
        ({"payload": "a\u0000b"}, "ab"),
        ({"payload": "\U0001f600 é"}, "\U0001f600 é"),
    ],
)  # fmt: skip
async def test_a_payload_is_shown_as_plain_json(api: Api, body: dict[str, Any], shown: Any) -> None:
    answer = await api.call("POST", "/api/v1/tasks/resize/trigger", json=body)
    run = await api.run(answer.json()["id"])
    assert run.get("payload", _ABSENT) == shown


async def test_a_stored_payload_keeps_its_packet_for_the_worker(api: Api) -> None:
    await api.register("resize")
    packet = '{"json":{"when":"2030-01-01T00:00:00.000Z"},"meta":{"values":{"when":["Date"]}}}'
    await api.trigger(payload=packet, payloadType=_SUPER)
    claimed = await api.claim()
    data = await api.services.store.read(_data, claimed.id)
    assert (data.payload, data.payload_type) == (packet, _SUPER)


def _data(tx: Any, run_id: str) -> Any:
    from trigger_lite.store.runs import get_data

    return get_data(tx, run_id)


@pytest.mark.parametrize(
    ("output", "kind", "shown"),
    [
        ('{"a":1}', "application/json", {"a": 1}),
        ("raw", "text/plain", "raw"),
        ("", "text/plain", ""),
        ('{"json":[1]}', _SUPER, [1]),
        ("null", "application/json", None),
        (None, "application/json", _ABSENT),
    ],
)
async def test_an_output_is_plain_json_in_runs_and_a_packet_in_results(
    api: Api, output: str | None, kind: str, shown: Any
) -> None:
    await api.register("resize")
    await api.trigger()
    run_id = await api.finish(output=output, output_type=kind)
    assert (await api.run(run_id)).get("output", _ABSENT) == shown
    result = await api.get(f"/api/v1/runs/{run_id}/result")
    assert (result["ok"], result["outputType"]) == (True, kind)
    assert result.get("output") == output


@pytest.mark.parametrize("size", [10, 8_192, 8_193, 600_000])
async def test_values_of_any_size_come_back_whole(api: Api, size: int) -> None:
    await api.register("resize")
    text = "x" * size
    await api.trigger(payload=text, metadata={"text": text[:200_000]})
    run_id = await api.finish(output=json.dumps(text))
    run = await api.run(run_id)
    assert (run["payload"], run["output"], run["metadata"]) == (text, text, {"text": text[:200_000]})


@pytest.mark.parametrize("metadata", [{"a": {"b": [1]}}, '{"a": {"b": [1]}}'])
async def test_metadata_may_come_as_an_object_or_as_its_text(api: Api, metadata: Any) -> None:
    run_id = await api.trigger(metadata=metadata, metadataType="application/json")
    assert (await api.run(run_id))["metadata"] == {"a": {"b": [1]}}
    (listed,) = (await api.get("/api/v1/runs"))["data"]
    assert listed["metadata"] == {"a": {"b": [1]}}


async def test_metadata_of_streams_is_hidden(api: Api) -> None:
    run_id = await api.trigger(metadata={"$$streams": ["x"], "$$streamsVersion": "v1", "a": 1})
    assert (await api.run(run_id))["metadata"] == {"a": 1}
