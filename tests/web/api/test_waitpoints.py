"""Waits and wait tokens over HTTP (management-api 9.6, worker-protocol 6.5)."""

import base64
import hmac
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import orjson
import pytest

from tests.support.site import HOST
from tests.web.api.conftest import Api
from trigger_lite.engine.waitpoints import complete_due
from trigger_lite.protocol.times import iso
from trigger_lite.store.runs import RunRow
from trigger_lite.store.waitpoints import find_output
from trigger_lite.web.tokens import sign_token

TOKENS = "/api/v1/waitpoints/tokens"


async def _create(api: Api, **body: Any) -> dict[str, Any]:
    answer = await api.call("POST", TOKENS, json=body)
    assert answer.status_code == 200, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def _started(api: Api, **options: Any) -> RunRow:
    await api.register("resize")
    await api.trigger(**options)
    return await api.start()


async def _state(api: Api, run: RunRow) -> str:
    (row,) = await api.services.store.read(_execution_status, run.id)
    return row


def _execution_status(tx: Any, run_id: str) -> list[str]:
    from trigger_lite.store.runs import find_run

    found = find_run(tx, run_id)
    assert found is not None
    return [found.execution_status]


async def _output(api: Api, token_id: str) -> Any:
    return await api.services.store.read(find_output, token_id)


# --- tokens -------------------------------------------------------------------------------------------------


async def test_a_token_is_made_with_a_url_and_a_public_token(api: Api) -> None:
    """WP-17: the public token may complete just this one, for a day."""
    answer = await api.call("POST", TOKENS, json={"timeout": "1h", "tags": ["a", "b"]})
    made = answer.json()
    assert made["id"].startswith("waitpoint_") and made["isCached"] is False
    assert made["url"].startswith(f"{HOST}{TOKENS}/{made['id']}/callback/")
    claims = orjson.loads(_claims(answer.headers["x-trigger-jwt"]))
    assert claims["scopes"] == [f"write:waitpoints:{made['id']}"]
    assert claims["exp"] - claims["iat"] == 86_400
    shown = await api.get(f"{TOKENS}/{made['id']}")
    assert (shown["status"], shown["tags"]) == ("WAITING", ["a", "b"])
    assert "timeoutAt" in shown and "output" not in shown and "completedAt" not in shown


def _claims(token: str) -> bytes:
    middle = token.split(".")[1]
    return base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4))


def test_a_public_token_lives_as_long_as_was_asked() -> None:
    claims = orjson.loads(_claims(sign_token("key", "env_1", [], now=100, seconds=5)))
    assert claims["exp"] == 105


async def test_a_token_is_completed_with_plain_json(api: Api) -> None:
    """WP-02, WP-19: text stays text, anything else is kept as JSON; the first value wins."""
    for data, stored, kind in (
        ("yes", "yes", "text/plain"),
        ({"a": [1]}, '{"a":[1]}', "application/json"),
        (None, "null", "application/json"),
    ):
        made = await _create(api)
        path = f"{TOKENS}/{made['id']}/complete"
        for value in (data, "too late"):
            answer = await api.call("POST", path, json={"data": value})
            assert (answer.status_code, answer.json()) == (200, {"success": True})
        shown = await api.get(f"{TOKENS}/{made['id']}")
        assert (shown["status"], shown["output"], shown["outputType"]) == ("COMPLETED", stored, kind)
        assert shown["outputIsError"] is False


async def test_a_public_token_completes_just_its_own(api: Api) -> None:
    """WP-17: a browser needs no secret key; whatever else it tries is refused and changes nothing."""
    made = await api.call("POST", TOKENS, json={})
    own, other = made.json()["id"], (await _create(api))["id"]
    public = {"authorization": f"Bearer {made.headers['x-trigger-jwt']}"}
    refused = await api.client.post(f"{TOKENS}/{other}/complete", json={"data": 1}, headers=public)
    assert (refused.status_code, refused.json()["error"]) == (
        401,
        f"Public Access Token does not allow write:waitpoints:{other}",
    )
    assert (await api.client.get(TOKENS, headers=public)).status_code == 401
    accepted = await api.client.post(f"{TOKENS}/{own}/complete", json={"data": 1}, headers=public)
    assert accepted.status_code == 200
    assert (await _output(api, own), await _output(api, other)) == ("1", None)


