"""Runs that wait in their process, with real workers and a played server."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.fake_server import FakeServer
from tests.support.fake_waits import FakeWaits
from tests.support.worker_process import process_ended
from tests.worker.conftest import StartWorker
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.run_errors import BuiltInError, ErrorCode, InternalError, StringError
from trigger_lite.protocol.statuses import ApiStatus, ExecutionStatus
from trigger_lite.protocol.waitpoints import TIMEOUT_CODE, CompletedByRun
from trigger_lite.protocol.worker import (
    Ack,
    Complete,
    CurrentRun,
    Heartbeat,
    Hello,
    Leave,
    Refused,
    Run,
    Start,
)

TASKS = """
import asyncio, threading
from trigger_lite import OutsideRun, RunCanceled, wait

@task(retry=Retry(3))
def nap(duration: str) -> int:
    print(os.getpid(), flush=True)
    wait.for_(duration)
    return os.getpid()

@task
def pid() -> int:
    return os.getpid()

@task
def works_before_and_after() -> None:
    time.sleep(3)
    wait.for_("1h")
    time.sleep(30)

@task
def nap_later(path: str) -> None:
    print("working", flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)
    wait.for_("1h")

@task
async def nap_async(duration: str) -> str:
    await wait.aio.for_(duration)
    return "rested"

@task
async def nap_in_thread(duration: str) -> str:
    await asyncio.to_thread(wait.for_, duration)
    return "rested"

@task
async def nap_twice_at_once() -> None:
    await asyncio.gather(wait.aio.for_("1h"), wait.aio.for_("2h"))

def wait_in_vain() -> None:
    try:
        wait.for_("1h")
    except OutsideRun:
        pass

@task
def leaves_a_wait_behind(path: str) -> str:
    threading.Thread(target=wait_in_vain, daemon=True).start()
    while not os.path.exists(path):
        time.sleep(0.01)
    return "left"

@task
def nap_in_vain() -> str:
    try:
        wait.for_("1h")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "rested"

@task
def tidy(duration: str) -> None:
    print("begun", flush=True)
    try:
        wait.for_(duration)
    except RunCanceled as error:
        print(error, flush=True)
        raise

@task
def ask(token: str) -> str:
    result = wait.for_token(token, type=dict[str, bool])
    return str(result.unwrap()["yes"]) if result.ok else f"no: {result.error}"

@task
def parent(number: int) -> int:
    return child.with_(tags=["small"]).trigger_and_wait(number).unwrap()

@task
def child(number: int) -> int:
    return 2 * number
"""
WAITING = ExecutionStatus.EXECUTING_WITH_WAITPOINTS


@pytest.fixture
def waits(server: FakeServer) -> FakeWaits:
    """The server lets runs wait."""
    return FakeWaits(server)


def snapshot(run: Run, seq: int) -> str:
    return snapshot_id(run.execution.run.id, seq)


async def parked(server: FakeServer, waits: FakeWaits, task: str = "nap", payload: Any = None) -> Run:
    """Push a run that waits for an hour, and have it blocked."""
    run = server.push(task, {"duration": "1h"} if payload is None else payload)
    await waits.waits(len(waits.blocked) + 1)
    server.send(waits.block(run))
    return run


def says(status: ExecutionStatus, seq: int) -> Callable[[Hello], list[CurrentRun]]:
    """Answer Hello: every run it names is there, in its first attempt."""
    return lambda hello: [CurrentRun(held.run, snapshot_id(held.run, seq), status, 1) for held in hello.runs]


async def child_of(server: FakeServer, run: Run) -> int:
    """Return the process id that a run printed."""
    await server.until(lambda: bool(server.lines_of(run)))
    return int(server.lines_of(run)[0].message)


def code_of(complete: Complete) -> ErrorCode:
    assert isinstance(complete.completion.error, InternalError), complete
    return complete.completion.error.code


# ---- the way through a wait -----------------------------------------------------------------------


@pytest.mark.parametrize("task", ["nap", "nap_async", "nap_in_thread"])
async def test_a_wait_ends_when_the_server_says_so_and_the_newest_snapshot_is_named(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker, task: str
) -> None:
    start_worker(TASKS)
    run = await parked(server, waits, task)
    server.send(waits.go_on(run))
    complete = await server.completion_of(run)
    assert complete.completion.ok
    assert complete.snapshot == snapshot(run, 5)


async def test_steps_that_come_before_the_answer_are_kept_for_the_child(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    """WP-11: and with them the end of a wait that was over at once."""
    start_worker(TASKS)
    waits.before_answer = lambda: server.send(waits.block(run), waits.go_on(run))
    run = server.push("nap", {"duration": "1h"})
    assert (await server.completion_of(run)).snapshot == snapshot(run, 5)


async def test_steps_that_come_late_or_twice_change_nothing(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    run = await parked(server, waits)
    server.send(waits.queued(run, seq=5), waits.go_on(run, seq=6), waits.block(run), waits.go_on(run, seq=6))
    complete = await server.completion_of(run)
    assert complete.snapshot == snapshot(run, 6)
    assert len(server.all_of(Complete)) == 1


async def test_a_wait_is_not_asked_for_before_the_server_knows_of_the_start(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    server.answers = False
    run = server.push("nap", {"duration": "1h"})
    start = await server.expect(Start)
    await server.until(lambda: bool(server.lines_of(run)))
    assert not waits.blocked
    server.send(Ack(start.seq))
    await waits.waits(1)


async def test_heartbeats_name_the_newest_snapshot_of_a_run_that_waits(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    server.heartbeat_seconds = 0.05
    start_worker(TASKS)
    run = await parked(server, waits)
    await server.expect(Heartbeat, lambda beat: beat.runs[0].snapshot == snapshot(run, 4))


async def test_up_to_five_seconds_are_slept_without_the_server(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    """WP-11: short waits are the worker's own."""
    start_worker(TASKS)
    run = server.push("nap", {"duration": "1s"})
    complete = await server.completion_of(run)
    assert complete.completion.ok and complete.completion.usage is not None
    assert complete.completion.usage.duration_ms >= 1000
    assert not waits.blocked


