"""Starting and completing attempts (AT)."""

import pytest

from tests.support.builders import (
    WORKER,
    a_run,
    a_started_run,
    a_task,
    a_version,
    claim,
    claim_one,
    complete,
    fail,
    newest,
    start,
    succeed,
)
from tests.support.harness import NOW, Harness
from trigger_lite.engine.attempts import cancel_run, complete_attempt, start_attempt
from trigger_lite.engine.run_json import decode_error
from trigger_lite.protocol.errors import BadRequest, RunNotFound, StaleSnapshot
from trigger_lite.protocol.execution import Completion, RetryAt, Usage
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.run_errors import (
    BuiltInError,
    Cause,
    CustomError,
    ErrorCode,
    InternalError,
    StringError,
)
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.store.runs import RunRow

BIGINT = 2**63 - 1


def _unchanged(engine: Harness, run: RunRow) -> bool:
    return engine.run(run) == run and len(engine.snapshots(run)) == run.snapshot_seq


# ---- start -----------------------------------------------------------------------------------------


def test_a_start_names_the_newest_snapshot_or_is_refused(engine: Harness) -> None:
    """AT-01: anything older changes nothing."""
    a_version(engine)
    a_run(engine)
    run = claim_one(engine)
    for name in (snapshot_id(run.id, 1), snapshot_id(run.id, 3), "snapshot_nonsense", ""):
        with pytest.raises(StaleSnapshot):
            engine.do(start_attempt, engine.prod.id, run.id, name, WORKER)
    assert _unchanged(engine, run)


def test_of_two_workers_racing_for_a_run_one_starts(engine: Harness) -> None:
    """AT-01: the one that it was handed to; the other is refused."""
    a_version(engine)
    a_run(engine)
    run = claim_one(engine)
    with pytest.raises(StaleSnapshot):
        start(engine, run, worker="worker_2")
    started = start(engine, run)
    with pytest.raises(StaleSnapshot):
        start(engine, run, worker="worker_2")
    assert _unchanged(engine, started)


def test_a_start_that_is_repeated_is_answered_like_the_first(engine: Harness) -> None:
    """AT-01: a worker whose acknowledgement was lost sends it again."""
    a_version(engine)
    a_run(engine)
    run = claim_one(engine)
    started = start(engine, run)
    assert start(engine, run) == started
    assert _unchanged(engine, started)


def test_a_run_that_was_never_claimed_cannot_start(engine: Harness) -> None:
    """AT-02: nor one that is over, or being cancelled."""
    a_version(engine)
    waiting = a_run(engine, delay="1h")
    done = a_started_run(engine)
    succeed(engine, done)
    canceled = a_started_run(engine)
    engine.do(cancel_run, engine.prod.id, canceled.id)
    for run in (waiting, engine.run(done), engine.run(canceled)):
        with pytest.raises(BadRequest):
            start(engine, run)
        assert _unchanged(engine, run)


def test_a_start_raises_the_attempt_and_a_claim_does_not(engine: Harness) -> None:
    """AT-03: attempt, first execution and state change together."""
    a_version(engine)
    a_run(engine)
    claimed = claim_one(engine)
    assert (claimed.attempt, claimed.executed_at) == (0, None)
    engine.pass_time(1)
    started = start(engine, claimed)
    assert (started.attempt, started.executed_at, started.status) == (1, NOW + 1_000, R.EXECUTING)
    assert engine.snapshots(started)[-1].attempt == 1
    engine.pass_time(1)
    again = start(engine, fail(engine, started, retry_ms=0).run)
    assert (again.attempt, again.executed_at) == (2, NOW + 1_000)


def test_an_attempt_that_has_not_ended_is_not_started_again(engine: Harness) -> None:
    """AT-03: no start counts an attempt that nobody made."""
    a_version(engine)
    run = a_started_run(engine)
    with pytest.raises(BadRequest, match="has not ended"):
        start(engine, run)
    assert _unchanged(engine, run)


def test_the_251st_attempt_is_not_made(engine: Harness) -> None:
    """AT-04: whatever the settings; the run has crashed."""
    a_version(engine)
    a_run(engine)
    run = claim_one(engine)
    engine.change("UPDATE run SET attempt = 249, max_attempts = 100000 WHERE id = :id", id=run.id)
    last = start(engine, engine.run(run))
    assert last.attempt == 250
    assert fail(engine, last, retry_ms=0).attempt_status == "RUN_FINISHED"
    a_run(engine)
    other = claim_one(engine)
    engine.change("UPDATE run SET attempt = 250 WHERE id = :id", id=other.id)
    start(engine, engine.run(other))
    ended = engine.run(other)
    assert (ended.status, ended.attempt, engine.load().held) == (R.CRASHED, 250, 0)
    assert _error(engine, other) == InternalError(
        ErrorCode.TASK_RUN_CRASHED, "A run gets at most 250 attempts"
    )


