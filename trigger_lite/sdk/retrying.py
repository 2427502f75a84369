"""Trying again inside an attempt: one call, one function, one HTTP request.

For faults that pass in seconds: the run keeps its process and its slot meanwhile. To wait for longer, let the
attempt fail, and the task's own Retry makes another.
"""

import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, overload

from trigger_lite.protocol.durations import Duration, duration_seconds
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.context import Ctx, find_context
from trigger_lite.sdk.decision import stops_retrying
from trigger_lite.sdk.errors import DefinitionError, RateLimited, RunControl
from trigger_lite.sdk.logger import get_logger
from trigger_lite.sdk.retry import DEFAULT_RETRY, Retry
from trigger_lite.sdk.signature import is_async
from trigger_lite.sdk.status_rules import (
    BY_STATUS,
    SEVERAL,
    ByStatus,
    allowed_after,
    answer_of,
    check_rules,
    rule_for,
)

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import Request

P = ParamSpec("P")
T = TypeVar("T")
Errors = type[Exception] | tuple[type[Exception], ...]
Rules = Callable[[Any, int, float], float | None]
"""Takes what a try gave or raised, its number, and chance from 0 to 1; returns seconds to the next one."""

LONGEST_SECONDS: Final = 600.0
"""What a service asks for beyond this is not waited for: its answer is returned, or raised, as it is."""

log = get_logger(__name__)


class Retrying:
    """Trying again inside an attempt; `retry` is the one there is.

    >>> retry.call(lambda: double(21), Retry(4, min=0.5))
    42
    """

    @property
    def aio(self) -> "AsyncRetrying":
        """The same for async code.

        >>> async def size() -> int:
        ...     return await retry.aio.call(lambda: handle.aio.result(), Retry(4))
        """
        return AsyncRetrying()

    def call(self, fn: Callable[[], T], policy: Retry = DEFAULT_RETRY, *, on: Errors = Exception) -> T:
        """Return what `fn` returns; when it raises one of the errors `on`, call it again as `policy` says.

        Raises its last error; at once one that says itself what happens next, such as AbortTaskRun.

        >>> retry.call(lambda: double(21), Retry(4, min=0.5), on=ConnectionError)
        42
        """
        refuse_in_event_loop("retry.call(…)", "await retry.aio.call(…)")
        return _repeat(fn, _rules_of_errors(policy, on))

    def on(
        self,
        *errors: type[Exception],
        attempts: int = 3,
        min: Duration = "1s",
        max: Duration = "1m",
        factor: float = 2.0,
        randomize: bool = True,
    ) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Have a function, async or not, called again when it raises one of these errors, as Retry says.

        >>> @retry.on(ConnectionError, TimeoutError, attempts=4)
        ... def read_price(item: str) -> float:
        ...     return 9.5
        >>> read_price("apple")
        9.5
        """
        if not errors or not all(isinstance(error, type) for error in errors):
            raise DefinitionError("@retry.on needs the errors to try again after: @retry.on(ConnectionError)")
        policy = Retry(attempts, min=min, max=max, factor=factor, randomize=randomize)
        rules = _rules_of_errors(policy, errors)
        return lambda fn: _repeating(fn, rules)

    @overload
    def http(
        self,
        request: "str | Request",
        *,
        by_status: ByStatus = ...,
        on: Errors = ...,
        timeout: Duration = ...,
    ) -> "HTTPResponse": ...
    @overload
    def http(self, request: Callable[[], T], *, by_status: ByStatus = ..., on: Errors = ...) -> T: ...
    def http(
        self,
        request: Any,
        *,
        by_status: ByStatus = BY_STATUS,
        on: Errors = OSError,
        timeout: Duration = "30s",
    ) -> Any:
        """Make a request, and make it again when the connection fails or the answer's status says so.

        `request` is an address or a Request, opened by urllib; or a function that makes the request with any
        client. `by_status` gives a status, or a class or range of them, a Retry, or "headers": wait as long
        as Retry-After or X-RateLimit-Reset says. Without a rule, and when tries are used up, the answer is
        returned, or the error raised, as it came; so it is when a service asks for more than 10 minutes.

        >>> with retry.http(server, by_status={429: "headers", "5xx": Retry(5)}) as page:
        ...     page.status
        200
        """
        refuse_in_event_loop("retry.http(…)", "await retry.aio.http(…)")
        call = request if callable(request) else _opening(request, timeout)
        return _repeat(call, _rules_of_answers(by_status, on))


class AsyncRetrying:
    """Trying again inside an attempt, for async code. Get it as `retry.aio`.

    >>> async def size() -> int:
    ...     return await retry.aio.call(lambda: handle.aio.result(), Retry(4))
    """

    async def call(
        self, fn: Callable[[], Awaitable[T]], policy: Retry = DEFAULT_RETRY, *, on: Errors = Exception
    ) -> T:
        """Return what awaiting `fn()` gives; see `Retrying.call`.

        >>> async def size() -> int:
        ...     return await retry.aio.call(lambda: handle.aio.result(), Retry(4), on=ConnectionError)
        """
        return await _repeat_async(fn, _rules_of_errors(policy, on))

    @overload
    async def http(
        self,
        request: "str | Request",
        *,
        by_status: ByStatus = ...,
        on: Errors = ...,
        timeout: Duration = ...,  # noqa: ASYNC109 - named as in its twin
    ) -> "HTTPResponse": ...
    @overload
    async def http(
        self, request: Callable[[], Awaitable[T]], *, by_status: ByStatus = ..., on: Errors = ...
    ) -> T: ...
    async def http(
        self,
        request: Any,
        *,
        by_status: ByStatus = BY_STATUS,
        on: Errors = OSError,
        timeout: Duration = "30s",  # noqa: ASYNC109 - named as in its twin
    ) -> Any:
        """Make a request, and make it again; `request` may be an async function. See `Retrying.http`.

        >>> async def page(url: str) -> int:
        ...     return (await retry.aio.http(url, by_status={"5xx": Retry(5)})).status
        """
        call = request
        if not callable(request):
            opening = _opening(request, timeout)
            call = lambda: in_thread(opening)  # noqa: E731 - as short as its twin
        return await _repeat_async(call, _rules_of_answers(by_status, on))


retry: Final = Retrying()
"""Trying again inside an attempt."""


# ---- the two loops ------------------------------------------------------------------------------------


def _repeat(fn: Callable[[], T], rules: Rules) -> T:
    number = 0
    while True:
        number += 1
        try:
            value = fn()
        except Exception as error:
            pause = _pause_after(error, number, rules)
            if pause is None:
                raise
            _let_go(error)
        else:
            pause = _pause_after(value, number, rules)
            if pause is None:
                return value
        _sleep(pause)


async def _repeat_async(fn: Callable[[], Awaitable[T]], rules: Rules) -> T:
    import asyncio

    number = 0
    while True:
        number += 1
        try:
            value = await fn()
        except Exception as error:
            pause = _pause_after(error, number, rules)
            if pause is None:
                raise
            _let_go(error)
        else:
            pause = _pause_after(value, number, rules)
            if pause is None:
                return value
        context = find_context()
        if context is not None and context.channel.world is not None:
            _sleep(pause)  # on the clock of a test
        else:
            await asyncio.sleep(pause)


def _repeating(fn: Callable[P, T], rules: Rules) -> Callable[P, T]:
    if is_async(fn):

        @wraps(fn)
        async def repeat_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            call: Any = fn
            return await _repeat_async(lambda: call(*args, **kwargs), rules)

        repeating: Any = repeat_async
        return repeating  # type: ignore[no-any-return]

    @wraps(fn)
    def repeat(*args: P.args, **kwargs: P.kwargs) -> T:
        refuse_in_event_loop(f"{fn.__name__}(…)", f"await asyncio.to_thread({fn.__name__}, …)")
        return _repeat(lambda: fn(*args, **kwargs), rules)

    return repeat


def _sleep(seconds: float) -> None:
    context = find_context()
    if context is None:
        time.sleep(seconds)
        return
    from trigger_lite.sdk.waiting import sleep_in_run

    sleep_in_run(context, seconds)


def _pause_after(outcome: Any, number: int, rules: Rules) -> float | None:
    """Return in how many seconds to try again, and say so in the log; None to leave it at this outcome."""
    context = find_context()
    if isinstance(outcome, RunControl) or (context is not None and context.canceled):
        return None
    pause = rules(outcome, number, _chance(context))
    if pause is not None:
        error = isinstance(outcome, Exception)
        reason = f"{type(outcome).__name__}: {outcome}" if error else _status_text(outcome)
        log.warning("trying again", after=number, seconds=round(pause, 3), reason=reason)
    return pause


def _let_go(error: Exception) -> None:
    """Close the connection that urllib's errors hold: they are answers too."""
    close = getattr(error, "close", None)
    if isinstance(error, OSError) and callable(close):
        close()


