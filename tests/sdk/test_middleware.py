"""Generators around an attempt: what they see, and what their own faults mean."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.support.attempts import RecordingChannel, an_execution
from trigger_lite import (
    AbortTaskRun,
    Ctx,
    DefinitionError,
    Hooks,
    OutOfMemory,
    Retry,
    RetryAfter,
    middleware,
    task,
)
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.run_errors import BuiltInError, ErrorCode, InternalError
from trigger_lite.sdk.attempt import run_attempt
from trigger_lite.sdk.decision import AttemptSettings
from trigger_lite.sdk.middleware import Middleware

SETTINGS = AttemptSettings(jitter=lambda: 0.0)
Body = Callable[[], Any]


def inside(
    *around: Middleware,
    body: Body = lambda: None,
    retry: Retry | None = None,
    channel: RecordingChannel | None = None,
) -> Completion:
    """Run `body` inside this middleware, the first one outermost."""

    @task(retry=retry or Retry(), hooks=Hooks(middleware=around))
    def made() -> object:
        return body()

    return run_attempt(made, an_execution(), channel or RecordingChannel(), settings=SETTINGS)


def raising(error: BaseException) -> Body:
    def fail() -> None:
        raise error

    return fail


def fault_of(completion: Completion) -> InternalError:
    assert isinstance(completion.error, InternalError), completion
    assert completion.error.code is ErrorCode.TASK_MIDDLEWARE_ERROR
    return completion.error


def test_the_error_of_the_attempt_passes_through_the_yield() -> None:
    """AT-24: a transaction is rolled back by the error and committed without one."""
    seen: list[BaseException | None] = []

    @contextlib.contextmanager
    def transaction() -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            seen.append(error)
            raise
        else:
            seen.append(None)

    def around(ctx: Ctx) -> Iterator[None]:
        with transaction():
            yield

    error = ValueError("no")
    assert isinstance(inside(around, body=raising(error)).error, BuiltInError)
    assert inside(around).ok
    assert seen == [error, None]


def test_what_a_middleware_does_with_the_error_does_not_change_it() -> None:
    """AT-24: how the attempt ended is settled before it unwinds, and the outer one sees the error still."""
    seen: list[BaseException] = []

    def outer(ctx: Ctx) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            seen.append(error)
            raise

    def swallowing(ctx: Ctx) -> Iterator[None]:
        with contextlib.suppress(ValueError):
            yield

    def replacing(ctx: Ctx) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise LookupError("while cleaning up") from error

    channel = RecordingChannel()
    for around in (swallowing, replacing):
        completion = inside(outer, around, body=raising(ValueError("no")), channel=channel)
        assert isinstance(completion.error, BuiltInError)
        assert completion.error.message == "no"
    assert [type(error) for error in seen] == [ValueError, LookupError]
    (line,) = channel.lines
    assert "after the attempt: MiddlewareFault: middleware replacing: LookupError" in line[1]


@pytest.mark.parametrize(
    "error", [StopIteration("x"), StopAsyncIteration("x"), GeneratorExit(), SystemExit(1)]
)
@pytest.mark.parametrize("is_async", [False, True])
def test_an_error_of_any_kind_unwinds_and_stays_what_it_is(error: BaseException, is_async: bool) -> None:
    left = []

    def around(ctx: Ctx) -> Iterator[None]:
        try:
            yield
        finally:
            left.append("out")

    async def around_async(ctx: Ctx) -> AsyncIterator[None]:
        try:
            yield
        finally:
            left.append("out")

    chosen: Middleware = around_async if is_async else around
    channel = RecordingChannel()
    completion = inside(chosen, body=raising(error), channel=channel)
    assert isinstance(completion.error, BuiltInError)
    assert completion.error.name == type(error).__name__
    assert (left, channel.lines) == (["out"], [])


def test_a_fault_on_the_way_in_unwinds_what_was_entered_and_runs_no_code() -> None:
    """AT-25"""
    story: list[str] = []

    def outer(ctx: Ctx) -> Iterator[None]:
        try:
            yield
        except ConnectionError:
            story.append("outer out")
            raise

    def database(ctx: Ctx) -> Iterator[None]:
        if ctx.run.id:
            raise ConnectionError("no database")
        yield

    completion = inside(outer, database, body=lambda: story.append("run"))
    fault = fault_of(completion)
    assert fault.message == "middleware database: ConnectionError: no database"
    assert "in database" in (fault.stack_trace or "")
    assert completion.retry is not None and completion.retry.delay == 1000
    assert story == ["outer out"]


def test_a_fault_on_the_way_out_fails_an_attempt_that_went_well() -> None:
    """AT-25: what could not be committed did not happen."""

    def database(ctx: Ctx) -> Iterator[None]:
        yield
        raise ConnectionError("cannot commit")

    assert fault_of(inside(database)).message == "middleware database: ConnectionError: cannot commit"


def test_middleware_that_yields_never_or_twice_is_a_fault() -> None:
    """AT-25"""

    def never(ctx: Ctx) -> Iterator[None]:
        if ctx.canceled:
            yield

    def twice(ctx: Ctx) -> Iterator[None]:
        yield
        yield

    assert "it ended without a yield" in (fault_of(inside(never)).message or "")
    assert "it yields a second time" in (fault_of(inside(twice)).message or "")


@pytest.mark.parametrize("error", [AbortTaskRun("no licence"), OutOfMemory("no room"), RetryAfter("7s")])
def test_middleware_may_say_what_happens_next(error: Exception) -> None:
    """AT-25: an error that settles it is no fault."""

    def around(ctx: Ctx) -> Iterator[None]:
        if ctx.run.id:
            raise error
        yield

    completion = inside(around)
    if isinstance(error, OutOfMemory):
        assert isinstance(completion.error, InternalError)
        assert completion.error.code is ErrorCode.TASK_PROCESS_OOM_KILLED
    else:
        assert isinstance(completion.error, BuiltInError)
        assert completion.error.message == str(error)
    assert (completion.retry.delay if completion.retry else None) == (
        7000 if isinstance(error, RetryAfter) else None
    )


def test_async_middleware_around_a_blocking_task_keeps_its_loop() -> None:
    loops = []

    async def around(ctx: Ctx) -> AsyncIterator[None]:
        loops.append(asyncio.get_running_loop())
        try:
            yield
        finally:
            loops.append(asyncio.get_running_loop())

    assert not inside(around, body=raising(ValueError())).ok
    assert loops[0] is loops[1]


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (lambda ctx: None, "middleware <lambda> is no generator; write `yield` where the attempt is to run"),
        (lambda: (yield), "middleware <lambda> takes one parameter, ctx: too many positional arguments"),
        (3, "middleware 3 is no generator"),
    ],
)
def test_what_is_no_middleware_is_said_where_it_is_defined(fn: Any, message: str) -> None:
    for define in (middleware, lambda fn: Hooks(middleware=[fn])):
        with pytest.raises(DefinitionError) as caught:
            define(fn)
        assert str(caught.value).startswith(message)


def test_one_middleware_without_a_list_is_said() -> None:
    def around(ctx: Ctx) -> Iterator[None]:
        yield

    with pytest.raises(DefinitionError, match="give a list of generator functions"):
        Hooks(middleware=around)  # type: ignore[arg-type]