def test_a_run_of_another_environment_is_not_there(engine: Harness) -> None:
    """LK-02: workers act on the runs of their own environment."""
    a_version(engine)
    run = a_started_run(engine)
    completion = Completion(ok=True, id=run.id)
    with pytest.raises(RunNotFound):
        engine.do(start_attempt, engine.dev.id, run.id, newest(run), WORKER)
    with pytest.raises(RunNotFound):
        engine.do(complete_attempt, engine.dev.id, run.id, newest(run), completion)
    with pytest.raises(RunNotFound):
        engine.do(cancel_run, engine.dev.id, run.id)


# ---- success ---------------------------------------------------------------------------------------


def test_a_completion_with_a_stale_snapshot_stores_nothing(engine: Harness) -> None:
    """AT-06: neither output nor error."""
    a_version(engine)
    run = a_started_run(engine)
    older = run._replace(snapshot_seq=2)
    for complete_it in (succeed, fail):
        with pytest.raises(StaleSnapshot):
            complete_it(engine, older)
    data = engine.data(run)
    assert _unchanged(engine, run) and (data.output, data.error) == (None, None)


def test_a_run_that_is_over_is_not_completed_again(engine: Harness) -> None:
    """AT-06: nor changed by a late failure."""
    a_version(engine)
    run = a_started_run(engine)
    done = succeed(engine, run).run
    for late in (run, done):
        with pytest.raises(StaleSnapshot):
            fail(engine, late)
    assert _unchanged(engine, done)


def test_a_success_stores_the_output_and_frees_the_slot(engine: Harness) -> None:
    """AT-07: and is announced."""
    a_version(engine)
    run = a_started_run(engine)
    engine.pass_time(2)
    finished = succeed(engine, run, output='{"a":1}')
    data = engine.data(run)
    assert finished.attempt_status == "RUN_FINISHED"
    assert (finished.run.status, finished.run.completed_at) == (R.COMPLETED_SUCCESSFULLY, NOW + 2_000)
    assert (data.output, data.output_type, data.error) == ('{"a":1}', "application/json", None)
    assert (finished.run.worker_id, finished.run.is_failed, engine.load().held) == (None, 0, 0)
    assert engine.moves(run)[-1].status == R.COMPLETED_SUCCESSFULLY


def test_an_output_keeps_its_type_and_loses_null_bytes(engine: Harness) -> None:
    """AT-07: text of any type that the database can hold."""
    a_version(engine)
    run = a_started_run(engine)
    complete(engine, run, Completion(ok=True, id=run.id, output="a\0b", output_type="text/plain\0"))
    data = engine.data(run)
    assert (data.output, data.output_type) == ("ab", "text/plain")


def test_an_output_over_its_limit_fails_the_run(engine: Harness) -> None:
    """TR-04: it is not cut."""
    a_version(engine)
    run = a_started_run(engine)
    output = "é" * 5_242_881
    assert succeed(engine, run, output=output).run.status == R.COMPLETED_WITH_ERRORS
    error = _error(engine, run)
    assert isinstance(error, InternalError) and error.code is ErrorCode.TASK_OUTPUT_ERROR
    assert engine.data(run).output is None


def test_a_large_output_is_stored_whole(engine: Harness) -> None:
    """AT-07: beside the run."""
    a_version(engine)
    run = a_started_run(engine)
    output = '"' + "x" * 1_000_000 + '"'
    succeed(engine, run, output=output)
    assert engine.data(run).output == output


def test_the_answer_tells_the_worker_what_comes_next(engine: Harness) -> None:
    """AT-08: finished, retry here, retry through the queue."""
    a_version(engine)
    run = a_started_run(engine)
    soon = fail(engine, run, retry_ms=100)
    later = fail(engine, start(engine, soon.run), retry_ms=60_000)
    engine.pass_time(60)
    last = fail(engine, start(engine, claim_one(engine)), retry_ms=100)
    answers = [(answer.attempt_status, answer.retry_delay_ms) for answer in (soon, later, last)]
    assert answers == [("RETRY_IMMEDIATELY", 100), ("RETRY_QUEUED", 60_000), ("RUN_FINISHED", None)]