async def test_a_second_wait_beside_the_first_fails_the_run(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    """WP-11: two waits in parallel in one run are refused (TASK_DID_CONCURRENT_WAIT)."""
    start_worker(TASKS)
    run = server.push("nap_twice_at_once")
    complete = await server.completion_of(run)
    assert code_of(complete) is ErrorCode.TASK_DID_CONCURRENT_WAIT
    assert complete.completion.retry is None


async def test_a_wait_that_a_run_left_behind_does_not_disturb_the_next_run(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker, folder: Path
) -> None:
    start_worker(TASKS)
    first = server.push("leaves_a_wait_behind", {"path": f"{folder}/flag"})
    await waits.waits(1)
    (folder / "flag").touch()
    assert (await server.completion_of(first)).completion.output == "left"
    run = await parked(server, waits)
    server.send(waits.go_on(run))
    assert (await server.completion_of(run)).completion.ok


# ---- what is waited for -----------------------------------------------------------------------------


async def test_what_a_token_was_completed_with_is_the_result(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    run = await parked(server, waits, "ask", {"token": "waitpoint_1"})
    server.send(waits.go_on(run, output='{"yes":true}', output_type="application/json"))
    assert (await server.completion_of(run)).completion.output == "True"


async def test_a_token_that_timed_out_is_no_result(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    """WP-12: the wait for a token that timed out is not ok."""
    start_worker(TASKS)
    run = await parked(server, waits, "ask", {"token": "waitpoint_1"})
    output = msgspec.json.encode({"code": TIMEOUT_CODE, "message": "late"}).decode()
    server.send(waits.go_on(run, output=output, output_type="application/json", output_is_error=True))
    completion = (await server.completion_of(run)).completion
    assert completion.output == "no: nobody completed waitpoint_1 within its timeout"


async def test_a_child_is_triggered_for_its_parent_and_its_output_returned(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    run = await parked(server, waits, "parent", {"number": 21})
    options = waits.bodies[0]["options"]
    assert (options["parentRunId"], options["resumeParentOnCompletion"]) == (run.execution.run.id, True)
    assert options["tags"] == ["small"]
    server.send(waits.go_on(run, output="42", output_type="application/json"))
    assert (await server.completion_of(run)).completion.output == "42"


async def test_a_child_that_failed_is_an_error_with_its_reason(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    run = await parked(server, waits, "parent", {"number": 21})
    reason = msgspec.json.encode(StringError("Run expired")).decode()
    child = CompletedByRun("run_child0", "run_child0", status=ApiStatus.EXPIRED)
    server.send(waits.go_on(run, output=reason, output_is_error=True, completed_by_task_run=child))
    error = (await server.completion_of(run)).completion.error
    assert isinstance(error, BuiltInError) and error.name == "SubtaskError"
    assert error.message == "child run_child0 ended EXPIRED: Run expired"


# ---- seats ------------------------------------------------------------------------------------------


async def test_while_runs_wait_others_use_their_seats(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    waiting = [await parked(server, waits) for _ in range(3)]
    other = (await server.completion_of(server.push("pid"))).completion.output
    for run in waiting:
        server.send(waits.go_on(run))
    pids = {(await server.completion_of(run)).completion.output for run in waiting}
    assert len({*pids, other}) == 4


async def test_a_run_that_goes_on_takes_its_seat_again(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    run = await parked(server, waits)
    await server.until(lambda: server.credits == 1)
    server.send(waits.go_on(run))
    await server.completion_of(run)
    assert (await server.completion_of(server.push("pid"))).completion.ok
    assert sum(beat.count for beat in server.received if hasattr(beat, "count")) >= 3


async def test_the_time_of_a_wait_is_not_counted(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    """AT-09, AT-26: neither as usage nor against the maximum duration, which is at least 5 seconds."""
    start_worker(TASKS)
    run = server.push("nap", {"duration": "1h"}, max_duration=5)
    await waits.waits(1)
    other = server.push("nap", {"duration": "5s"}, max_duration=20)
    await server.completion_of(other)
    server.send(waits.block(run), waits.go_on(run))
    completion = (await server.completion_of(run)).completion
    assert completion.ok and completion.usage is not None
    assert completion.usage.duration_ms < 2000


async def test_after_a_wait_the_maximum_duration_goes_on_with_what_is_left(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    """AT-26: active time of one attempt."""
    start_worker(TASKS)
    run = server.push("works_before_and_after", max_duration=5)
    await waits.waits(1)
    server.send(waits.block(run), waits.go_on(run))
    completion = (await server.completion_of(run)).completion
    assert code_of(server.all_of(Complete)[0]) is ErrorCode.MAX_DURATION_EXCEEDED
    assert completion.usage is not None and 5000 <= completion.usage.duration_ms < 8000


# ---- memory -----------------------------------------------------------------------------------------


async def test_a_long_wait_past_the_memory_budget_fails_with_what_to_do(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS, parked_memory=1_000_000)
    completion = (await server.completion_of(server.push("nap_in_vain"))).completion
    assert completion.output is not None
    assert re.fullmatch(
        r"ParkedMemoryFull: the runs that wait on this worker, 1 with this one, would hold \d+ MB, "
        r"and its budget for them is 1 MB: wait at most 30s, give the worker more by --parked-memory or "
        r"TRIGGER_LITE_PARKED_MEMORY, or start another worker",
        completion.output,
    )
    assert not waits.blocked


async def test_a_short_wait_passes_whatever_is_held_but_keeps_its_seat(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS, parked_memory=1_000_000)
    run = await parked(server, waits, "nap", {"duration": "20s"})
    other = server.push("pid")
    assert server.credits == 0
    server.send(waits.go_on(run))
    await server.completion_of(run)
    assert (await server.completion_of(other)).completion.ok


# ---- trouble ----------------------------------------------------------------------------------------


async def test_a_wait_is_asked_for_with_the_same_key_until_it_is_answered(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    asked: list[Any] = []

    def unanswered(path: str, body: Any) -> tuple[int, Any] | None:
        asked.append(body)
        return (503, {"error": "restarting"}) if len(asked) < 4 else None

    waits.answer = unanswered
    run = await parked(server, waits)
    server.send(waits.go_on(run))
    assert (await server.completion_of(run)).completion.ok
    assert len({body["idempotencyKey"] for body in asked}) == 1 and len(asked) == 4


async def test_a_server_that_refuses_the_wait_is_told_to_the_code(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    waits.answer = lambda path, body: (422, {"error": "this run cannot wait"})
    completion = (await server.completion_of(server.push("nap_in_vain"))).completion
    assert completion.output == "ApiError: this run cannot wait (HTTP 422)"
    assert (await server.completion_of(server.push("pid"))).completion.ok


@pytest.mark.parametrize("duration", ["1h", "5s"])
async def test_a_cancel_ends_a_wait_at_once(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker, duration: str
) -> None:
    start_worker(TASKS, cancel_grace=600)
    run = server.push("tidy", {"duration": duration})
    await server.until(lambda: bool(server.lines_of(run) and (waits.blocked or duration == "5s")))
    cancel = server.cancel(run)
    complete = await server.completion_of(run)
    assert complete.snapshot == cancel
    assert code_of(complete) is ErrorCode.TASK_RUN_CANCELLED
    lines = [line.message for line in server.lines_of(run)]
    assert lines[0] == "begun" and "ended CANCELED" in lines[1]
    assert (await server.completion_of(server.push("pid"))).completion.ok


@pytest.mark.parametrize("status", [WAITING, ExecutionStatus.QUEUED_EXECUTING, ExecutionStatus.EXECUTING])
async def test_a_run_that_waits_is_kept_through_a_reconnect(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker, status: ExecutionStatus
) -> None:
    worker = start_worker(TASKS)
    run = server.push("nap", {"duration": "1h"})
    await waits.waits(1)
    server.current = says(status, 6)
    server.drop()
    await worker.line("Reconnected")
    server.send(waits.go_on(run, seq=6))
    assert (await server.completion_of(run)).snapshot == snapshot(run, 6)


async def test_a_run_that_another_attempt_took_over_is_left(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    """ST-18: a changed attempt means that its execution is stale; nothing is reported."""
    worker = start_worker(TASKS)
    run = await parked(server, waits)
    child = await child_of(server, run)
    server.current = lambda hello: [
        CurrentRun(held.run, snapshot_id(held.run, 9), ExecutionStatus.EXECUTING, 2) for held in hello.runs
    ]
    server.drop()
    await worker.line("Reconnected")
    await process_ended(child)
    assert (await server.completion_of(server.push("pid"))).completion.ok
    assert not server.all_of(Complete, lambda message: message.run == run.execution.run.id)


async def test_leave_ends_the_process_of_a_run_that_waits(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    run = await parked(server, waits)
    child = await child_of(server, run)
    server.send(Leave(run.execution.run.id))
    await process_ended(child)
    assert (await server.completion_of(server.push("pid"))).completion.ok


async def test_a_child_that_dies_while_it_waits_is_reported_under_the_newest_snapshot(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    server.heartbeat_seconds = 0.05
    start_worker(TASKS)
    run = await parked(server, waits)
    await server.expect(Heartbeat, lambda beat: beat.runs[0].snapshot == snapshot(run, 4))
    os.kill(await child_of(server, run), signal.SIGKILL)
    complete = await server.completion_of(run)
    assert complete.snapshot == snapshot(run, 4)
    assert code_of(complete) is ErrorCode.TASK_PROCESS_MAYBE_OOM_KILLED


async def test_an_end_that_crossed_a_step_of_the_wait_is_told_again(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    ordinary = server.answer
    server.answer = lambda message: (
        Refused(message.seq, "stale")
        if isinstance(message, Complete) and message.snapshot == snapshot_id(message.run, 3)
        else ordinary(message)
    )
    start_worker(TASKS)
    run = server.push("nap", {"duration": "1h"})
    await waits.waits(1)
    os.kill(await child_of(server, run), signal.SIGKILL)
    await server.completion_of(run)
    server.send(waits.block(run))
    first, second = await server.expect_all(Complete, 2)
    assert (first.snapshot, second.snapshot) == (snapshot(run, 3), snapshot(run, 4))
    assert second.completion == first.completion


@pytest.mark.parametrize(
    ("task", "payload", "grace"),
    [("nap", {"duration": "1h"}, 600), ("nap", {"duration": "10m"}, 0.1), ("ask", {"token": "t"}, 0.1)],
)
async def test_a_worker_that_stops_ends_runs_whose_wait_outlasts_its_grace(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker, task: str, payload: Any, grace: float
) -> None:
    worker = start_worker(TASKS, stop_grace=grace)
    run = await parked(server, waits, task, payload)
    assert await worker.stopped() == 0
    assert code_of(await server.completion_of(run)) is ErrorCode.TASK_PROCESS_SIGTERM


async def test_a_run_that_begins_to_wait_while_its_worker_stops_is_ended(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker, folder: Path
) -> None:
    worker = start_worker(TASKS, stop_grace=600)
    run = server.push("nap_later", {"path": f"{folder}/flag"})
    await server.until(lambda: bool(server.lines_of(run)))
    worker.send(signal.SIGTERM)
    await worker.line("Stopping")
    (folder / "flag").touch()
    assert code_of(await server.completion_of(run)) is ErrorCode.TASK_PROCESS_SIGTERM
    assert await worker.ended() == 0


async def test_a_worker_that_stops_lets_a_run_go_on_whose_wait_may_end_in_time(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    worker = start_worker(TASKS)
    run = await parked(server, waits, "ask", {"token": "waitpoint_1"})
    worker.send(signal.SIGTERM)
    await worker.line("Stopping")
    server.send(waits.go_on(run, output='{"yes":false}', output_type="application/json"))
    assert (await server.completion_of(run)).completion.output == "False"
    assert await worker.ended() == 0


async def test_a_run_of_an_older_version_waits_on_after_a_reload(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker, folder: Path
) -> None:
    worker = start_worker(TASKS, watch=True, poll_interval=0.05)
    run = await parked(server, waits)
    (folder / "more.py").write_text(
        "from trigger_lite import task\n@task\ndef more() -> int:\n    return 1\n"
    )
    await worker.line("Reloaded")
    assert (await server.completion_of(server.push("more"))).completion.output == "1"
    server.send(waits.go_on(run))
    assert (await server.completion_of(run)).completion.ok


async def test_children_that_are_spawned_wait_as_well(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    start_worker(TASKS, start_method="spawn")
    run = await parked(server, waits)
    server.send(waits.go_on(run))
    assert (await server.completion_of(run)).completion.ok
