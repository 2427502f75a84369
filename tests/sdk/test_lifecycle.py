"""Hooks around the code of an attempt: their order, what they may change, and what they may not."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.attempts import RecordingChannel, an_execution
from trigger_lite import (
    AbortTaskRun,
    ApiError,
    Ctx,
    Hooks,
    OutOfMemory,
    Retry,
    RetryAfter,
    RetryAt,
    RunCanceled,
    RunFailed,
    Task,
    current,
    hooks,
    middleware,
    task,
)
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.execution import RetryAt as WireRetryAt
from trigger_lite.protocol.run_errors import BuiltInError, ErrorCode, InternalError
from trigger_lite.sdk.attempt import run_attempt
from trigger_lite.sdk.decision import AttemptSettings
from trigger_lite.sdk.lifecycle import heard_of_failure, resumed, tell_failure, waiting

NOW = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
NOW_MS = round(NOW * 1000)
SETTINGS = AttemptSettings(now=lambda: NOW, jitter=lambda: 0.0)

Story = list[Any]


@pytest.fixture
def story() -> Story:
    """What happened, in order."""
    return []


def attempt(made: Task[..., Any], channel: RecordingChannel | None = None, **execution: Any) -> Completion:
    return run_attempt(made, an_execution(**execution), channel or RecordingChannel(), settings=SETTINGS)


def telling(story: Story, name: str = "") -> Hooks:
    """Hooks that write down that they were called, and middleware that writes down how it was left."""

    def note(event: str) -> Callable[[Ctx], None]:
        return lambda ctx: story.append(name + event)

    def note_given(event: str) -> Callable[[Any, Ctx], None]:
        return lambda given, ctx: story.append((name + event, given))

    def around(ctx: Ctx) -> Iterator[None]:
        story.append(f"{name}in")
        try:
            yield
        except BaseException as error:
            story.append((f"{name}out", error))
            raise
        story.append(f"{name}out")

    return Hooks(
        on_start=note("start"),
        on_wait=note("wait"),
        on_resume=note("resume"),
        on_cancel=note("cancel"),
        on_success=note_given("success"),
        on_failure=note_given("failure"),
        on_complete=note_given("complete"),
        catch=note_given("catch"),
        middleware=[around],
    )


def code_of(completion: Completion) -> ErrorCode:
    assert isinstance(completion.error, InternalError), completion
    return completion.error.code


# ---- the order -------------------------------------------------------------------------------------------


def test_hooks_of_a_success_run_in_order_inside_the_middleware(story: Story) -> None:
    """AT-24"""

    @task(hooks=telling(story))
    def double() -> int:
        story.append("run")
        return 42

    assert attempt(double).output == "42"
    assert story == ["in", "start", "run", ("success", 42), ("complete", None), "out"]


def test_hooks_of_a_failure_run_once_no_retry_follows(story: Story) -> None:
    """AT-24"""
    error = ValueError("no")

    @task(hooks=telling(story), retry=Retry(2))
    def fail() -> None:
        raise error

    assert attempt(fail).retry is not None
    assert story == ["in", "start", ("catch", error), ("out", error)]
    story.clear()
    assert attempt(fail, attempt=2).retry is None
    assert story == ["in", ("catch", error), ("failure", error), ("complete", error), ("out", error)]


def test_global_hooks_come_before_the_tasks_own(story: Story) -> None:
    """AT-24: in the order they were defined; the task's middleware is the inner one."""
    for name in ("first ", "second "):
        everybodys = telling(story, name)
        hooks.on_start(everybodys.on_start)  # type: ignore[type-var]
        hooks.on_success(everybodys.on_success)  # type: ignore[type-var]
        hooks.on_complete(everybodys.on_complete)  # type: ignore[type-var]
        middleware(everybodys.middleware[0])

    @task(hooks=telling(story, "own "))
    def nothing() -> None:
        story.append("run")

    assert attempt(nothing).ok
    assert story == [
        "first in", "second in", "own in",
        "first start", "second start", "own start",
        "run",
        ("first success", None), ("second success", None), ("own success", None),
        ("first complete", None), ("second complete", None), ("own complete", None),
        "own out", "second out", "first out",
    ]  # fmt: skip