def _signed(key: str, header: Any, claims: Any) -> str:
    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    signed = f"{encoded(orjson.dumps(header))}.{encoded(orjson.dumps(claims))}"
    return f"{signed}.{encoded(hmac.digest(key.encode(), signed.encode(), 'sha256'))}"


async def test_a_token_that_is_not_ours_opens_nothing(api: Api) -> None:
    """RFC 7515: another key, another algorithm, expired, without claims, or no token at all."""
    waitpoint = (await _create(api))["id"]
    environment = api.services.keys.by_slug("prod")
    assert environment is not None
    key, scope = api.services.keys.key_of(environment), f"write:waitpoints:{waitpoint}"
    good = {"sub": environment.id, "scopes": [scope], "exp": 4_000_000_000}
    hs256 = {"alg": "HS256"}
    tokens = [
        _signed("tr_prod_another", hs256, good),
        _signed(key, {"alg": "none"}, good),
        _signed(key, {"alg": "RS256"}, good),
        _signed(key, hs256, {**good, "exp": 1}),
        _signed(key, hs256, {**good, "exp": "4000000000"}),
        _signed(key, hs256, {**good, "scopes": scope}),
        _signed(key, hs256, {**good, "scopes": ["write:waitpoints"]}),
        _signed(key, hs256, {**good, "sub": "env_none"}),
        _signed(key, hs256, [good]),
        _signed(key, hs256, good).rpartition(".")[0] + ".",
        _signed(key, hs256, good) + ".x",
        "ey",
        "eyJ.eyJ.x",
        "ey\u00ff",
    ]
    for token in tokens:
        headers = [(b"authorization", f"Bearer {token}".encode())]
        answer = await api.client.post(f"{TOKENS}/{waitpoint}/complete", json={}, headers=headers)
        assert answer.status_code == 401, token
        assert len(answer.json()["error"].splitlines()) == 1
    assert (await api.get(f"{TOKENS}/{waitpoint}"))["status"] == "WAITING"
    fine = {"authorization": f"Bearer {_signed(key, hs256, good)}"}
    assert (await api.client.post(f"{TOKENS}/{waitpoint}/complete", json={}, headers=fine)).status_code == 200


async def test_a_token_may_be_completed_without_data(api: Api) -> None:
    made = await _create(api)
    assert (await api.call("POST", f"{TOKENS}/{made['id']}/complete", json={})).status_code == 200
    assert await _output(api, made["id"]) is None


async def test_browsers_may_complete_tokens_from_any_page(api: Api) -> None:
    """WP-19: CORS on complete, not on callback."""
    made = await _create(api)
    path = f"{TOKENS}/{made['id']}/complete"
    preflight = await api.client.options(path, headers={"origin": "https://shop.example"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    completed = await api.call("POST", path, json={}, headers={"origin": "https://shop.example"})
    assert completed.headers["access-control-allow-origin"] == "*"
    called = await api.client.post(urlsplit(made["url"]).path, content=b"{}")
    assert called.status_code == 200 and "access-control-allow-origin" not in called.headers


async def test_an_unknown_token_is_not_found(api: Api) -> None:
    """WP-19"""
    for method, path in (("GET", "waitpoint_none"), ("POST", "waitpoint_none/complete")):
        answer = await api.call(method, f"{TOKENS}/{path}", json={})
        assert (answer.status_code, answer.json()) == (404, {"error": "Waitpoint not found"})


async def test_a_key_finds_its_token(api: Api) -> None:
    """WP-13"""
    first = await _create(api, idempotencyKey="order-7")
    again = await _create(api, idempotencyKey="order-7", timeout="5m")
    assert (again["id"], again["isCached"]) == (first["id"], True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"timeout": "soon"}, 400),
        ({"timeout": 5}, 400),
        ({"tags": [str(n) for n in range(11)]}, 422),
        ({"idempotencyKey": "k" * 3000}, 400),
        ([], 400),
    ],
)
async def test_a_token_that_cannot_be_made_is_refused(api: Api, body: Any, status: int) -> None:
    answer = await api.call("POST", TOKENS, json=body)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert (await api.get(TOKENS))["data"] == []


