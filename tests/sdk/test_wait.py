"""Waits of a run, as its code and the server see them."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.attempts import RecordingChannel, an_execution
from tests.support.edge import Edge, Reply
from tests.support.fake_waits import a_waitpoint
from trigger_lite import (
    ApiError,
    BlockingCall,
    ConcurrentWait,
    Err,
    Hooks,
    Ok,
    OutsideRun,
    PayloadError,
    RunCanceled,
    Token,
    TokenTimeout,
    run_inline,
    task,
    wait,
)
from trigger_lite.protocol.run_errors import ErrorCode, InternalError
from trigger_lite.protocol.times import parse_iso_ms
from trigger_lite.protocol.waitpoints import CompletedWaitpoint, WaitpointKind
from trigger_lite.sdk.attempt import run_attempt
from trigger_lite.sdk.context import Ctx, enter_context
from trigger_lite.sdk.waiting import until_canceled

DURATION = "/engine/v1/runs/run_test/wait/duration"
TOKEN = "/engine/v1/runs/run_test/waitpoints/tokens/waitpoint_1/wait"


def answer_waits(edge: Edge) -> None:
    """Let every run wait, until then and for any token."""
    waiting = {"waitUntil": "2030-01-01T00:00:00.000Z", "waitpoint": {"id": "waitpoint_1"}}
    edge.on("POST", DURATION, Reply(body=waiting))
    edge.on("POST", TOKEN, Reply(body={"success": True}))


def ended(kind: WaitpointKind, **fields: Any) -> CompletedWaitpoint:
    return a_waitpoint("waitpoint_1", kind, **fields)


@contextmanager
def a_run(*waitpoints: CompletedWaitpoint) -> Iterator[Ctx]:
    """Be inside a run whose waits end with these."""
    channel = RecordingChannel()
    channel.ended = list(waitpoints)
    context = Ctx(an_execution(), channel)
    with enter_context(context):
        yield context


# ---- times ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duration", ["1h", 3600, timedelta(hours=1)])
def test_a_duration_is_a_date_to_the_server(edge: Edge, duration: Any) -> None:
    answer_waits(edge)
    with a_run(ended(WaitpointKind.DATETIME)):
        before = datetime.now(UTC).timestamp()
        wait.for_(duration)
    (request,) = edge.requests
    asked = parse_iso_ms(request.body["date"])
    assert asked is not None and before + 3599 < asked / 1000 < before + 3630
    assert len(request.body["idempotencyKey"]) == 32


def test_each_wait_has_a_key_of_its_own(edge: Edge) -> None:
    answer_waits(edge)
    with a_run(ended(WaitpointKind.DATETIME)):
        wait.for_("1h")
        wait.for_("1h")
    first, second = (request.body["idempotencyKey"] for request in edge.requests)
    assert first != second


@pytest.mark.parametrize("duration", [0, "0s", 0.01])
def test_a_short_wait_is_a_sleep(edge: Edge, duration: Any) -> None:
    """WP-11: nothing is asked of the server."""
    with a_run():
        wait.for_(duration)
        wait.until(datetime.now(UTC) + timedelta(seconds=0.01))
    assert edge.requests == []


def test_a_moment_that_is_past_is_no_wait_unless_that_is_a_mistake(edge: Edge) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    with a_run():
        wait.until(past)
        with pytest.raises(ValueError, match=r"2020-01-01T00:00:00\+00:00 is past"):
            wait.until(past, past="raise")
        with pytest.raises(ValueError, match=r"has no time zone; write for example datetime\.now"):
            wait.until(datetime(2030, 1, 1))  # noqa: DTZ001 - that is the mistake
        with pytest.raises(ValueError, match='past is "skip" or "raise", not \'ignore\''):
            wait.until(past, past="ignore")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="'soon' is not a duration"):
            wait.for_("soon")
    assert edge.requests == []


# ---- tokens -----------------------------------------------------------------------------------------


def test_what_a_token_was_completed_with_is_read_as_its_type(edge: Edge) -> None:
    answer_waits(edge)
    done = ended(WaitpointKind.MANUAL, output='{"a":1}', output_type="application/json")
    token: Token[dict[str, int]] = Token("waitpoint_1", "", "", type=dict[str, int])
    with a_run(done):
        assert wait.for_token(token) == Ok({"a": 1})
        assert wait.for_token("waitpoint_1").unwrap() == {"a": 1}
        assert wait.for_token("waitpoint_1", type=dict[str, float]).id == "waitpoint_1"
        with pytest.raises(PayloadError, match="what waitpoint_1 was completed with does not fit: Expected"):
            wait.for_token(token, type=list[int])


def test_text_and_nothing_are_results_too(edge: Edge) -> None:
    answer_waits(edge)
    with a_run(ended(WaitpointKind.MANUAL, output="yes", output_type="text/plain")):
        assert wait.for_token("waitpoint_1", type=str).unwrap() == "yes"
    with a_run(ended(WaitpointKind.MANUAL)):
        assert wait.for_token("waitpoint_1").unwrap() is None


def test_a_token_that_timed_out_is_an_error(edge: Edge) -> None:
    """WP-12: not ok, and raised by unwrap."""
    answer_waits(edge)
    with a_run(ended(WaitpointKind.MANUAL, output_is_error=True)):
        result = wait.for_token("waitpoint_1")
    assert isinstance(result, Err) and not result.ok
    with pytest.raises(TokenTimeout, match="nobody completed waitpoint_1 within its timeout"):
        result.unwrap()


def test_a_token_that_does_not_exist_is_the_servers_answer(edge: Edge) -> None:
    with a_run(), pytest.raises(ApiError, match="404"):
        wait.for_token("waitpoint_unknown")


# ---- one wait at a time, in a run -------------------------------------------------------------------


def test_outside_a_run_there_is_nothing_to_wait() -> None:
    for call in (lambda: wait.for_("1h"), lambda: wait.until(datetime.now(UTC)), lambda: wait.for_token("t")):
        with pytest.raises(OutsideRun, match=r"wait\.\w+\(…\) works only inside a run; in a test, run the"):
            call()


async def test_in_an_event_loop_the_other_form_is_named() -> None:
    with a_run():
        with pytest.raises(BlockingCall, match=r"write `await wait\.aio\.for_\(…\)`"):
            wait.for_("1s")
        with pytest.raises(BlockingCall, match=r"write `await wait\.aio\.until\(…\)`"):
            wait.until(datetime.now(UTC))
        with pytest.raises(BlockingCall, match=r"write `await wait\.aio\.for_token\(…\)`"):
            wait.for_token("waitpoint_1")


async def test_async_code_waits_the_same(edge: Edge) -> None:
    answer_waits(edge)
    done = ended(WaitpointKind.DATETIME, output="true", output_type="application/json")
    with a_run(done):
        await wait.aio.for_("1h")
        await wait.aio.until(datetime.now(UTC) + timedelta(hours=1))
        assert (await wait.aio.for_token("waitpoint_1", type=bool)).unwrap() is True
        await asyncio.to_thread(wait.for_, "1h")
    assert len(edge.requests) == 4


def test_a_second_wait_beside_the_first_is_refused(edge: Edge) -> None:
    """WP-11: a run waits for one thing at a time."""
    asked, answer = threading.Event(), threading.Event()

    def slow(request: Any) -> Reply:
        asked.set()
        answer.wait(10)
        return Reply(body={"waitUntil": request.body["date"], "waitpoint": {"id": "waitpoint_1"}})

    edge.on("POST", DURATION, slow)
    with a_run(ended(WaitpointKind.DATETIME)):
        first = threading.Thread(target=wait.for_, args=["1h"])
        first.start()
        assert asked.wait(10)
        with pytest.raises(
            ConcurrentWait, match="this run waits already: wait for one thing after the other"
        ):
            wait.for_("1h")
        answer.set()
        first.join()
        wait.for_("1h")


def test_a_cancel_ends_a_sleep() -> None:
    with a_run() as context:
        threading.Timer(0.05, context.channel.canceled.set).start()
        with pytest.raises(RunCanceled, match="run_test ended CANCELED"):
            wait.for_("5s")


def test_a_wait_that_the_server_refuses_because_of_a_cancel_is_canceled(edge: Edge) -> None:
    with a_run() as context:

        def refuse(_: Any) -> Reply:
            context.channel.canceled.set()
            return Reply(422, {"error": "is PENDING_CANCEL"})

        edge.on("POST", DURATION, refuse)
        with pytest.raises(RunCanceled) as raised:
            wait.for_("1h")
    assert isinstance(raised.value.__cause__, ApiError)


def test_the_server_is_asked_again_until_the_run_is_cancelled() -> None:
    with a_run() as context:
        go_on = until_canceled(context)
        assert go_on(0.001)
        context.channel.canceled.set()
        assert not go_on(10)


def test_how_long_waits_took_is_kept(edge: Edge) -> None:
    """AT-09: so that it can be left out of the usage."""
    answer_waits(edge)
    with a_run(ended(WaitpointKind.DATETIME)) as context:
        wait.for_("1h")
        assert context.waits.seconds > 0


# ---- hooks ------------------------------------------------------------------------------------------


def heard() -> tuple[list[str], Hooks]:
    """A list of the hooks of waits that were called."""
    events: list[str] = []
    told = Hooks(
        on_wait=lambda ctx: events.append(f"wait {ctx.task.id}"),
        on_resume=lambda ctx: events.append(f"resume {ctx.task.id}"),
    )
    return events, told


def test_hooks_hear_of_a_wait_and_its_end() -> None:
    events, told = heard()

    @task(hooks=told)
    def patient() -> None:
        wait.for_("1s")  # a sleep is no wait
        wait.for_("1h")
        events.append("between")
        wait.for_token("waitpoint_1")

    assert run_inline(patient).ok
    assert events == ["wait patient", "resume patient", "between", "wait patient", "resume patient"]


def test_hooks_of_async_tasks_hear_the_same() -> None:
    events, told = heard()

    @task(hooks=told)
    async def patient() -> None:
        await wait.aio.for_("1h")
        events.append("after")

    assert run_inline(patient).ok
    assert events == ["wait patient", "resume patient", "after"]


def test_code_that_goes_on_because_its_wait_was_refused_is_told_so(edge: Edge) -> None:
    events, told = heard()
    edge.on("POST", DURATION, Reply(422, {"error": "cannot wait"}))

    @task(hooks=told)
    def patient() -> str:
        try:
            wait.for_("1h")
        except ApiError as error:
            return error.message
        return ""

    completion = run_attempt(patient, an_execution(), RecordingChannel())
    assert completion.output == "cannot wait"
    assert events == ["wait t", "resume t"]


def test_the_wait_of_a_cancelled_run_is_not_resumed(edge: Edge) -> None:
    events, told = heard()
    channel = RecordingChannel()

    def cancel(_: Any) -> Reply:
        channel.canceled.set()
        return Reply(422, {"error": "is PENDING_CANCEL"})

    edge.on("POST", DURATION, cancel)

    @task(hooks=told)
    def patient() -> None:
        wait.for_("1h")

    completion = run_attempt(patient, an_execution(), channel)
    assert isinstance(completion.error, InternalError)
    assert completion.error.code is ErrorCode.TASK_RUN_CANCELLED
    assert events == ["wait t"]