@pytest.mark.parametrize("is_async_task", [False, True])
def test_hooks_and_middleware_may_be_async_for_any_task(story: Story, is_async_task: bool) -> None:
    """AT-24"""

    async def start(ctx: Ctx) -> None:
        await asyncio.sleep(0)
        story.append("start")

    async def success(output: object, ctx: Ctx) -> None:
        await asyncio.sleep(0)
        story.append(("success", output, current() is ctx))

    async def around(ctx: Ctx) -> AsyncIterator[None]:
        story.append("in")
        await asyncio.sleep(0)
        yield
        await asyncio.sleep(0)
        story.append("out")

    own = Hooks(on_start=start, on_success=success, middleware=[around])
    made: Task[[], int]
    if is_async_task:

        @task(hooks=own)
        async def later() -> int:
            return 42

        made = later
    else:

        @task(hooks=own)
        def now() -> int:
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            return 42

        made = now

    assert attempt(made).output == "42"
    assert story == ["in", "start", ("success", 42, True), "out"]


def test_everything_async_of_an_async_task_shares_one_loop(story: Story) -> None:
    async def around(ctx: Ctx) -> AsyncIterator[None]:
        story.append(asyncio.get_running_loop())
        yield

    def start(ctx: Ctx) -> None:
        story.append(asyncio.get_running_loop())

    @task(hooks=Hooks(on_start=start, middleware=[around]))
    async def made() -> None:
        story.append(asyncio.get_running_loop())

    assert attempt(made).ok
    assert len(story) == 3 and len(set(map(id, story))) == 1


# ---- errors in hooks -------------------------------------------------------------------------------------


def test_an_error_in_on_start_fails_the_attempt_before_the_code(story: Story) -> None:
    """AT-24"""

    def refuse(ctx: Ctx) -> None:
        raise ConnectionError("no database")

    @task(hooks=Hooks(on_start=refuse, on_success=lambda output, ctx: story.append("success")))
    def never() -> None:
        story.append("run")

    completion = attempt(never)
    assert isinstance(completion.error, BuiltInError)
    assert (completion.error.name, completion.error.message) == ("ConnectionError", "no database")
    assert completion.retry is not None
    assert story == []


@pytest.mark.parametrize("error", [ValueError("oh"), SystemExit(3)])
def test_errors_in_hooks_of_the_end_are_logged_and_change_nothing(story: Story, error: BaseException) -> None:
    """AT-24"""

    def broken(given: object, ctx: Ctx) -> None:
        raise error

    hooks.on_success(broken)
    hooks.on_complete(broken)

    @task(hooks=Hooks(on_success=lambda output, ctx: story.append("success")))
    def fine() -> int:
        return 1

    channel = RecordingChannel()
    assert attempt(fine, channel).ok
    assert story == ["success"]
    level, message, attributes = channel.lines[0]
    assert (level, message) == ("ERROR", f"on_success hook broken failed: {type(error).__name__}: {error}")
    assert attributes is not None and "in broken" in attributes["exception"]
    assert "on_complete hook broken failed" in channel.lines[1][1]


def test_errors_in_on_failure_leave_the_tasks_error_as_it_is() -> None:
    """AT-24"""

    def broken(given: object, ctx: Ctx) -> None:
        raise RuntimeError("in the hook")

    @task(retry=Retry(1), hooks=Hooks(on_failure=broken, on_complete=broken))
    def fail() -> None:
        raise ValueError("in the task")

    channel = RecordingChannel()
    completion = attempt(fail, channel)
    assert isinstance(completion.error, BuiltInError)
    assert completion.error.message == "in the task"
    assert len(channel.lines) == 2


def test_an_exit_of_the_code_reaches_hooks_as_a_failed_run(story: Story) -> None:
    @task(retry=Retry(1), hooks=telling(story))
    def leave() -> None:
        sys.exit(3)

    assert not attempt(leave).ok
    (failure,) = [entry[1] for entry in story if entry[0] == "failure"]
    assert isinstance(failure, RunFailed) and isinstance(failure.__cause__, SystemExit)
    assert (failure.run_id, failure.status) == ("run_test", "FAILED")


