"""Wait tokens over the API."""

from datetime import UTC, datetime

import pytest

from tests.support.edge import Edge, Reply
from trigger_lite import BlockingCall, Client, DefinitionError, PayloadError, Token, UnknownOption, tokens

PATH = "/api/v1/waitpoints/tokens"
MADE = {"id": "waitpoint_1", "isCached": False, "url": "http://host/callback"}
VIEW = {"id": "waitpoint_1", "url": "http://host/callback", "createdAt": "2030-01-01T00:00:00.000Z"}


def test_a_token_is_made_with_what_was_asked(edge: Edge) -> None:
    """WP-17: its options, its callback address, and a public token for it alone."""
    edge.on("POST", PATH, Reply(body=MADE, headers={"x-trigger-jwt": "public"}))
    token = tokens.create(
        timeout="1d", tags="org_42", idempotency_key="k", idempotency_key_ttl=3600, type=dict[str, bool]
    )
    assert token == Token("waitpoint_1", "http://host/callback", "public", is_cached=False)
    assert token.type == dict[str, bool]
    tokens.create(timeout=datetime(2030, 1, 1, tzinfo=UTC), tags=["a", "b"])
    tokens.create()
    assert [request.body for request in edge.requests] == [
        {"timeout": "1d", "tags": ["org_42"], "idempotencyKey": "k", "idempotencyKeyTTL": "3600s"},
        {"timeout": "2030-01-01T00:00:00.000Z", "tags": ["a", "b"]},
        {},
    ]


def test_the_secrets_of_a_token_are_not_shown() -> None:
    shown = repr(Token("waitpoint_1", "http://host/callback/secret", "eyJhbGciOi"))
    assert shown == "Token(id='waitpoint_1', is_cached=False)"


def test_wrong_options_are_named(edge: Edge) -> None:
    with pytest.raises(UnknownOption, match="has no option 'timeuot'; did you mean 'timeout'"):
        tokens.create(timeuot="1d")  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match=r"tokens\.create: timeout: 'soon' is not a duration"):
        tokens.create(timeout="soon")
    with pytest.raises(DefinitionError, match=r"tokens.create: timeout: .* has no time zone"):
        tokens.create(timeout=datetime(2030, 1, 1))  # noqa: DTZ001 - that is the mistake
    with pytest.raises(DefinitionError, match="at most 10 tags"):
        tokens.create(tags=[str(number) for number in range(11)])
    with pytest.raises(UnknownOption, match=r"tokens\.list has no option 'tags'; did you mean 'tag'"):
        tokens.list(tags="a")  # type: ignore[call-arg]
    assert edge.requests == []


def test_a_token_is_completed_with_plain_json(edge: Edge) -> None:
    """WP-19: by the token or its id."""
    edge.on("POST", f"{PATH}/waitpoint_1/complete", Reply(body={"success": True}))
    token: Token[dict[str, int]] = Token("waitpoint_1", "", "")
    tokens.complete(token, {"a": 1})
    tokens.complete("waitpoint_1", "text")
    tokens.complete("waitpoint_1")
    assert [request.body for request in edge.requests] == [
        {"data": {"a": 1}},
        {"data": "text"},
        {"data": None},
    ]
    with pytest.raises(PayloadError, match="waitpoint_1: a value of type `object` cannot be written as JSON"):
        tokens.complete("waitpoint_1", object())


def test_a_token_shows_what_it_was_completed_with(edge: Edge) -> None:
    done = {**VIEW, "status": "COMPLETED", "output": '{"a":1}', "outputType": "application/json"}
    late = {**VIEW, "status": "TIMED_OUT", "output": '{"code":"x"}', "outputIsError": True}
    edge.on("GET", f"{PATH}/waitpoint_1", Reply(body=done), Reply(body=late))
    assert tokens.get("waitpoint_1").output == {"a": 1}
    timed_out = tokens.get("waitpoint_1")
    assert (timed_out.status, timed_out.output) == ("TIMED_OUT", None)


def test_lists_page_by_themselves(edge: Edge) -> None:
    """WP-20: by status, tag, key and time."""
    first = {"data": [{**VIEW, "status": "WAITING"}], "pagination": {"next": "waitpoint_1"}}
    second = {"data": [{**VIEW, "id": "waitpoint_2", "status": "WAITING"}], "pagination": {}}
    edge.on("GET", PATH, Reply(body=first), Reply(body=second))
    found = tokens.list(status=["WAITING"], tag="a", idempotency_key="k", period="1d")
    assert [token.id for token in found] == ["waitpoint_1", "waitpoint_2"]
    filters = {
        "filter[status]": "WAITING",
        "filter[tags]": "a",
        "filter[idempotencyKey]": "k",
        "filter[createdAt][period]": "1d",
        "page[size]": "50",
    }
    assert [request.query for request in edge.requests] == [
        filters,
        {**filters, "page[after]": "waitpoint_1"},
    ]


async def test_async_code_has_the_same(edge: Edge) -> None:
    edge.on("POST", PATH, Reply(body=MADE))
    edge.on("POST", f"{PATH}/waitpoint_1/complete", Reply(body={"success": True}))
    edge.on("GET", f"{PATH}/waitpoint_1", Reply(body={**VIEW, "status": "WAITING"}))
    edge.on("GET", PATH, Reply(body={"data": [{**VIEW, "status": "WAITING"}], "pagination": {}}))
    token = await tokens.aio.create(timeout="1d", type=bool)
    assert token.id == "waitpoint_1"
    await tokens.aio.complete(token, data=True)
    assert (await tokens.aio.get(token.id)).status == "WAITING"
    assert [found.id async for found in tokens.aio.list(status="WAITING")] == ["waitpoint_1"]


async def test_in_an_event_loop_the_other_form_is_named() -> None:
    for call, name in (
        (lambda: tokens.create(), "create"),
        (lambda: tokens.complete("t"), "complete"),
        (lambda: tokens.get("t"), "get"),
        (lambda: tokens.list(), "list"),
    ):
        with pytest.raises(BlockingCall, match=rf"tokens\.aio\.{name}\(…\)"):
            call()


def test_a_client_has_the_tokens_of_its_server(edge: Edge, client: Client) -> None:
    edge.on("GET", f"{PATH}/waitpoint_1", Reply(body={**VIEW, "status": "WAITING"}))
    assert client.tokens.get("waitpoint_1").status == "WAITING"