def _status_text(outcome: Any) -> str:
    answer = answer_of(outcome)
    return f"status {answer[0]}" if answer is not None else repr(outcome)


def _chance(context: Ctx | None) -> float:
    if context is not None and context.channel.world is not None:
        return 0.0
    import random

    return random.random()


# ---- rules --------------------------------------------------------------------------------------------


def _rules_of_errors(policy: Retry, errors: Errors) -> Rules:
    def pause(outcome: Any, number: int, chance: float) -> float | None:
        if not isinstance(outcome, errors) or number >= policy.attempts or stops_retrying(outcome):
            return None
        if isinstance(outcome, RateLimited) and outcome.retry_after > 0:
            return outcome.retry_after
        return policy.delay_seconds(number, chance)

    return pause


def _rules_of_answers(by_status: ByStatus, errors: Errors) -> Rules:
    check_rules(by_status)
    of_errors = _rules_of_errors(SEVERAL, errors)

    def pause(outcome: Any, number: int, chance: float) -> float | None:
        answer = answer_of(outcome)
        if answer is None:
            return of_errors(outcome, number, chance)
        rule = rule_for(answer[0], by_status)
        policy = SEVERAL if rule == "headers" else rule
        if not isinstance(policy, Retry) or number >= policy.attempts:
            return None
        asked = allowed_after(answer[1], time.time()) if rule == "headers" else None
        seconds = policy.delay_seconds(number, chance) if asked is None else asked
        return seconds if seconds <= LONGEST_SECONDS else None

    return pause


def _opening(request: "str | Request", timeout: Duration) -> "Callable[[], HTTPResponse]":
    """Return what opens an address; raises DefinitionError for one that urllib would read from a disk."""
    seconds = duration_seconds(timeout)
    address = request if isinstance(request, str) else request.full_url
    if not address.lower().startswith(("http://", "https://")):
        raise DefinitionError(
            f"retry.http: {address[:80]!r} is no address that begins with http:// or https://"
        )

    def open_request() -> "HTTPResponse":
        from urllib.request import urlopen

        response: HTTPResponse = urlopen(request, timeout=seconds)
        return response

    return open_request
