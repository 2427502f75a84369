"""Keys by which a trigger that comes twice makes one run (management-api 7)."""

from typing import Any, Final

import pytest

from tests.web.api.conftest import Api

_TRIGGER: Final = "/api/v1/tasks/resize/trigger"
_REQUEST: Final = "x-trigger-request-idempotency-key"


async def _trigger(api: Api, headers: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    answer = await api.call("POST", _TRIGGER, json={"payload": 1, "options": options}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_same_key_is_answered_with_the_same_run(api: Api) -> None:
    first = await _trigger(api, idempotencyKey="k")
    second = await _trigger(api, idempotencyKey="k", tags=["ignored"], delay="1h")
    assert (first["isCached"], second) == (False, {"id": first["id"], "isCached": True})
    assert (await api.run(first["id"]))["tags"] == []


async def test_a_key_belongs_to_one_task_and_one_environment(api: Api) -> None:
    ids = {
        await api.trigger("resize", idempotencyKey="k"),
        await api.trigger("other", idempotencyKey="k"),
        await api.trigger("resize", idempotencyKey="k", environment="dev"),
    }
    assert len(ids) == 3


async def test_the_header_wins_over_the_body(api: Api) -> None:
    by_header = await _trigger(api, {"idempotency-key": "header"}, idempotencyKey="body")
    assert (await _trigger(api, idempotencyKey="header"))["id"] == by_header["id"]
    assert (await _trigger(api, idempotencyKey="body"))["id"] != by_header["id"]


async def test_the_life_of_a_key_in_the_header_wins_over_the_body(api: Api) -> None:
    headers = {"idempotency-key": "k", "idempotency-key-ttl": "0s"}
    first = await _trigger(api, headers, idempotencyKeyTTL="1d")
    assert (await _trigger(api, headers))["id"] != first["id"]


@pytest.mark.parametrize(("life", "is_same"), [("0s", False), ("1d", True), ("soon", True), (None, True)])
async def test_a_key_is_free_when_its_time_is_over(api: Api, life: str | None, is_same: bool) -> None:
    options: dict[str, Any] = {} if life is None else {"idempotencyKeyTTL": life}
    first = await _trigger(api, idempotencyKey="k", **options)
    second = await _trigger(api, idempotencyKey="k")
    assert (second["id"] == first["id"]) is is_same
    assert second["isCached"] is is_same


async def test_a_failure_frees_the_key_and_success_and_cancel_keep_it(api: Api) -> None:
    await api.register("resize")
    first = await _trigger(api, idempotencyKey="k")
    await api.fail()
    second = await _trigger(api, idempotencyKey="k")
    assert second["id"] != first["id"]
    await api.finish()
    assert (await _trigger(api, idempotencyKey="k"))["id"] == second["id"]
    third = await _trigger(api, idempotencyKey="other")
    await api.call("POST", f"/api/v2/runs/{third['id']}/cancel")
    assert (await _trigger(api, idempotencyKey="other"))["id"] == third["id"]


async def test_the_key_is_shown_as_its_author_wrote_it(api: Api) -> None:
    hashed = "90c1" * 16
    options = {"key": "order-7", "scope": "run"}
    with_options = await _trigger(api, idempotencyKey=hashed, idempotencyKeyOptions=options)
    assert (await api.run(with_options["id"]))["idempotencyKey"] == "order-7"
    without = await _trigger(api, idempotencyKey="plain")
    assert (await api.run(without["id"]))["idempotencyKey"] == "plain"
    assert "idempotencyKey" not in await api.run((await _trigger(api))["id"])


async def test_a_request_sent_again_is_answered_as_if_it_were_the_first(api: Api) -> None:
    first = await _trigger(api, {_REQUEST: "request-1"})
    again = await _trigger(api, {_REQUEST: "request-1"})
    assert again == first == {"id": first["id"], "isCached": False}
    assert (await _trigger(api, {_REQUEST: "request-2"}))["id"] != first["id"]
    answer = await api.call("POST", "/api/v1/tasks/other/trigger", json={}, headers={_REQUEST: "request-1"})
    assert answer.json()["id"] != first["id"]


async def test_a_refused_request_may_be_corrected_under_the_same_request_key(api: Api) -> None:
    headers = {_REQUEST: "request-1"}
    refused = await api.call(
        "POST", _TRIGGER, json={"options": {"lockToVersion": "20200101.1"}}, headers=headers
    )
    assert refused.status_code == 422
    assert (await _trigger(api, headers))["isCached"] is False
