"""Waits of a run: for a time, until a moment, for a token that somebody completes."""

import os
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload
from urllib.parse import quote

import msgspec

from trigger_lite.protocol.durations import Duration, duration_seconds
from trigger_lite.protocol.times import iso
from trigger_lite.protocol.waitpoints import CompletedWaitpoint, WaitFor, WaitingUntil
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.context import Ctx
from trigger_lite.sdk.errors import PayloadError, TokenTimeout
from trigger_lite.sdk.output import decode_output
from trigger_lite.sdk.result import Err, Ok
from trigger_lite.sdk.tokens import Token
from trigger_lite.sdk.waiting import running, sleep_in_run, until_canceled, wait_in_run

if TYPE_CHECKING:
    from trigger_lite.sdk.local import LocalWorld

A = TypeVar("A")
Past = Literal["skip", "raise"]
SLEPT_SECONDS: Final = 5.0
"""A wait up to this long is a plain sleep: it keeps its slot, and nothing is stored of it (WP-11)."""


class AwaitedMoment:
    """A moment, `at` in Unix seconds. Implements `sdk.channel.Awaited`."""

    def __init__(self, context: Ctx, at: float) -> None:
        self._context = context
        self._at = at
        self._key = os.urandom(16).hex()
        self._id = ""
        self.is_over = False

    @property
    def longest(self) -> float:
        return max(0.0, self._at - time.time())

    def begin(self) -> None:
        from trigger_lite.sdk.target import default_client

        body = msgspec.json.encode(WaitFor(iso(round(self._at * 1000)), self._key))
        path = f"/engine/v1/runs/{quote(self._context.run.id, safe='')}/wait/duration"
        go_on = until_canceled(self._context)
        answer = default_client().request("POST", path, WaitingUntil, body, go_on=go_on)
        self._id = answer.waitpoint.id

    def accept(self, waitpoint: CompletedWaitpoint) -> None:
        self.is_over = self.is_over or waitpoint.friendly_id == self._id

    def pretend(self, world: "LocalWorld") -> None:
        world.now = max(world.now, self._at)
        self.is_over = True


class AwaitedToken:
    """A token. Implements `sdk.channel.Awaited`."""

    longest = None

    def __init__(self, context: Ctx, token_id: str) -> None:
        self._context = context
        self._id = token_id
        self.ended: CompletedWaitpoint | None = None

    def begin(self) -> None:
        from trigger_lite.sdk.target import default_client

        run, token = quote(self._context.run.id, safe=""), quote(self._id, safe="")
        path = f"/engine/v1/runs/{run}/waitpoints/tokens/{token}/wait"
        default_client().request("POST", path, dict[str, Any], go_on=until_canceled(self._context))

    def accept(self, waitpoint: CompletedWaitpoint) -> None:
        if waitpoint.friendly_id == self._id:
            self.ended = waitpoint

    @property
    def is_over(self) -> bool:
        return self.ended is not None

    def pretend(self, world: "LocalWorld") -> None:
        self.ended = world.end_of_token(self._id)