def test_usage_adds_up_over_attempts(engine: Harness) -> None:
    """AT-09: whichever way they end."""
    a_version(engine)
    run = a_started_run(engine)
    soon = fail(engine, run, retry_ms=0, usage_ms=100).run
    fail(engine, start(engine, soon), retry_ms=60_000, usage_ms=20)
    assert engine.run(run).usage_ms == 120
    engine.pass_time(60)
    succeed(engine, start(engine, claim_one(engine)), usage_ms=3)
    assert engine.run(run).usage_ms == 123


def test_an_absurd_usage_or_delay_breaks_nothing(engine: Harness) -> None:
    """AT-09: what a worker says is hostile input."""
    a_version(engine)
    run = a_started_run(engine)
    completion = Completion(
        ok=False,
        id=run.id,
        error=StringError("no"),
        retry=RetryAt(timestamp=10**40, delay=10**40),
        usage=Usage(10**40),
    )
    assert complete(engine, run, completion).attempt_status == "RETRY_QUEUED"
    waiting = engine.run(run)
    assert waiting.score < BIGINT and waiting.usage_ms < BIGINT


# ---- failure ---------------------------------------------------------------------------------------


def _error(engine: Harness, run: RunRow) -> object:
    text = engine.data(run).error
    return None if text is None else decode_error(text)


def test_a_permanent_failure_stores_the_error(engine: Harness) -> None:
    """AT-11: in the run and in its last snapshot, and is announced."""
    a_version(engine)
    run = a_started_run(engine)
    error = BuiltInError("ValueError", "no such file", "Traceback …", [Cause("disk", "OSError")])
    ended = fail(engine, run, error).run
    assert (ended.status, ended.is_failed, ended.completed_at) == (R.COMPLETED_WITH_ERRORS, 1, NOW)
    assert _error(engine, run) == error
    assert engine.snapshots(run)[-1].error == engine.data(run).error
    assert engine.moves(run)[-1].status == R.COMPLETED_WITH_ERRORS


def test_errors_are_cut_before_they_are_stored(engine: Harness) -> None:
    """AT-12: name 1 024 characters, message and stack 16 KB, no null bytes."""
    a_version(engine)
    run = a_started_run(engine)
    fail(engine, run, BuiltInError("N" * 2_000, "m\0" * 20_000, "s" * 20_000))
    assert _error(engine, run) == BuiltInError("N" * 1_024, "m" * 16_384, "s" * 16_384)


@pytest.mark.parametrize("error", [StringError("plain"), CustomError('{"a":1}'), BuiltInError("E", "m", "s")])
def test_an_error_of_user_code_ends_with_errors(
    engine: Harness, error: StringError | CustomError | BuiltInError
) -> None:
    """ST-15: whatever was raised."""
    a_version(engine)
    run = a_started_run(engine)
    assert fail(engine, run, error).run.status == R.COMPLETED_WITH_ERRORS
    assert _error(engine, run) == error


_CRASHES = {
    "TASK_PROCESS_OOM_KILLED", "TASK_PROCESS_MAYBE_OOM_KILLED", "TASK_PROCESS_SIGSEGV",
    "DISK_SPACE_EXCEEDED", "OUTDATED_SDK_VERSION", "HANDLE_ERROR_ERROR", "TASK_RUN_CRASHED",
    "TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE",
}  # fmt: skip
_WITH_ERRORS = {
    "RECURSIVE_WAIT_DEADLOCK", "TASK_INPUT_ERROR", "TASK_OUTPUT_ERROR", "TASK_MIDDLEWARE_ERROR",
    "TASK_RUN_UNCAUGHT_EXCEPTION", "TASK_RUN_STALLED_EXECUTING", "TASK_RUN_STALLED_EXECUTING_WITH_WAITPOINTS",
}  # fmt: skip
_OTHERS = {"TASK_RUN_CANCELLED": R.CANCELED, "MAX_DURATION_EXCEEDED": R.TIMED_OUT}


def test_each_code_ends_in_the_status_that_the_specification_names(engine: Harness) -> None:
    """ST-15, ST-16, ST-17: user's, crashed, cancelled, timed out, else the platform's own failure."""
    a_version(engine, a_task(retry={"maxAttempts": 1}))
    for code in ErrorCode:
        wanted = R.CRASHED if code in _CRASHES else R.COMPLETED_WITH_ERRORS if code in _WITH_ERRORS else None
        run = a_started_run(engine)
        ended = fail(engine, run, code).run
        assert ended.status == (wanted or _OTHERS.get(code, R.SYSTEM_FAILURE)), code
        assert (ended.execution_status, ended.holds_slot) == (X.FINISHED, 0)