# --- the callback address -----------------------------------------------------------------------------------


async def test_whatever_is_posted_to_the_address_completes_the_token(api: Api) -> None:
    """WP-18: no key is needed; a body that is not JSON counts as {}."""
    for body, stored in (
        (b'{"paid":true}', '{"paid":true}'),
        (b"not json", "{}"),
        (b"", "{}"),
        (b'"a"', "a"),
    ):
        made = await _create(api)
        answer = await api.client.post(urlsplit(made["url"]).path, content=body)
        assert (answer.status_code, answer.json()) == (200, {"success": True})
        assert await _output(api, made["id"]) == stored


async def test_a_wrong_address_completes_nothing(api: Api) -> None:
    """WP-18: 401 for a bad hash, 404 for an unknown token, 405 for anything but POST."""
    made, other = await _create(api), await _create(api)
    path = urlsplit(made["url"]).path
    of_other = f"{TOKENS}/{made['id']}/callback/{other['url'].rpartition('/')[2]}"
    unknown = path.replace(made["id"], "waitpoint_none")
    statuses = [(await api.client.post(p, content=b"{}")).status_code for p in (of_other, unknown)]
    assert statuses == [401, 404]
    assert (await api.client.get(path)).status_code == 405
    assert (await api.get(f"{TOKENS}/{made['id']}"))["status"] == "WAITING"


async def test_a_callback_says_how_long_it_is(api: Api) -> None:
    """WP-18: 411 without a length, 413 past the limit."""
    made = await _create(api)
    path = urlsplit(made["url"]).path

    async def stream() -> Any:
        yield b"{}"

    endless = await api.client.post(path, content=stream())
    assert (endless.status_code, endless.json()) == (411, {"error": "Content-Length header is required"})
    large = await api.client.post(path, content=b'"' + b"x" * 3_145_728 + b'"')
    assert large.status_code == 413
    assert (await api.get(f"{TOKENS}/{made['id']}"))["status"] == "WAITING"


# --- lists --------------------------------------------------------------------------------------------------


async def _ids(api: Api, query: str = "") -> list[str]:
    return [token["id"] for token in (await api.get(f"{TOKENS}?{query}"))["data"]]


async def test_tokens_are_listed_newest_first_and_filtered(api: Api) -> None:
    """WP-20: by status, tag, key and time."""
    waiting = (await _create(api, tags=["red"]))["id"]
    done = (await _create(api, tags=["red", 'b"lue'], idempotencyKey="done"))["id"]
    late = (await _create(api, tags=["re"], timeout=iso(0)))["id"]
    await api.call("POST", f"{TOKENS}/{done}/complete", json={})
    await api.services.store.write(complete_due, 10)
    assert await _ids(api) == [late, done, waiting]
    assert await _ids(api, "filter[status]=WAITING") == [waiting]
    assert await _ids(api, "filter[status]=COMPLETED,TIMED_OUT") == [late, done]
    assert await _ids(api, "filter[tags]=red") == [done, waiting]
    assert await _ids(api, 'filter[tags]=re,b"lue') == [late, done]
    assert await _ids(api, "filter[tags]=r%25d") == []
    assert await _ids(api, "filter[idempotencyKey]=done") == [done]
    assert await _ids(api, "filter[createdAt][period]=1h") == [late, done, waiting]
    assert await _ids(api, "filter[createdAt][to]=1000") == []
    timed_out = await api.get(f"{TOKENS}/{late}")
    assert (timed_out["status"], timed_out["outputIsError"]) == ("TIMED_OUT", True)
    assert orjson.loads(timed_out["output"])["code"] == "TRIGGER_WAITPOINT_TIMEOUT"


