"""Middleware: generators around every attempt, first in first, unwound in reverse (engine-behaviours AT-24).

What is before the `yield` runs before the attempt, what is after it when the attempt is over, however it
ended: its exception is raised at the `yield`, so `with` and `finally` do what they always do. How the attempt
ended is settled by then. A fault of a middleware itself fails the attempt as TASK_MIDDLEWARE_ERROR (AT-25).
A run that waits keeps its middleware open.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from trigger_lite.sdk.context import Ctx
from trigger_lite.sdk.errors import DefinitionError
from trigger_lite.sdk.hosts import Host

Middleware = Callable[[Ctx], Iterator[None]] | Callable[[Ctx], AsyncIterator[None]]
M = TypeVar("M", bound=Middleware)


class MiddlewareFault(Exception):
    """A middleware raised an error of its own; `error` is that, `middleware` its function."""

    def __init__(self, middleware: Middleware, error: BaseException) -> None:
        super().__init__(f"middleware {_name(middleware)}: {type(error).__name__}: {error}")
        self.middleware = middleware
        self.error = error


class GlobalMiddleware:
    """Puts a generator around every attempt of every task; written in `init.py`, in the order of nesting.

    >>> @middleware
    ... def timing(ctx: Ctx) -> Iterator[None]:
    ...     started = time.monotonic()
    ...     yield
    ...     log.info("took", seconds=time.monotonic() - started)
    """

    def __init__(self) -> None:
        self._functions: list[Middleware] = []

    def __call__(self, fn: M) -> M:
        """Register `fn` and return it; raises DefinitionError when it is no generator of one `ctx`."""
        check_middleware(fn)
        self._functions.append(fn)
        return fn

    def all(self) -> tuple[Middleware, ...]:
        """Return what was registered, in order."""
        return tuple(self._functions)

    def clear(self) -> None:
        """Forget everything that was registered."""
        self._functions.clear()


middleware: Final = GlobalMiddleware()
"""The one registry of this process: importing `init.py` fills it."""


def check_middleware(fn: Any) -> None:
    """Raise DefinitionError unless `fn` is a generator function, async or not, of one parameter."""
    if not (inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn)):
        raise DefinitionError(
            f"middleware {_name(fn)} is no generator; write `yield` where the attempt is to run"
        )
    try:
        inspect.signature(fn).bind(None)
    except TypeError as error:
        raise DefinitionError(f"middleware {_name(fn)} takes one parameter, ctx: {error}") from None


def _name(fn: Any) -> str:
    return getattr(fn, "__name__", repr(fn))


class Entered:
    """One middleware of one attempt, at its `yield`."""

    def __init__(self, fn: Middleware, context: Ctx) -> None:
        self.fn: Final = fn
        self._generator: Any = fn(context)
        self._is_async = inspect.isasyncgenfunction(fn)

    async def enter(self, host: Host) -> None:
        """Run what is before the `yield`."""
        if await self._is_over(host, None):
            raise RuntimeError("it ended without a yield")

    async def leave(self, host: Host, error: BaseException | None) -> None:
        """Run what is after the `yield`; raises what goes wrong there, but not `error` itself."""
        trace = error.__traceback__ if error is not None else None
        try:
            is_over = await self._is_over(host, error)
        except BaseException as raised:
            if not _is_same(raised, error):
                raise
            return
        finally:
            if error is not None:
                error.__traceback__ = trace  # without the frames of its way out
        if not is_over:
            raise RuntimeError("it yields a second time")

    async def _is_over(self, host: Host, error: BaseException | None) -> bool:
        generator = self._generator
        try:
            if self._is_async:
                await host.settle(generator.asend(None) if error is None else generator.athrow(error))
            elif error is None:
                next(generator)
            else:
                generator.throw(error)
        except (StopIteration, StopAsyncIteration):
            return True
        return False


def _is_same(raised: BaseException, thrown: BaseException | None) -> bool:
    """Tell whether a generator let through what was thrown into it."""
    if isinstance(thrown, StopIteration | StopAsyncIteration):
        return raised.__cause__ is thrown  # these cannot leave a generator as they are (PEP 479)
    return raised is thrown


class MiddlewareStack:
    """All middleware around one attempt."""

    def __init__(self, host: Host, context: Ctx, functions: Sequence[Middleware]) -> None:
        self._host = host
        self._context = context
        self._functions = functions
        self._entered: list[Entered] = []

    async def enter(self) -> None:
        """Go in; raises MiddlewareFault, with what was entered before left again."""
        for fn in self._functions:
            try:
                entered = Entered(fn, self._context)
                await entered.enter(self._host)
            except BaseException as error:
                await self.leave(error)
                raise MiddlewareFault(fn, error) from error
            self._entered.append(entered)

    async def leave(self, error: BaseException | None) -> MiddlewareFault | None:
        """Go out, with the attempt's error if it has one; returns the first fault of a middleware."""
        fault: MiddlewareFault | None = None
        while self._entered:
            entered = self._entered.pop()
            try:
                await entered.leave(self._host, error)
            except BaseException as raised:
                fault = fault or MiddlewareFault(entered.fn, raised)
                error = raised
        return fault
