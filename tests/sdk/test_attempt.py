import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.attempts import RecordingChannel, an_execution
from trigger_lite import (
    AbortTaskRun,
    ApiError,
    Ctx,
    OutOfMemory,
    RateLimited,
    Retry,
    RetryAfter,
    RetryAt,
    Task,
    current,
    metadata,
    task,
)
from trigger_lite.protocol.execution import Completion, Execution
from trigger_lite.protocol.execution import RetryAt as WireRetryAt
from trigger_lite.protocol.metadata import Operation
from trigger_lite.protocol.run_errors import BuiltInError, ErrorCode, InternalError
from trigger_lite.protocol.tasks import MAX_OUTPUT_BYTES
from trigger_lite.sdk.attempt import run_attempt
from trigger_lite.sdk.decision import AttemptSettings

NOW = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
SETTINGS = AttemptSettings(now=lambda: NOW, jitter=lambda: 0.5)


def attempt(made: Task[..., Any], payload: str = "{}", **execution: Any) -> Completion:
    return run_attempt(made, an_execution(payload, **execution), RecordingChannel(), settings=SETTINGS)


def raising(error: BaseException, retry: Retry | None = None) -> Task[[], None]:
    def fail() -> None:
        raise error

    return task(retry=retry)(fail) if retry else task(fail)


# ---- outcomes ------------------------------------------------------------------------------------------


def test_the_output_is_json() -> None:
    @dataclass
    class Point:
        x: int
        at: datetime

    @task
    def point(x: int) -> Point:
        return Point(x, datetime(2030, 1, 1, tzinfo=UTC))

    completion = attempt(point, '{"x":3}')
    assert (completion.ok, completion.id, completion.task_identifier) == (True, "run_test", "point")
    assert completion.output == '{"x":3,"at":"2030-01-01T00:00:00Z"}'
    assert completion.output_type == "application/json"
    assert completion.usage is not None


def test_a_string_is_text_and_nothing_is_no_output() -> None:
    @task
    def text() -> str:
        return "hello"

    @task
    def nothing() -> None: ...

    assert (attempt(text).output, attempt(text).output_type) == ("hello", "text/plain")
    assert (attempt(nothing).output, attempt(nothing).output_type) == (None, "application/json")


def test_an_async_task_is_run_to_its_end() -> None:
    @task
    async def double(ctx: Ctx, number: int) -> int:
        assert current() is ctx
        return 2 * number

    assert attempt(double, '{"number":21}').output == "42"


def test_a_payload_that_does_not_fit_stops_the_run_before_any_user_code() -> None:
    """AT-22, AT-25"""
    called = threading.Event()

    @task
    def never(x: int) -> None:
        called.set()

    completion = attempt(never, '{"x":"one"}')
    assert completion.error == InternalError(
        ErrorCode.TASK_INPUT_ERROR, "never: Expected `int`, got `str` - at `$.x`"
    )
    assert (completion.ok, completion.retry, completion.skipped_retrying) == (False, None, True)
    assert not called.is_set()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (object(), "a value of type `object` cannot be written as JSON"),
        (["x" * MAX_OUTPUT_BYTES], f"the output is larger than {MAX_OUTPUT_BYTES} bytes"),
    ],
)
def test_an_output_that_cannot_be_stored_ends_the_run(output: object, message: str) -> None:
    """AT-25"""

    @task
    def produce() -> object:
        return output

    completion = attempt(produce)
    assert isinstance(completion.error, InternalError)
    assert completion.error.code is ErrorCode.TASK_OUTPUT_ERROR
    assert message in (completion.error.message or "")
    assert (completion.retry, completion.skipped_retrying) == (None, True)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("x")])
def test_whatever_leaves_user_code_becomes_an_error(error: BaseException) -> None:
    completion = attempt(raising(error))
    assert isinstance(completion.error, BuiltInError)
    assert completion.error.name == type(error).__name__


def test_an_exit_inside_an_async_task_becomes_an_error() -> None:
    @task
    async def leave() -> None:
        sys.exit(1)

    completion = attempt(leave)
    assert isinstance(completion.error, BuiltInError)
    assert (completion.error.name, completion.error.message) == ("SystemExit", "1")


@pytest.mark.parametrize("error", [MemoryError(), OutOfMemory("6 GB")])
def test_no_memory_is_told_as_such_and_left_to_the_server(error: Exception) -> None:
    completion = attempt(raising(error))
    assert isinstance(completion.error, InternalError)
    assert completion.error.code is ErrorCode.TASK_PROCESS_OOM_KILLED
    assert completion.error.message == (str(error) or "out of memory")
    assert completion.retry is None


