import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from trigger_lite import (
    AbortTaskRun,
    BlockingCall,
    Ctx,
    Err,
    Hooks,
    Ok,
    PayloadError,
    Retry,
    RetryAfter,
    RunFailed,
    Token,
    get_logger,
    hooks,
    metadata,
    run_inline,
    tags,
    task,
    tokens,
    wait,
)
from trigger_lite.protocol.run_errors import BuiltInError


@dataclass
class Report:
    org: str
    at: datetime


def test_payload_and_result_go_through_json() -> None:
    @task
    def report(p: Report) -> Report:
        p.org += "!"
        return p

    given = Report("o", datetime(2030, 1, 1, tzinfo=UTC))
    outcome = run_inline(report, given)
    assert outcome.unwrap() == Report("o!", given.at)
    assert given.org == "o"


def test_retries_are_made_without_waiting() -> None:
    @task(retry=Retry(4, min="1h", max="1d", factor=2, randomize=False))
    def flaky(ctx: Ctx) -> int:
        if ctx.attempt.number < 3:
            raise ConnectionError("down")
        return ctx.attempt.number

    outcome = run_inline(flaky)
    assert outcome.unwrap() == 3
    assert (outcome.run.attempts, outcome.run.waited_seconds) == (3, 3 * 3600)


def test_the_last_error_is_the_outcome() -> None:
    @task(retry=Retry(2))
    def broken(ctx: Ctx) -> None:
        raise ConnectionError(f"attempt {ctx.attempt.number}")

    outcome = run_inline(broken)
    assert isinstance(outcome, Err)
    assert not outcome.ok
    assert outcome.run.attempts == 2
    assert isinstance(outcome.error.error, BuiltInError)
    assert (outcome.error.status, outcome.error.task) == ("FAILED", "broken")
    with pytest.raises(RunFailed, match=r"broken run_local ended FAILED: ConnectionError: attempt 2"):
        outcome.unwrap()


def test_an_abort_ends_at_once_and_a_delay_is_exact() -> None:
    @task
    def stop() -> None:
        raise AbortTaskRun("enough")

    @task
    def later(ctx: Ctx) -> None:
        if ctx.attempt.number == 1:
            raise RetryAfter("90s")

    assert run_inline(stop).run.attempts == 1
    assert run_inline(later).run.waited_seconds == pytest.approx(90)


def test_metadata_tags_and_logs_are_kept_over_attempts() -> None:
    log = get_logger()

    @task
    def note(ctx: Ctx) -> int:
        metadata.incr("tries")
        tags.add("seen")
        log.info("trying", attempt=ctx.attempt.number)
        if ctx.attempt.number == 1:
            raise ValueError
        return ctx.metadata.get("tries")  # type: ignore[no-any-return]

    outcome = run_inline(note)
    assert outcome.unwrap() == 2
    assert outcome.run.metadata == {"tries": 2}
    assert outcome.run.tags == ("seen",)
    assert outcome.run.logs == (("INFO", "trying", {"attempt": 1}), ("INFO", "trying", {"attempt": 2}))


def test_outcomes_are_matched_by_pattern() -> None:
    @task
    def double(number: int) -> int:
        return 2 * number

    match run_inline(double, 21):
        case Ok(output):
            assert output == 42
        case Err(error):
            raise error


def test_arguments_are_checked_first() -> None:
    @task
    def double(number: int) -> int:
        return 2 * number

    with pytest.raises(PayloadError, match="Expected `int`, got `str`"):
        run_inline(double, "x")  # type: ignore[arg-type]


def test_a_result_that_is_not_what_the_task_promised_is_said() -> None:
    @task
    def wrong() -> int:
        return "x"  # type: ignore[return-value]

    with pytest.raises(PayloadError, match="the result does not fit: Expected `int`, got `str`"):
        run_inline(wrong)


def test_retries_do_not_depend_on_the_projects_dev_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGGER_LITE_DEV_RETRIES", "0")

    @task
    def flaky(ctx: Ctx) -> int:
        if ctx.attempt.number == 1:
            raise ValueError
        return ctx.attempt.number

    assert run_inline(flaky).unwrap() == 2


async def test_inside_an_event_loop_the_way_out_is_named() -> None:
    @task
    async def double(number: int) -> int:
        return 2 * number

    with pytest.raises(BlockingCall, match=r"write `await asyncio.to_thread\(run_inline, …\)`"):
        run_inline(double, 21)
    assert (await asyncio.to_thread(run_inline, double, 21)).unwrap() == 42