class Wait:
    """Waits of the current run. Meanwhile its slot in the queue is free, and its process is kept.

    A time up to 5 seconds is a plain sleep. A run waits for one thing at a time. Waits do not count to
    `max_duration`, and end with RunCanceled when the run is cancelled.

    >>> @task
    ... def remind(user: str) -> str:
    ...     wait.for_("1d")
    ...     return f"reminded {user}"
    """

    @property
    def aio(self) -> "AsyncWait":
        """The same for async code.

        >>> async def pause() -> None:
        ...     await wait.aio.for_("1h")
        """
        return AsyncWait(self)

    def for_(self, duration: Duration) -> None:
        """Wait for "30s", "1h30m", a number of seconds or a timedelta.

        Raises ParkedMemoryFull for one over 30 seconds that this worker has no memory for.

        >>> wait.for_("30s")
        """
        refuse_in_event_loop("wait.for_(…)", "await wait.aio.for_(…)")
        context = running("wait.for_(…)")
        self._until(context, _now(context) + duration_seconds(duration))

    def until(self, moment: datetime, *, past: Past = "skip") -> None:
        """Wait until an aware time; one that is past is no wait, or with `past="raise"` a ValueError.

        Raises ParkedMemoryFull like `for_`.

        >>> wait.until(datetime(2030, 1, 1, 9, tzinfo=UTC))
        """
        refuse_in_event_loop("wait.until(…)", "await wait.aio.until(…)")
        context = running("wait.until(…)")
        if moment.utcoffset() is None:
            raise ValueError(f"{moment!r} has no time zone; write for example datetime.now(UTC)")
        if past not in ("skip", "raise"):
            raise ValueError(f'past is "skip" or "raise", not {past!r}')
        if past == "raise" and moment.timestamp() <= _now(context):
            raise ValueError(f"{moment.isoformat()} is past")
        self._until(context, moment.timestamp())

    def _until(self, context: Ctx, at: float) -> None:
        seconds = max(0.0, at - _now(context))
        if seconds <= SLEPT_SECONDS:
            sleep_in_run(context, seconds)
        else:
            wait_in_run(context, AwaitedMoment(context, at))

    @overload
    def for_token(self, token: Token[A]) -> Ok[A] | Err[TokenTimeout]: ...
    @overload
    def for_token(self, token: Token[Any] | str, *, type: type[A]) -> Ok[A] | Err[TokenTimeout]: ...
    @overload
    def for_token(self, token: str) -> Ok[Any] | Err[TokenTimeout]: ...
    def for_token(self, token: Token[Any] | str, *, type: Any = None) -> Ok[Any] | Err[TokenTimeout]:
        """Wait until somebody completes a token, and return what with; Err when nobody does in its time.

        `type` is what the data is to be, when the token itself does not say. Raises PayloadError when the
        data does not fit it, ApiError 404 for a token that does not exist, and ParkedMemoryFull like `for_`.

        >>> wait.for_token("waitpoint_06fd3v", type=Approval).unwrap()
        Approval(approved=True, by='Ada')
        """
        refuse_in_event_loop("wait.for_token(…)", "await wait.aio.for_token(…)")
        context = running("wait.for_token(…)")
        token_id = token if isinstance(token, str) else token.id
        kind = type if type is not None or isinstance(token, str) else token.type
        awaited = AwaitedToken(context, token_id)
        wait_in_run(context, awaited)
        ended = awaited.ended
        assert ended is not None
        if ended.output_is_error:
            return Err(TokenTimeout(token_id), token_id)
        return Ok(_data(token_id, ended, Any if kind is None else kind), token_id)


def _now(context: Ctx) -> float:
    """Return Unix seconds, of the clock that the run lives by."""
    world = context.channel.world
    return time.time() if world is None else world.now


def _data(token_id: str, ended: CompletedWaitpoint, kind: Any) -> Any:
    try:
        return decode_output(ended.output, ended.output_type, kind)
    except PayloadError as error:
        what = str(error).removeprefix("the result does not fit: ")
        raise PayloadError(
            f"what {token_id} was completed with does not fit: {what}",
            path=error.path,
            expected=error.expected,
            got=error.got,
        ) from error


class AsyncWait:
    """Waits of the current run for async code. Get them as `wait.aio`.

    The run waits as a whole: other coroutines of it go on, but its slot is free and its time is not counted.
    A wait cannot be given up: bound one by its token's timeout, not by asyncio's, after which the run would
    still count as waiting and could begin no other wait.

    >>> async def pause() -> None:
    ...     await wait.aio.for_("1h")
    """

    def __init__(self, wait: Wait) -> None:
        self._wait = wait

    async def for_(self, duration: Duration) -> None:
        """Wait for "30s", "1h30m", a number of seconds or a timedelta; raises like `Wait.for_`.

        >>> async def pause() -> None:
        ...     await wait.aio.for_("30s")
        """
        await in_thread(self._wait.for_, duration)

    async def until(self, moment: datetime, *, past: Past = "skip") -> None:
        """Wait until an aware time; raises like `Wait.until`.

        >>> async def pause() -> None:
        ...     await wait.aio.until(datetime(2030, 1, 1, 9, tzinfo=UTC))
        """
        await in_thread(self._wait.until, moment, past=past)

    @overload
    async def for_token(self, token: Token[A]) -> Ok[A] | Err[TokenTimeout]: ...
    @overload
    async def for_token(self, token: Token[Any] | str, *, type: type[A]) -> Ok[A] | Err[TokenTimeout]: ...
    @overload
    async def for_token(self, token: str) -> Ok[Any] | Err[TokenTimeout]: ...
    async def for_token(self, token: Token[Any] | str, *, type: Any = None) -> Ok[Any] | Err[TokenTimeout]:
        """Wait until somebody completes a token; returns and raises like `Wait.for_token`.

        >>> async def approved() -> bool:
        ...     return (await wait.aio.for_token("waitpoint_06fd3v", type=Approval)).unwrap().approved
        """
        return await in_thread(self._wait.for_token, token, type=type)


wait: Final = Wait()
"""Waits of the current run."""