def test_a_payload_that_does_not_fit_is_a_failure_that_hooks_hear_of(story: Story) -> None:
    """AT-22, AT-25: no hook is asked whether to try again."""

    @task(hooks=telling(story))
    def never(number: int) -> None:
        story.append("run")

    completion = attempt(never, payload='{"number": "x"}')
    assert code_of(completion) is ErrorCode.TASK_INPUT_ERROR
    assert (completion.retry, completion.skipped_retrying) == (None, True)
    assert [entry if isinstance(entry, str) else entry[0] for entry in story] == [
        "in", "failure", "complete", "out",
    ]  # fmt: skip


def test_an_output_that_cannot_be_stored_is_a_failure_that_hooks_hear_of(story: Story) -> None:
    """AT-25"""

    @task(hooks=telling(story))
    def produce() -> object:
        return object()

    assert code_of(attempt(produce)) is ErrorCode.TASK_OUTPUT_ERROR
    assert [entry[0] for entry in story if isinstance(entry, tuple)] == ["failure", "complete", "out"]


# ---- catch -----------------------------------------------------------------------------------------------


def caught(answer: Any, error: BaseException | None = None, **execution: Any) -> Completion:
    """Return how an attempt ends whose error `catch` answers like this."""

    @task(id=f"caught-{id(answer)}", hooks=Hooks(catch=lambda error, ctx: answer))
    def fail() -> None:
        raise error or ConnectionError("down")

    return attempt(fail, **execution)


def message_of(completion: Completion) -> tuple[str, str]:
    assert isinstance(completion.error, BuiltInError)
    return completion.error.name, completion.error.message


def test_catch_may_say_when_to_try_again() -> None:
    """AT-23: the error stays what it is."""
    at = caught(RetryAt(datetime(2030, 1, 1, 0, 1, tzinfo=UTC)))
    assert at.retry == WireRetryAt(NOW_MS + 60_000, 60_000)
    after = caught(RetryAfter("5s"))
    assert after.retry == WireRetryAt(NOW_MS + 5000, 5000)
    assert message_of(at) == message_of(after) == ("ConnectionError", "down")
    assert caught(RetryAfter("5s"), attempt=3).retry is None, "no attempt is left"


def test_catch_may_stop_retrying_with_or_without_a_reason() -> None:
    """AT-23"""
    silent = caught(AbortTaskRun())
    assert (silent.retry, silent.skipped_retrying) == (None, True)
    assert message_of(silent) == ("ConnectionError", "down")
    spoken = caught(AbortTaskRun("the customer is gone"))
    assert (spoken.retry, spoken.skipped_retrying) == (None, True)
    assert message_of(spoken) == ("AbortTaskRun", "the customer is gone")
    assert isinstance(spoken.error, BuiltInError)
    assert [cause.name for cause in spoken.error.causes or []] == ["ConnectionError"]


def test_catch_may_name_another_error_which_is_judged_in_its_place() -> None:
    """AT-23"""
    named = caught(LookupError("no such customer"))
    assert message_of(named) == ("LookupError", "no such customer")
    assert named.retry is not None
    assert isinstance(named.error, BuiltInError)
    assert [cause.message for cause in named.error.causes or []] == ["down"]
    assert caught(ApiError(404, "gone")).skipped_retrying
    assert code_of(caught(OutOfMemory("6 GB"))) is ErrorCode.TASK_PROCESS_OOM_KILLED


def test_catch_may_give_other_retry_settings() -> None:
    """AT-23: it may name fewer attempts than the task, which the server counts, not more."""
    slow = caught(Retry(3, min="10s", randomize=False))
    assert slow.retry == WireRetryAt(NOW_MS + 10_000, 10_000)
    assert caught(Retry(2), attempt=2).retry is None


def test_without_an_answer_the_default_policy_decides() -> None:
    """AT-23"""
    assert caught(None).retry == WireRetryAt(NOW_MS + 1000, 1000)


def test_the_tasks_own_catch_is_asked_first_and_the_first_answer_wins(story: Story) -> None:
    """AT-23"""

    def asked(name: str, answer: Any) -> Callable[[Exception, Ctx], Any]:
        def catch(error: Exception, ctx: Ctx) -> Any:
            story.append(name)
            return answer

        return catch

    hooks.catch(asked("first", None))
    hooks.catch(asked("second", RetryAfter("7s")))
    hooks.catch(asked("third", RetryAfter("8s")))

    @task(hooks=Hooks(catch=asked("own", None)))
    def fail() -> None:
        raise ConnectionError

    completion = attempt(fail)
    assert completion.retry is not None and completion.retry.delay == 7000
    assert story == ["own", "first", "second"]


