"""Wait tokens: what a run waits for until somebody, or another program, completes it."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypedDict, TypeVar, Unpack, overload
from urllib.parse import quote

import msgspec

from trigger_lite.protocol.durations import Duration
from trigger_lite.protocol.waitpoints import CreatedToken, CreateToken, TokenPage, TokenResult, TokenView
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.codec import to_json
from trigger_lite.sdk.context import find_context
from trigger_lite.sdk.errors import PayloadError
from trigger_lite.sdk.filters import filter_query
from trigger_lite.sdk.options import check_options, option_key_life, option_moment, option_tags
from trigger_lite.sdk.output import decode_output
from trigger_lite.sdk.paging import cursor_pages, each_row, each_row_in_thread

if TYPE_CHECKING:
    from trigger_lite.sdk.client import Client
    from trigger_lite.sdk.local import LocalWorld

A = TypeVar("A")
_PATH: Final = "/api/v1/waitpoints/tokens"
_FILTERS: Final = {
    "status": "filter[status]",
    "tag": "filter[tags]",
    "idempotency_key": "filter[idempotencyKey]",
    "since": "filter[createdAt][from]",
    "until": "filter[createdAt][to]",
    "period": "filter[createdAt][period]",
}


class TokenOptions(TypedDict, total=False):
    """What `tokens.create` takes.

    >>> token = tokens.create(timeout="1d", tags=["org_42"], idempotency_key="approve-order-7")
    """

    timeout: "Duration | datetime"
    """Nobody waits longer than this, or past this aware time; without it, for ever."""
    tags: "str | list[str]"
    """Words to find it by; at most 10."""
    idempotency_key: str
    """A second token of this key is the first one, so that a run that is tried again keeps what was sent.

    It counts in the whole environment: put the run's id into it for a token of each run.
    """
    idempotency_key_ttl: Duration
    """How long the key is remembered; 30 days when not given."""


class TokenFilter(TypedDict, total=False):
    """What `tokens.list` searches by; a list means any of its members.

    >>> open_ones = tokens.list(status="WAITING", tag=["org_42", "org_43"])
    """

    status: "str | list[str]"
    """ "WAITING", "COMPLETED" or "TIMED_OUT"."""
    tag: "str | list[str]"
    """Any of these tags."""
    idempotency_key: str
    """Made with this key."""
    since: datetime
    """Created at this time or later."""
    until: datetime
    """Created at this time or earlier."""
    period: Duration
    """Created within this time from now."""


@dataclass(frozen=True, slots=True)
class Token(Generic[A]):
    """Something to wait for; A is what it is completed with. Made by `tokens.create`.

    A POST to `url` completes it without a key. So may a browser or another program, for a day, with
    `public_token` as the bearer of `POST /api/v1/waitpoints/tokens/:id/complete`; it can do nothing else.
    `is_cached` tells that an idempotency key found an earlier one.

    >>> token = tokens.create(timeout="1d", type=Approval)
    >>> token.id
    'waitpoint_06fd3v'
    """

    id: str
    url: str = field(repr=False)
    public_token: str = field(repr=False)
    is_cached: bool = False
    type: Any = field(default=Any, compare=False, repr=False)


class TokenDetail(TokenView, frozen=True, kw_only=True):
    """A token as it is now; `output` is what it was completed with.

    >>> tokens.get("waitpoint_06fd3v").output
    {'approved': True, 'by': 'Ada'}
    """

    output: Any = None


class Tokens:
    """Wait tokens of one environment. `trigger_lite.tokens` are those of the configured server.

    >>> token = tokens.create(timeout="1d", tags="org_42", type=Approval)
    >>> tokens.complete(token, Approval(approved=True, by="Ada"))
    """

    def __init__(self, find_client: "Callable[[], Client]") -> None:
        self._find_client = find_client

    @property
    def aio(self) -> "AsyncTokens":
        """The same for async code.

        >>> async def ask() -> str:
        ...     return (await tokens.aio.create(timeout="1d")).url
        """
        return AsyncTokens(self)

    @overload
    def create(self, *, type: type[A], **options: Unpack[TokenOptions]) -> Token[A]: ...
    @overload
    def create(self, **options: Unpack[TokenOptions]) -> Token[Any]: ...
    def create(self, *, type: Any = Any, **options: Unpack[TokenOptions]) -> Token[Any]:
        """Make a token; `type` is what it is to be completed with.

        Raises UnknownOption or DefinitionError for an option that is wrong.

        >>> token = tokens.create(timeout="1d", idempotency_key="approve-order-7", type=Approval)
        """
        refuse_in_event_loop("tokens.create(…)", "await tokens.aio.create(…)")
        body = _wanted(options)
        world = _local_world()
        if world is not None:
            token_id, is_cached = world.make_token(body.idempotency_key)
            return Token(token_id, "", "", is_cached, type)
        client = self._find_client()
        made, headers = client.request_with_headers("POST", _PATH, CreatedToken, msgspec.json.encode(body))
        return Token(made.id, made.url, headers.get("x-trigger-jwt", ""), made.is_cached, type)

    def complete(self, token: Token[A] | str, data: A | Any = None) -> None:
        """Complete a token with any value JSON can hold; one that is complete or timed out stays as it is.

        Raises PayloadError for a value that JSON cannot hold, ApiError 404 when there is no such token.

        >>> tokens.complete("waitpoint_06fd3v", {"approved": True, "by": "Ada"})
        """
        refuse_in_event_loop("tokens.complete(…)", "await tokens.aio.complete(…)")
        token_id = token if isinstance(token, str) else token.id
        try:
            text = to_json(data)
        except TypeError as error:
            raise PayloadError(f"{token_id}: {error}") from error
        world = _local_world()
        if world is not None:
            world.complete_token(token_id, text)
            return
        body = msgspec.json.encode({"data": msgspec.Raw(text.encode())})
        self._find_client().request("POST", f"{_address(token_id)}/complete", dict[str, Any], body)

    def get(self, token_id: str) -> TokenDetail:
        """Return a token as it is now; raises ApiError 404 when there is none of this id.

        >>> tokens.get("waitpoint_06fd3v").status
        'COMPLETED'
        """
        refuse_in_event_loop("tokens.get(…)", "await tokens.aio.get(…)")
        found = self._find_client().request("GET", _address(token_id), TokenResult)
        fields = {name: getattr(found, name) for name in TokenView.__struct_fields__}
        output = None if found.output_is_error else decode_output(found.output, found.output_type, Any)
        return TokenDetail(**fields, output=output)

    def list(self, **filters: Unpack[TokenFilter]) -> Iterator[TokenView]:
        """Go through tokens, the newest first; pages are fetched as they are needed.

        Raises UnknownOption or DefinitionError for a filter that is wrong.

        >>> ids = [token.id for token in tokens.list(status="WAITING", tag="org_42")]
        """
        refuse_in_event_loop("tokens.list(…)", "async for token in tokens.aio.list(…)")
        return each_row(self.pages(_query(filters)))

    def pages(self, query: dict[str, str]) -> Iterator[Sequence[TokenView]]:
        """Yield the rows of each page; `query` as the wire has it."""
        return cursor_pages(self._find_client, _PATH, TokenPage, query)


def _wanted(options: TokenOptions) -> CreateToken:
    check_options("tokens.create", options, TokenOptions, beside=("type",))
    wire: dict[str, Any] = {}
    for name, value in options.items():
        write = _WIRE.get(name)
        wire[name] = value if write is None else write("tokens.create", value)
    return CreateToken(**wire)


_WIRE: Final[dict[str, Callable[[str, Any], Any]]] = {
    "timeout": lambda who, value: option_moment(who, "timeout", value),
    "tags": option_tags,
    "idempotency_key_ttl": option_key_life,
}


def _query(filters: TokenFilter) -> dict[str, str]:
    return filter_query("tokens.list", filters, TokenFilter, _FILTERS)


def _address(token_id: str) -> str:
    return f"{_PATH}/{quote(token_id, safe='')}"


def _local_world() -> "LocalWorld | None":
    context = find_context()
    return None if context is None else context.channel.world


class AsyncTokens:
    """Wait tokens for async code. Get them as `tokens.aio`.

    >>> async def ask() -> str:
    ...     return (await tokens.aio.create(timeout="1d")).url
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    @overload
    async def create(self, *, type: type[A], **options: Unpack[TokenOptions]) -> Token[A]: ...
    @overload
    async def create(self, **options: Unpack[TokenOptions]) -> Token[Any]: ...
    async def create(self, *, type: Any = Any, **options: Unpack[TokenOptions]) -> Token[Any]:
        """Make a token; takes and raises what `Tokens.create` does.

        >>> async def ask() -> str:
        ...     return (await tokens.aio.create(timeout="1d", type=Approval)).url
        """

        def make() -> Token[Any]:
            made: Token[Any] = self._tokens.create(type=type, **options)
            return made

        return await in_thread(make)

    async def complete(self, token: Token[A] | str, data: A | Any = None) -> None:
        """Complete a token; raises like `Tokens.complete`.

        >>> async def approve(token_id: str) -> None:
        ...     await tokens.aio.complete(token_id, {"approved": True, "by": "Ada"})
        """
        await in_thread(self._tokens.complete, token, data)

    async def get(self, token_id: str) -> TokenDetail:
        """Return a token as it is now.

        >>> async def status(token_id: str) -> str:
        ...     return (await tokens.aio.get(token_id)).status
        """
        return await in_thread(self._tokens.get, token_id)

    async def list(self, **filters: Unpack[TokenFilter]) -> AsyncIterator[TokenView]:
        """Go through tokens, the newest first; pages are fetched as they are needed.

        >>> async def waiting() -> list[str]:
        ...     return [token.id async for token in tokens.aio.list(status="WAITING")]
        """
        query = _query(filters)
        async for row in each_row_in_thread(self._tokens.pages(query)):
            yield row