async def test_pages_of_tokens_lead_on_and_back(api: Api) -> None:
    made = [(await _create(api))["id"] for _ in range(5)][::-1]
    first = await api.get(f"{TOKENS}?page[size]=2")
    second = await api.get(f"{TOKENS}?page[size]=2&page[after]={first['pagination']['next']}")
    last = await api.get(f"{TOKENS}?page[size]=2&page[after]={second['pagination']['next']}")
    back = await api.get(f"{TOKENS}?page[size]=2&page[before]={last['pagination']['previous']}")
    pages = [[token["id"] for token in page["data"]] for page in (first, second, last, back)]
    assert pages == [made[:2], made[2:4], made[4:], made[2:4]]
    assert "previous" not in first["pagination"] and "next" not in last["pagination"]


@pytest.mark.parametrize("query", ["filter[status]=DONE", "page[after]=nonsense", "page[size]=0"])
async def test_a_list_that_cannot_be_made_is_refused(api: Api, query: str) -> None:
    answer = await api.call("GET", f"{TOKENS}?{query}")
    assert answer.status_code == 400 and answer.json()["error"]


async def test_tokens_belong_to_their_environment(api: Api) -> None:
    made = await _create(api)
    assert await _ids(api) == [made["id"]]
    assert (await api.call("GET", TOKENS, environment="dev")).json()["data"] == []
    complete = f"{TOKENS}/{made['id']}/complete"
    assert (await api.call("POST", complete, json={}, environment="dev")).status_code == 404


# --- waits of runs ------------------------------------------------------------------------------------------


async def test_a_run_waits_until_a_date(api: Api) -> None:
    """WP-10"""
    run = await _started(api)
    body = {"date": "2999-01-31T09:00:00.000Z"}
    answer = await api.call("POST", f"/engine/v1/runs/{run.id}/wait/duration", json=body)
    assert answer.json()["waitUntil"] == "2999-01-31T09:00:00.000Z"
    assert answer.json()["waitpoint"]["id"].startswith("waitpoint_")
    assert await _state(api, run) == "EXECUTING_WITH_WAITPOINTS"


async def test_a_run_waits_for_a_token(api: Api) -> None:
    """WP-07, WP-08"""
    run, token = await _started(api), await _create(api)
    path = f"/engine/v1/runs/{run.id}/waitpoints/tokens/{token['id']}/wait"
    answer = await api.call("POST", path)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert await _state(api, run) == "EXECUTING_WITH_WAITPOINTS"
    await api.call("POST", f"{TOKENS}/{token['id']}/complete", json={"data": 1})
    assert await _state(api, run) == "EXECUTING"


async def _refusals(api: Api, run_id: str, token_id: str, environment: str) -> list[httpx.Response]:
    paths = [f"{run_id}/wait/duration", f"{run_id}/waitpoints/tokens/{token_id}/wait"]
    body = {"date": "2999-01-31T09:00:00.000Z"}
    return [
        await api.call("POST", f"/engine/v1/runs/{path}", json=body, environment=environment)
        for path in paths
    ]


async def test_a_wait_that_cannot_be_is_refused(api: Api) -> None:
    """WP-07: of an unknown run, of another environment's, of one that does not execute."""
    run, token = await _started(api), await _create(api)
    waiting = await api.trigger()
    for run_id, environment, status in (
        ("run_none", "prod", 404),
        (run.id, "dev", 404),
        (waiting, "prod", 422),
    ):
        answers = await _refusals(api, run_id, token["id"], environment)
        assert [answer.status_code for answer in answers] == [status, status]
    bad = await api.call("POST", f"/engine/v1/runs/{run.id}/wait/duration", json={"date": "tomorrow"})
    assert bad.status_code == 400 and "tomorrow" in bad.json()["error"]
    assert await _state(api, run) == "EXECUTING"


async def test_a_completed_waitpoint_survives_the_wire(api: Api) -> None:
    """What a worker reads is what the server wrote."""
    from trigger_lite.engine.wait_state import read_wait_state
    from trigger_lite.protocol.worker import ServerMessage

    run, token = await _started(api), await _create(api)
    await api.call("POST", f"/engine/v1/runs/{run.id}/waitpoints/tokens/{token['id']}/wait")
    await api.call("POST", f"{TOKENS}/{token['id']}/complete", json={"data": {"a": 1}})
    step = await api.services.store.read(read_wait_state, run.environment_id, "worker_1", run.id)
    assert msgspec.json.decode(msgspec.json.encode(step), type=ServerMessage) == step