def test_a_catch_that_raises_ends_the_run(story: Story) -> None:
    """AT-23: HANDLE_ERROR_ERROR, and the hooks of the end hear its error."""

    def catch(error: Exception, ctx: Ctx) -> None:
        raise KeyError("status") from error

    def failed(error: Exception, ctx: Ctx) -> None:
        story.append(error)

    @task(hooks=Hooks(catch=catch, on_failure=failed))
    def fail() -> None:
        raise ConnectionError("down")

    completion = attempt(fail)
    assert code_of(completion) is ErrorCode.HANDLE_ERROR_ERROR
    assert (completion.retry, completion.skipped_retrying) == (None, True)
    assert isinstance(completion.error, InternalError)
    assert completion.error.message == "KeyError: 'status'"
    assert "in catch" in (completion.error.stack_trace or "")
    assert isinstance(story[0], KeyError) and isinstance(story[0].__cause__, ConnectionError)


def test_an_answer_of_catch_that_means_nothing_ends_the_run() -> None:
    """AT-23"""
    completion = caught("retry")
    assert code_of(completion) is ErrorCode.HANDLE_ERROR_ERROR
    assert isinstance(completion.error, InternalError)
    assert "catch returned 'retry'; return RetryAt(…)" in (completion.error.message or "")


@pytest.mark.parametrize("error", [AbortTaskRun("no"), RetryAfter("5s"), OutOfMemory("6 GB"), MemoryError()])
def test_catch_is_not_asked_when_the_code_said_what_is_next(story: Story, error: Exception) -> None:
    """AT-22, AT-23"""

    def catch(error: Exception, ctx: Ctx) -> None:
        story.append("asked")

    @task(hooks=Hooks(catch=catch))
    def fail() -> None:
        raise error

    assert not attempt(fail).ok
    assert story == []


def test_an_async_catch_is_awaited() -> None:
    """AT-23"""

    async def catch(error: Exception, ctx: Ctx) -> RetryAfter:
        await asyncio.sleep(0)
        return RetryAfter("5s")

    @task(hooks=Hooks(catch=catch))
    async def fail() -> None:
        raise ConnectionError

    completion = attempt(fail)
    assert completion.retry is not None and completion.retry.delay == 5000


# ---- cancel ----------------------------------------------------------------------------------------------


def canceled_from_outside(channel: RecordingChannel) -> threading.Thread:
    """Cancel the run as a worker's child does: in a thread of its own."""
    thread = threading.Thread(target=channel.canceled.set)
    thread.start()
    return thread


def test_on_cancel_runs_beside_a_blocking_task_which_may_take_its_time(story: Story) -> None:
    channel = RecordingChannel()
    hook_ran = threading.Event()

    def stop(ctx: Ctx) -> None:
        assert ctx.canceled and current() is ctx
        story.append("cancel")
        hook_ran.set()

    def over(error: Exception | None, ctx: Ctx) -> None:
        assert isinstance(error, RunCanceled)
        story.append("complete")

    @task(hooks=Hooks(on_cancel=stop, on_complete=over, on_failure=lambda e, ctx: story.append("failure")))
    def patient(ctx: Ctx) -> str:
        canceled_from_outside(channel).join()
        assert hook_ran.is_set() and ctx.canceled
        return "noticed"

    assert code_of(attempt(patient, channel)) is ErrorCode.TASK_RUN_CANCELLED
    assert story == ["cancel", "complete"]


def test_an_attempt_waits_for_an_on_cancel_that_has_begun(story: Story) -> None:
    channel = RecordingChannel()
    begun, code_left = threading.Event(), threading.Event()

    def stop(ctx: Ctx) -> None:
        begun.set()
        assert code_left.wait(10)
        story.append("cancel")

    @task(hooks=Hooks(on_cancel=stop, on_complete=lambda error, ctx: story.append("complete")))
    def quick() -> None:
        thread.append(canceled_from_outside(channel))
        assert begun.wait(10)
        threading.Timer(0.01, code_left.set).start()

    thread: list[threading.Thread] = []
    assert code_of(attempt(quick, channel)) is ErrorCode.TASK_RUN_CANCELLED
    thread[0].join()
    assert story == ["cancel", "complete"]