def test_a_stall_in_dev_ends_cancelled(engine: Harness) -> None:
    """ST-17: a developer stopped the process."""
    a_version(engine, environment=engine.dev)
    run = a_started_run(engine, environment=engine.dev)
    assert fail(engine, run, ErrorCode.TASK_RUN_STALLED_EXECUTING).run.status == R.CANCELED


# ---- what happens next, in this order ------------------------------------------------------------------


def test_a_run_reported_as_cancelled_ends_cancelled(engine: Harness) -> None:
    """AT-13: whatever retry the worker asks for."""
    a_version(engine)
    run = a_started_run(engine)
    assert fail(engine, run, ErrorCode.TASK_RUN_CANCELLED, retry_ms=0).run.status == R.CANCELED


def _oom_task(machine: str | None, attempts: int = 3) -> dict[str, object]:
    return {"maxAttempts": attempts, "randomize": False, "outOfMemory": {"machine": machine}}


@pytest.mark.parametrize(
    "error",
    [
        InternalError(ErrorCode.TASK_PROCESS_OOM_KILLED),
        InternalError(ErrorCode.TASK_PROCESS_MAYBE_OOM_KILLED),
        BuiltInError("OutOfMemoryError", "", ""),
    ],
)
def test_out_of_memory_is_tried_again_on_the_machine_that_the_task_names(
    engine: Harness, error: InternalError | BuiltInError
) -> None:
    """AT-14: through the queue, even when the worker asks for a quick retry."""
    a_version(engine, a_task(retry=_oom_task("large-1x")))
    run = a_started_run(engine)
    answer = fail(engine, run, error, retry_ms=10)
    assert (answer.attempt_status, answer.run.machine) == ("RETRY_QUEUED", "large-1x")
    engine.pass_time(1)
    again = start(engine, claim_one(engine))
    assert (again.machine, again.attempt) == ("large-1x", 2)
    assert fail(engine, again, error).run.status in (R.CRASHED, R.COMPLETED_WITH_ERRORS)


@pytest.mark.parametrize(
    "retry", [_oom_task(None), _oom_task("small-1x"), _oom_task("large-1x", attempts=1), {"maxAttempts": 3}]
)
def test_out_of_memory_without_a_larger_machine_crashes(engine: Harness, retry: dict[str, object]) -> None:
    """AT-14: none named, the same one, or no attempt left."""
    a_version(engine, a_task(retry=retry))
    run = a_started_run(engine)
    assert fail(engine, run, ErrorCode.TASK_PROCESS_OOM_KILLED, retry_ms=10).run.status == R.CRASHED


def test_an_unknown_machine_for_out_of_memory_is_none(engine: Harness) -> None:
    """AT-14, TR-18: a name that is no preset is the default one."""
    a_version(engine, a_task(machine={"preset": "micro"}, retry=_oom_task("mainframe")))
    run = a_started_run(engine)
    assert fail(engine, run, ErrorCode.TASK_PROCESS_OOM_KILLED).run.machine == "small-1x"


_NEVER = [
    "COULD_NOT_FIND_EXECUTOR", "COULD_NOT_FIND_TASK", "COULD_NOT_IMPORT_TASK", "CONFIGURED_INCORRECTLY",
    "TASK_ALREADY_RUNNING", "TASK_PROCESS_SIGKILL_TIMEOUT", "MAX_DURATION_EXCEEDED", "DISK_SPACE_EXCEEDED",
    "OUTDATED_SDK_VERSION", "TASK_RUN_HEARTBEAT_TIMEOUT", "TASK_DID_CONCURRENT_WAIT",
    "RECURSIVE_WAIT_DEADLOCK", "TASK_DEQUEUED_INVALID_STATE", "TASK_DEQUEUED_QUEUE_NOT_FOUND",
    "TASK_RUN_DEQUEUED_MAX_RETRIES", "TASK_HAS_N0_EXECUTION_SNAPSHOT", "BATCH_ITEM_COULD_NOT_TRIGGER",
    "PAYLOAD_TOO_LARGE", "UNSPECIFIED_ERROR",
]  # fmt: skip


def test_some_codes_are_never_tried_again(engine: Harness) -> None:
    """AT-15, AT-26: though attempts remain and the worker asks for one."""
    a_version(engine)
    for code in _NEVER:
        run = a_started_run(engine)
        assert fail(engine, run, ErrorCode(code), retry_ms=10).attempt_status == "RUN_FINISHED", code


def test_the_last_attempt_fails_the_run(engine: Harness) -> None:
    """AT-16: maxAttempts counts the first; without it there is no second."""
    a_version(engine, a_task(), a_task("once", retry=None))
    run = a_started_run(engine, max_attempts=2)
    second = start(engine, fail(engine, run, retry_ms=0).run)
    assert fail(engine, second, retry_ms=0).run.status == R.COMPLETED_WITH_ERRORS
    once = a_started_run(engine, "once")
    assert fail(engine, once, retry_ms=0).attempt_status == "RUN_FINISHED"


