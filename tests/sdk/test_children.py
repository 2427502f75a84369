"""Runs that a run triggers and waits for."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from tests.support.attempts import RecordingChannel, an_execution
from tests.support.edge import Edge, Reply
from tests.support.fake_waits import a_waitpoint
from trigger_lite import (
    ApiError,
    BlockingCall,
    DefinitionError,
    Err,
    Ok,
    OutsideRun,
    PayloadError,
    RunCanceled,
    RunFailed,
    SubtaskError,
    task,
)
from trigger_lite.protocol.run_errors import BuiltInError, RunError, StringError
from trigger_lite.protocol.statuses import ApiStatus
from trigger_lite.protocol.waitpoints import CompletedByRun, CompletedWaitpoint, WaitpointKind
from trigger_lite.sdk.context import Ctx, enter_context

TRIGGER = "/api/v1/tasks/double/trigger"


@task
def double(number: int) -> int:
    return 2 * number


@pytest.fixture(autouse=True)
def _server(edge: Edge) -> None:
    edge.on("POST", TRIGGER, Reply(body={"id": "run_child"}))


@contextmanager
def a_parent(*waitpoints: CompletedWaitpoint) -> Iterator[Ctx]:
    """Be inside a run whose waits end with these."""
    channel = RecordingChannel()
    channel.ended = list(waitpoints)
    context = Ctx(an_execution(), channel)
    with enter_context(context):
        yield context


def succeeded(output: str | None = "42", child: str = "run_child", **fields: object) -> CompletedWaitpoint:
    return a_waitpoint(
        "waitpoint_1", WaitpointKind.RUN, child=child, output=output, output_type="application/json", **fields
    )


def failed(error: RunError | None, status: ApiStatus | None = None) -> CompletedWaitpoint:
    text = None if error is None else msgspec.json.encode(error).decode()
    run = CompletedByRun("run_child", "run_child", status=status)
    return msgspec.structs.replace(succeeded(text), output_is_error=True, completed_by_task_run=run)


def test_a_child_is_triggered_with_its_parent_and_options(edge: Edge) -> None:
    """BA-01: the parent is resumed by the child's end."""
    with a_parent(succeeded()):
        result = double.with_(tags=["small"], idempotency_key="k" * 64).trigger_and_wait(21)
    assert (result, result.id) == (Ok(42), "run_child")
    (request,) = edge.requests
    assert request.body == {
        "payload": {"number": 21},
        "options": {
            "payloadType": "application/json",
            "idempotencyKey": "k" * 64,
            "tags": ["small"],
            "parentRunId": "run_test",
            "resumeParentOnCompletion": True,
        },
    }


def test_only_the_end_of_that_very_run_counts() -> None:
    others = [
        succeeded("1", child="run_other"),
        succeeded("2", index=0),
        a_waitpoint("w", WaitpointKind.DATETIME),
    ]
    with a_parent(*others, succeeded("3")):
        assert double.trigger_and_wait(21).unwrap() == 3


@pytest.mark.parametrize(
    ("error", "status", "kind", "text"),
    [
        (BuiltInError("ValueError", "bad", "…"), None, RunFailed, "FAILED: ValueError: bad"),
        (StringError("stopped"), ApiStatus.CANCELED, RunCanceled, "CANCELED: stopped"),
        (StringError("too late"), ApiStatus.EXPIRED, RunFailed, "EXPIRED: too late"),
        (None, ApiStatus.CRASHED, RunFailed, "CRASHED: no error was stored"),
    ],
)
def test_a_child_without_a_result_is_an_error_that_names_it(
    error: RunError | None, status: ApiStatus | None, kind: type[RunFailed], text: str
) -> None:
    """WP-16: failure, cancel and expiry of the child."""
    with a_parent(failed(error, status)):
        result = double.trigger_and_wait(21)
    assert isinstance(result, Err) and not result.ok
    assert (result.error.run_id, result.error.task) == ("run_child", "double")
    assert type(result.error.cause) is kind
    with pytest.raises(SubtaskError, match=f"^double run_child ended {text}$") as raised:
        result.unwrap()
    assert raised.value.__cause__ is result.error.cause


def test_an_output_that_is_not_what_the_task_promises_is_said() -> None:
    with a_parent(succeeded('"text"')), pytest.raises(PayloadError, match="the result does not fit"):
        double.trigger_and_wait(21)


def test_arguments_are_checked_before_anything_is_sent(edge: Edge) -> None:
    with a_parent():
        with pytest.raises(PayloadError, match="Expected `int`, got `str`"):
            double.trigger_and_wait("many")  # type: ignore[arg-type]
        with pytest.raises(DefinitionError):
            double.with_(delay="soon").trigger_and_wait(1)
    assert edge.requests == []


def test_outside_a_run_nobody_can_wait(edge: Edge) -> None:
    with pytest.raises(OutsideRun, match=r"double\.trigger_and_wait\(…\) works only inside a run"):
        double.trigger_and_wait(21)
    assert edge.requests == []


def test_what_the_server_refuses_is_raised(edge: Edge) -> None:
    edge.on("POST", TRIGGER, Reply(422, {"error": "would wait for itself"}))
    with a_parent(), pytest.raises(ApiError, match="would wait for itself"):
        double.trigger_and_wait(21)


def test_a_trigger_whose_answer_was_lost_is_made_again_under_the_same_name(edge: Edge) -> None:
    edge.on("POST", TRIGGER, Reply(hang_up=True), Reply(503), Reply(body={"id": "run_child"}))
    with a_parent(succeeded()):
        assert double.trigger_and_wait(21).ok
    names = {request.headers["x-trigger-request-idempotency-key"] for request in edge.requests}
    assert len(edge.requests) == 3 and len(names) == 1


async def test_async_code_has_the_same() -> None:
    with a_parent(succeeded()):
        assert (await double.aio.trigger_and_wait(21)).unwrap() == 42
        assert (await double.with_(tags="a").aio.trigger_and_wait(21)).unwrap() == 42
        with pytest.raises(BlockingCall, match=r"write `await double\.aio\.trigger_and_wait\(…\)`"):
            double.trigger_and_wait(21)