def test_an_error_after_cancellation_is_the_cancellation() -> None:
    channel = RecordingChannel()

    @task
    def stop() -> None:
        channel.canceled.set()
        raise RuntimeError("stopping")

    completion = run_attempt(stop, an_execution(), channel, settings=SETTINGS)
    assert isinstance(completion.error, InternalError)
    assert completion.error.code is ErrorCode.TASK_RUN_CANCELLED
    assert completion.retry is None


def test_metadata_is_handed_over_before_the_attempt_ends_however_it_ends() -> None:
    @task
    def fail() -> None:
        metadata.set("a", 1)
        metadata.set("b", 2)
        raise RuntimeError

    channel = RecordingChannel()
    run_attempt(fail, an_execution(), channel)
    sent = [operation for own, _, _ in channel.operations for operation in own]
    assert sent == [Operation("set", "a", 1), Operation("set", "b", 2)]


def test_a_broken_channel_is_an_error_of_the_attempt() -> None:
    class Broken(RecordingChannel):
        def metadata(self, *_: object) -> None:
            raise OSError("gone")

    @task
    def note() -> None:
        metadata.set("a", 1)

    completion = run_attempt(note, an_execution(), Broken())
    assert isinstance(completion.error, BuiltInError)
    assert completion.error.message == "gone"


# ---- the decision to retry -----------------------------------------------------------------------------


def decided(error: BaseException, retry: Retry | None = None, **execution: Any) -> WireRetryAt | None:
    return attempt(raising(error, retry), **execution).retry


def test_a_failure_is_retried_by_the_tasks_setting() -> None:
    """AT-20"""
    slow = Retry(3, min="10s", max="1m", factor=3)
    assert decided(ValueError(), slow) == WireRetryAt(timestamp=round(NOW * 1000) + 15_000, delay=15_000)
    assert decided(ValueError(), slow, attempt=2) == WireRetryAt(round(NOW * 1000) + 45_000, 45_000)
    assert decided(ValueError(), slow, attempt=3) is None


def test_without_a_setting_the_projects_decides_and_else_three_attempts() -> None:
    """AT-20, AT-21"""
    assert decided(ValueError()) == WireRetryAt(round(NOW * 1000) + 1500, 1500)
    assert decided(ValueError(), attempt=3) is None
    settings = AttemptSettings(retry=Retry(9, min="5s", randomize=False), now=lambda: NOW)
    completion = run_attempt(
        raising(ValueError()), an_execution(attempt=3), RecordingChannel(), settings=settings
    )
    assert completion.retry == WireRetryAt(round(NOW * 1000) + 20_000, 20_000)


def test_the_runs_own_number_of_attempts_beats_the_tasks() -> None:
    """AT-21"""
    assert decided(ValueError(), Retry(5), max_attempts=1) is None
    assert decided(ValueError(), Retry(1), max_attempts=2) is not None


def test_a_failed_attempt_that_is_retried_is_not_said_to_be_skipped() -> None:
    completion = attempt(raising(ValueError("x")))
    assert completion.skipped_retrying is None
    assert completion.error is not None


def test_an_abort_is_never_retried() -> None:
    """AT-22"""
    completion = attempt(raising(AbortTaskRun("no such customer")))
    assert (completion.retry, completion.skipped_retrying) == (None, True)
    assert isinstance(completion.error, BuiltInError)
    assert (completion.error.name, completion.error.message) == ("AbortTaskRun", "no such customer")


def test_the_code_may_say_when() -> None:
    now_ms = round(NOW * 1000)
    assert decided(RetryAfter("5s")) == WireRetryAt(now_ms + 5000, 5000)
    assert decided(RetryAfter(0.25), Retry(9, min="1h", max="2h")) == WireRetryAt(now_ms + 250, 250)
    at = datetime(2030, 1, 1, 0, 2, tzinfo=UTC)
    assert decided(RetryAt(at)) == WireRetryAt(now_ms + 120_000, 120_000)
    assert decided(RetryAt(datetime(2029, 1, 1, tzinfo=UTC))) == WireRetryAt(now_ms, 0)
    assert decided(RetryAfter("5s"), attempt=3) is None


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422])
def test_a_refusal_of_the_api_is_not_retried(status: int) -> None:
    """AT-22"""
    completion = attempt(raising(ApiError(status, "no")))
    assert (completion.retry, completion.skipped_retrying) == (None, True)