@pytest.mark.parametrize(
    "code",
    [
        "TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE",
        "TASK_PROCESS_SIGTERM",
        "TASK_PROCESS_SIGSEGV",
        "TASK_RUN_UNCAUGHT_EXCEPTION",
        "TASK_MIDDLEWARE_ERROR",
    ],
)
def test_a_crash_the_worker_could_not_judge_is_tried_again_by_the_settings(
    engine: Harness, code: str
) -> None:
    """AT-17, AT-27: those fixed at the claim: 1 s, then 2 s."""
    a_version(engine)
    run = a_started_run(engine)
    first = fail(engine, run, ErrorCode(code))
    assert (first.attempt_status, first.retry_delay_ms) == ("RETRY_QUEUED", 1_000)
    engine.pass_time(1)
    second = fail(engine, start(engine, claim_one(engine)), ErrorCode(code))
    assert second.retry_delay_ms == 2_000
    engine.pass_time(2)
    assert fail(engine, start(engine, claim_one(engine)), ErrorCode(code)).attempt_status == "RUN_FINISHED"


def test_an_exception_that_the_worker_does_not_retry_fails_the_run(engine: Harness) -> None:
    """AT-17, AT-22: the worker has judged."""
    a_version(engine)
    for error in (None, ErrorCode.TASK_INPUT_ERROR):
        assert fail(engine, a_started_run(engine), error).run.status == R.COMPLETED_WITH_ERRORS


def test_a_short_retry_stays_in_the_same_process(engine: Harness) -> None:
    """AT-18: the slot is kept, the next start raises the attempt."""
    a_version(engine)
    run = a_started_run(engine)
    soon = fail(engine, run, retry_ms=29_999).run
    assert (soon.execution_status, soon.worker_id, engine.load().held) == (X.EXECUTING, WORKER, 1)
    last = engine.snapshots(run)[-1]
    assert last.retry_at == NOW + 29_999 and last.error is not None
    assert engine.data(run).error is None
    assert start(engine, soon).attempt == 2


def test_a_long_retry_waits_in_line_for_its_exact_time(engine: Harness) -> None:
    """AT-18: the slot is free meanwhile."""
    a_version(engine, a_task(queue={"concurrencyLimit": 1}))
    run = a_started_run(engine)
    waiting = fail(engine, run, retry_ms=30_000).run
    assert (waiting.status, waiting.score, waiting.worker_id) == (R.PENDING, NOW + 30_000, None)
    other = a_run(engine)
    succeed(engine, start(engine, claim_one(engine)))
    assert engine.run(other).status == R.COMPLETED_SUCCESSFULLY
    engine.pass_time(29.999)
    assert claim(engine) == []
    engine.pass_time(0.001)
    assert claim_one(engine).id == run.id
    assert engine.path(run) == [X.QUEUED, X.PENDING_EXECUTING, X.EXECUTING, X.QUEUED, X.PENDING_EXECUTING]


# ---- completions that make no sense ---------------------------------------------------------------------


def test_only_a_started_attempt_succeeds(engine: Harness) -> None:
    """AT-02: a claim alone runs nothing."""
    a_version(engine)
    a_run(engine)
    claimed = claim_one(engine)
    with pytest.raises(BadRequest):
        succeed(engine, claimed)
    with pytest.raises(BadRequest):
        succeed(engine, claimed, output="x" * 10_485_761)
    assert _unchanged(engine, claimed)


def test_a_run_that_no_worker_has_is_not_completed(engine: Harness) -> None:
    """AT-02: not even by its newest snapshot."""
    a_version(engine)
    for run in (a_run(engine), a_run(engine, delay="1h")):
        for complete_it in (succeed, fail):
            with pytest.raises(BadRequest):
                complete_it(engine, run)
        assert _unchanged(engine, run)


def test_an_unstarted_attempt_can_fail_for_good_but_not_be_tried_again(engine: Harness) -> None:
    """AT-02: a task that cannot be imported ends the run; anything else is left to the start timeout."""
    a_version(engine)
    a_run(engine)
    claimed = claim_one(engine)
    with pytest.raises(BadRequest):
        fail(engine, claimed, ErrorCode.TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE)
    assert _unchanged(engine, claimed)
    ended = fail(engine, claimed, ErrorCode.COULD_NOT_IMPORT_TASK).run
    assert (ended.status, engine.load().held) == (R.SYSTEM_FAILURE, 0)