def test_hooks_and_middleware_run_as_in_a_worker() -> None:
    """AT-24: over all attempts of the run."""
    story: list[str] = []

    def around(ctx: Ctx) -> Iterator[None]:
        story.append(f"in {ctx.attempt.number}")
        yield
        story.append("out")

    @task(hooks=Hooks(on_start=lambda ctx: story.append("start"), middleware=[around]))
    def flaky(ctx: Ctx) -> int:
        if ctx.attempt.number == 1:
            raise ConnectionError
        return 42

    hooks.on_success(lambda output, ctx: story.append(f"success {output}"))
    assert run_inline(flaky).unwrap() == 42
    assert story == ["in 1", "start", "in 2", "success 42", "out"]


def test_hooks_hear_of_a_failure_that_a_worker_leaves_to_the_server() -> None:
    """AT-25: a fault of a middleware is tried again by the task's setting, and told at the end."""
    story: list[str] = []

    def broken(ctx: Ctx) -> Iterator[None]:
        story.append("in")
        if ctx.run.id:
            raise ConnectionError("no database")
        yield

    def failed(error: Exception, ctx: Ctx) -> None:
        story.append(str(error))

    @task(retry=Retry(2), hooks=Hooks(on_failure=failed, middleware=[broken]))
    def never() -> None: ...

    outcome = run_inline(never)
    assert isinstance(outcome, Err)
    assert outcome.run is not None
    assert outcome.run.attempts == 2
    assert "TASK_MIDDLEWARE_ERROR" in story[-1]
    assert story == ["in", "in", "in", str(outcome.error)]


@task
def double(number: int) -> int:
    if number < 0:
        raise AbortTaskRun("too small")
    metadata.parent.incr("doubled")
    return 2 * number


def test_waits_pass_at_once_on_the_fake_clock() -> None:
    moments = []

    @task
    def patient(until: datetime) -> str:
        wait.for_("3s")
        wait.for_("1d")
        wait.until(until)
        wait.until(until)
        moments.append(until)
        return "rested"

    until = datetime.now(UTC) + timedelta(days=10)
    outcome = run_inline(patient, until)
    assert outcome.unwrap() == "rested"
    assert outcome.run.waited_seconds == pytest.approx(10 * 86_400, abs=60)


def test_async_tasks_wait_inline_too() -> None:
    @task
    async def patient() -> str:
        await wait.aio.for_("1d")
        return str((await double.aio.trigger_and_wait(4)).unwrap())

    assert run_inline(patient).unwrap() == "8"


def test_children_run_inline_and_tell_their_parent() -> None:
    @task
    def parent(numbers: list[int]) -> list[str]:
        texts = []
        for number in numbers:
            match double.trigger_and_wait(number):
                case Ok(output):
                    texts.append(str(output))
                case Err(error):
                    texts.append(f"{error.task} {error.cause.status}: {error}")
        return texts

    outcome = run_inline(parent, [1, 2, -3])
    assert outcome.unwrap() == [
        "2",
        "4",
        "double FAILED: double run_local4 ended FAILED: AbortTaskRun: too small",
    ]
    assert outcome.run.metadata == {"doubled": 2}


def test_tokens_are_completed_with_the_given_values_in_order() -> None:
    @task
    def approve() -> list[str]:
        first = tokens.create(timeout="1d", type=dict[str, str])
        second = tokens.create(type=str)
        third = wait.for_token("waitpoint_from_elsewhere")
        return [wait.for_token(first).unwrap()["by"], wait.for_token(second).unwrap(), str(third.unwrap())]

    outcome = run_inline.with_(tokens=[None, {"by": "Ada"}, "yes"])(approve)
    assert outcome.unwrap() == ["Ada", "yes", "None"]


def test_a_token_without_an_answer_times_out() -> None:
    """WP-12: as it would at its time."""

    @task
    def approve() -> str:
        return type(wait.for_token(tokens.create(timeout="1d")).error).__name__  # type: ignore[union-attr]

    assert run_inline(approve).unwrap() == "TokenTimeout"


def test_a_task_may_complete_tokens_and_find_them_by_their_key() -> None:
    @task
    def answers_itself() -> str:
        token = tokens.create(idempotency_key="k", type=str)
        again = tokens.create(idempotency_key="k", type=str)
        assert (again, again.is_cached, token.is_cached) == (
            Token(token.id, "", "", is_cached=True),
            True,
            False,
        )
        tokens.complete(again, "mine")
        tokens.complete(again, "second")
        return wait.for_token(token).unwrap()

    assert run_inline.with_(tokens=["yours"])(answers_itself).unwrap() == "mine"


def test_only_a_result_of_run_inline_tells_of_its_run() -> None:
    with pytest.raises(AttributeError, match="only a result of run_inline"):
        _ = Ok(1).run