def test_a_cancel_reaches_an_async_task_after_on_cancel_had_its_turn(story: Story) -> None:
    channel = RecordingChannel()

    async def stop(ctx: Ctx) -> None:
        await asyncio.sleep(0.01)
        story.append("cancel")

    async def around(ctx: Ctx) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.sleep(0)
            story.append("out")

    @task(hooks=Hooks(on_cancel=stop, middleware=[around]))
    async def patient() -> None:
        canceled_from_outside(channel)
        try:
            await asyncio.sleep(60)
        finally:
            story.append("left")

    completion = attempt(patient, channel)
    assert code_of(completion) is ErrorCode.TASK_RUN_CANCELLED
    assert story == ["cancel", "left", "out"]


def test_an_async_task_without_hooks_is_cancelled_too() -> None:
    channel = RecordingChannel()

    @task
    async def patient() -> None:
        canceled_from_outside(channel)
        await asyncio.sleep(60)

    assert code_of(attempt(patient, channel)) is ErrorCode.TASK_RUN_CANCELLED


@pytest.mark.parametrize("is_async_task", [False, True])
def test_a_run_that_is_cancelled_before_its_code_begins_does_not_begin(
    story: Story, is_async_task: bool
) -> None:
    channel = RecordingChannel()
    channel.canceled.set()
    own = telling(story)
    made: Task[[], None]
    if is_async_task:

        @task(hooks=own)
        async def never_later() -> None:
            story.append("run")

        made = never_later
    else:

        @task(hooks=own)
        def never() -> None:
            story.append("run")

        made = never

    assert code_of(attempt(made, channel)) is ErrorCode.TASK_RUN_CANCELLED
    assert [entry if isinstance(entry, str) else entry[0] for entry in story] == [
        "in", "start", "cancel", "complete", "out",
    ]  # fmt: skip


def test_a_heartbeat_is_where_a_cancelled_run_may_stop() -> None:
    channel = RecordingChannel()

    @task
    def crunch(ctx: Ctx) -> None:
        ctx.heartbeat()
        channel.canceled.set()
        with pytest.raises(RunCanceled, match="somebody asked it to stop"):
            ctx.heartbeat()
        ctx.heartbeat()

    assert code_of(attempt(crunch, channel)) is ErrorCode.TASK_RUN_CANCELLED


# ---- the end of the process ------------------------------------------------------------------------------


def test_an_attempt_that_its_process_ends_only_unwinds(story: Story) -> None:
    """AT-24: whoever sent SIGTERM knows why, and has the hooks told where that is a failure."""
    channel = RecordingChannel()

    @task(retry=Retry(1), hooks=telling(story))
    def stopped() -> None:
        channel.is_ending = True
        raise SystemExit(143)

    assert not attempt(stopped, channel).ok
    assert [entry if isinstance(entry, str) else entry[0] for entry in story] == ["in", "start", "out"]


@pytest.mark.parametrize("where", ["code", "loop"])
def test_an_async_attempt_unwinds_when_its_event_loop_is_ended(story: Story, where: str) -> None:
    """AT-24"""
    channel = RecordingChannel()

    def leave() -> None:
        channel.is_ending = True
        raise SystemExit(143)

    async def around(ctx: Ctx) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.sleep(0)
            story.append("out")

    @task(retry=Retry(1), hooks=Hooks(middleware=[around], on_failure=lambda e, ctx: story.append("failure")))
    async def stopped() -> None:
        if where == "loop":
            asyncio.get_running_loop().call_soon(leave)
        else:
            leave()
        try:
            await asyncio.sleep(60)
        finally:
            story.append("unwound")

    completion = attempt(stopped, channel)
    assert message_of(completion) == ("SystemExit", "143")
    assert story == (["unwound", "out"] if where == "loop" else ["out"])