@pytest.mark.parametrize("status", [408, 500, 503])
def test_a_passing_fault_of_the_api_is_retried(status: int) -> None:
    """AT-22"""
    assert decided(ApiError(status, "later")) is not None


def test_too_many_requests_wait_for_the_reset() -> None:
    """AT-22"""
    assert decided(RateLimited(429, "slow down", 12.5)) == WireRetryAt(round(NOW * 1000) + 12_500, 12_500)
    assert decided(RateLimited(429, "slow down", 0)) == WireRetryAt(round(NOW * 1000) + 1500, 1500)


def test_a_project_may_switch_retries_off_in_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    """AT-21"""

    def retried(environment: str) -> bool:
        execution: Execution = an_execution(environment=environment)
        return run_attempt(raising(ValueError()), execution, RecordingChannel()).retry is not None

    assert retried("DEVELOPMENT")
    monkeypatch.setenv("TRIGGER_LITE_DEV_RETRIES", "0")
    assert not retried("DEVELOPMENT")
    assert retried("PRODUCTION")


# ---- what is stored of an error ------------------------------------------------------------------------


def stored(fn: Callable[[], Any]) -> BuiltInError:
    completion = attempt(task(id=f"{fn.__name__}-{id(fn)}")(fn))
    assert isinstance(completion.error, BuiltInError)
    return completion.error


def test_a_traceback_begins_at_the_task_and_has_no_frame_of_this_package() -> None:
    def helper() -> None:
        metadata.set("x", object())

    def fail() -> None:
        helper()

    error = stored(fail)
    lines = error.stack_trace.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "in fail" in lines[1]
    assert "in helper" in error.stack_trace
    assert "trigger_lite/sdk" not in error.stack_trace
    assert lines[-1].endswith("cannot be written as JSON")


def test_a_traceback_of_an_async_task_has_no_frame_of_the_event_loop() -> None:
    async def fail() -> None:
        raise ValueError("x")

    error = stored(fail)
    assert "asyncio" not in error.stack_trace
    assert "in fail" in error.stack_trace
    assert error.stack_trace.endswith("ValueError: x")


def test_causes_are_told_with_their_own_tracebacks() -> None:
    def inner() -> None:
        raise KeyError("z")

    def fail() -> None:
        try:
            inner()
        except KeyError as error:
            raise ValueError("outer") from error

    error = stored(fail)
    assert "KeyError" not in error.stack_trace
    assert error.causes is not None
    (cause,) = error.causes
    assert (cause.name, cause.message) == ("KeyError", "'z'")
    assert "in inner" in (cause.stack_trace or "")


def test_a_context_is_a_cause_unless_it_is_suppressed() -> None:
    def implicit() -> None:
        try:
            raise KeyError("z")
        except KeyError:
            raise ValueError("outer")  # noqa: B904 - the implicit context is the point

    def suppressed() -> None:
        try:
            raise KeyError("z")
        except KeyError:
            raise ValueError("outer") from None

    assert [cause.name for cause in stored(implicit).causes or []] == ["KeyError"]
    assert stored(suppressed).causes is None


def test_the_errors_of_a_group_are_its_causes() -> None:
    def fail() -> None:
        raise ExceptionGroup("several", [ValueError("a"), TypeError("b")])

    assert [cause.name for cause in stored(fail).causes or []] == ["ValueError", "TypeError"]


def test_a_ring_of_causes_ends() -> None:
    def fail() -> None:
        first, second = ValueError("a"), ValueError("b")
        first.__cause__, second.__cause__ = second, first
        raise first

    assert len(stored(fail).causes or []) <= 5


def test_a_long_traceback_keeps_its_beginning_and_its_end() -> None:
    def deep(depth: int) -> None:
        if depth == 0:
            raise ValueError("x" * 5_000)
        wide(depth)

    def wide(depth: int) -> None:
        deep(depth - 1)

    def fail() -> None:
        deep(150)

    trace = stored(fail).stack_trace
    assert len(trace) <= 16_384
    assert trace.startswith("Traceback (most recent call last):")
    assert trace.endswith("x" * 5_000)


def test_an_error_that_cannot_be_shown_is_still_an_error() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    def fail() -> None:
        raise Broken

    assert stored(fail).message == "<Broken.__str__ raised RuntimeError>"