def test_the_hooks_of_a_crash_are_told_by_another_process(story: Story) -> None:
    def failed(error: Exception, ctx: Ctx) -> None:
        ctx.metadata.set("told", True)
        story.append(error)

    channel = RecordingChannel()

    @task(hooks=Hooks(on_failure=failed, middleware=telling(story).middleware))
    def crashed() -> None:
        story.append("run")

    crash = InternalError(ErrorCode.TASK_PROCESS_SIGSEGV, "The process was ended by SIGSEGV")
    tell_failure(crashed, an_execution(attempt=3), channel, crash)
    entered, error, left = story
    assert (entered, left) == ("in", "out")
    assert isinstance(error, RunFailed)
    assert (error.status, error.error) == ("CRASHED", crash)
    assert channel.told.is_set()


def test_a_broken_middleware_does_not_silence_the_hooks_of_a_crash(story: Story) -> None:
    def broken(ctx: Ctx) -> Iterator[None]:
        if ctx.run.id:
            raise ConnectionError("no database")
        yield

    channel = RecordingChannel()

    @task(hooks=Hooks(on_failure=lambda error, ctx: story.append("told"), middleware=[broken]))
    def crashed() -> None: ...

    tell_failure(crashed, an_execution(), channel, InternalError(ErrorCode.TASK_PROCESS_SIGSEGV))
    assert story == ["told"]
    assert "the failure hooks run without middleware" in channel.lines[0][1]


def test_without_hooks_of_the_end_nothing_is_entered_for_a_crash(story: Story) -> None:
    @task(hooks=Hooks(middleware=telling(story).middleware))
    def crashed() -> None: ...

    tell_failure(crashed, an_execution(), RecordingChannel(), InternalError(ErrorCode.TASK_PROCESS_SIGSEGV))
    assert story == []


def test_what_the_server_has_the_last_word_on_is_not_told_by_the_attempt(story: Story) -> None:
    """AT-14, AT-17: more memory, or another attempt, may follow."""

    def broken(ctx: Ctx) -> Iterator[None]:
        if ctx.run.id:
            raise ConnectionError
        yield

    @task(retry=Retry(1), hooks=telling(story))
    def greedy() -> None:
        raise MemoryError

    @task(retry=Retry(1), hooks=Hooks(middleware=[broken]))
    def around() -> None: ...

    @task(retry=Retry(1))
    def plain() -> None:
        raise ValueError

    assert [heard_of_failure(attempt(made)) for made in (greedy, around, plain)] == [False, False, True]
    assert "failure" not in [entry[0] for entry in story]


# ---- waits -----------------------------------------------------------------------------------------------


def test_hooks_of_a_wait_run_where_the_code_waits_and_middleware_stays_open(story: Story) -> None:
    @task(hooks=telling(story))
    def patient(ctx: Ctx) -> None:
        waiting(ctx)
        story.append("parked")
        resumed(ctx)

    assert attempt(patient).ok
    assert story == [
        "in", "start", "wait", "parked", "resume", ("success", None), ("complete", None), "out",
    ]  # fmt: skip


@pytest.mark.parametrize("is_async_task", [False, True])
def test_a_wait_in_another_thread_has_its_hooks_run(story: Story, is_async_task: bool) -> None:
    async def on_wait(ctx: Ctx) -> None:
        await asyncio.sleep(0)
        story.append(asyncio.get_running_loop())

    made: Task[[], None]
    if is_async_task:

        @task(hooks=Hooks(on_wait=on_wait))
        async def later(ctx: Ctx) -> None:
            story.append(asyncio.get_running_loop())
            await asyncio.to_thread(waiting, ctx)
            assert story[0] is story[1], "the hook of an async task runs on its loop"

        made = later
    else:

        @task(hooks=Hooks(on_wait=on_wait))
        def now(ctx: Ctx) -> None:
            thread = threading.Thread(target=waiting, args=(ctx,))
            thread.start()
            thread.join()

        made = now

    assert attempt(made).ok
    assert len(story) == 1 + is_async_task


def test_an_error_in_a_hook_of_a_wait_is_logged_and_changes_nothing() -> None:
    def broken(ctx: Ctx) -> None:
        raise ValueError("oh")

    @task(hooks=Hooks(on_wait=broken, on_resume=broken))
    def patient(ctx: Ctx) -> None:
        waiting(ctx)
        resumed(ctx)

    channel = RecordingChannel()
    assert attempt(patient, channel).ok
    assert [line[1].partition(" hook")[0] for line in channel.lines] == ["on_wait", "on_resume"]
