"""Runs that come back unstarted, and workers that fall silent (HB, Q-31, Q-32)."""

import pytest

from tests.support.builders import (
    WORKER,
    a_run,
    a_started_run,
    a_task,
    a_version,
    claim,
    claim_one,
    fail,
    newest,
    start,
    succeed,
)
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.deliveries import hand_back, time_out
from trigger_lite.engine.expiry import expire_lapsed
from trigger_lite.engine.retry import MAX_DELIVERIES, STALL_RETRY_MS
from trigger_lite.engine.run_json import decode_error
from trigger_lite.protocol.errors import RunNotFound, StaleSnapshot
from trigger_lite.protocol.run_errors import ErrorCode, InternalError
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.store.runs import RunRow


def _silent(engine: Harness, run: RunRow) -> RunRow:
    """The timeout of the run's newest snapshot passes."""
    moved = engine.do(time_out, run.id, run.snapshot_seq)
    assert moved is not None
    return moved


def _code(engine: Harness, run: RunRow) -> ErrorCode:
    text = engine.data(run).error
    assert text is not None
    error = decode_error(text)
    assert isinstance(error, InternalError)
    return error.code


# ---- handed out, never started -----------------------------------------------------------------------


def test_a_run_that_was_never_started_is_offered_again(engine: Harness) -> None:
    """HB-02: after a second or two; another worker can take it."""
    a_version(engine)
    run = a_run(engine)
    back = _silent(engine, claim_one(engine))
    assert (back.status, back.deliveries, back.attempt, engine.load().held) == (R.PENDING, 1, 0, 0)
    assert engine.now + 1_000 <= back.score <= engine.now + 2_000
    assert claim(engine) == []
    engine.pass_time(2)
    again = claim_one(engine, worker="worker_2")
    assert start(engine, again, worker="worker_2").id == run.id


def test_a_run_never_started_again_and_again_is_a_system_failure(engine: Harness) -> None:
    """HB-04, Q-31: after twelve failed deliveries in a row."""
    a_version(engine)
    run = a_run(engine)
    for _ in range(MAX_DELIVERIES - 1):
        assert _silent(engine, claim_one(engine)).status == R.PENDING
        engine.pass_time(3_600)
    ended = _silent(engine, claim_one(engine))
    assert (ended.status, engine.load().held) == (R.SYSTEM_FAILURE, 0)
    assert _code(engine, run) is ErrorCode.TASK_RUN_DEQUEUED_MAX_RETRIES


def test_each_failed_delivery_waits_longer(engine: Harness) -> None:
    """Q-31: doubling, so that a broken worker is not asked every second."""
    a_version(engine)
    a_run(engine)
    waits = []
    for _ in range(5):
        waits.append(_silent(engine, claim_one(engine)).score - engine.now)
        engine.pass_time(3_600)
    assert waits == sorted(waits) and waits[-1] >= 16_000


def test_retries_of_the_user_are_no_failed_deliveries(engine: Harness) -> None:
    """Q-32 ↯: a task with more than twelve long retries lives on."""
    a_version(engine, a_task(retry={"maxAttempts": 30}))
    run = a_run(engine)
    for attempt in range(1, 20):
        started = start(engine, claim_one(engine))
        assert (started.attempt, started.deliveries) == (attempt, 0)
        fail(engine, started, retry_ms=60_000)
        engine.pass_time(60)
    assert engine.run(run).status == R.PENDING


def test_a_start_forgets_the_failed_deliveries_before_it(engine: Harness) -> None:
    """Q-32: they are counted in a row."""
    a_version(engine, a_task(retry={"maxAttempts": 5}))
    a_run(engine)
    for _ in range(MAX_DELIVERIES - 1):
        _silent(engine, claim_one(engine))
        engine.pass_time(3_600)
    fail(engine, start(engine, claim_one(engine)), retry_ms=60_000)
    engine.pass_time(60)
    back = _silent(engine, claim_one(engine))
    assert (back.status, back.deliveries) == (R.PENDING, 1)


def test_only_the_worker_that_has_a_run_hands_it_back_and_only_unstarted(engine: Harness) -> None:
    """Q-29: by its newest snapshot."""
    a_version(engine)
    a_run(engine)
    claimed = claim_one(engine)
    for snapshot, worker in ((newest(claimed), "worker_2"), ("snapshot_x", WORKER)):
        with pytest.raises(StaleSnapshot):
            engine.do(hand_back, engine.prod.id, claimed.id, snapshot, worker)
    with pytest.raises(RunNotFound):
        engine.do(hand_back, engine.dev.id, claimed.id, newest(claimed), WORKER)
    started = start(engine, claimed)
    with pytest.raises(StaleSnapshot):
        engine.do(hand_back, engine.prod.id, started.id, newest(started), WORKER)
    assert engine.run(started) == started


def test_a_run_handed_back_unstarted_keeps_its_ttl(engine: Harness) -> None:
    """Q-40: a worker that was too busy to begin it does not give it time without end."""
    a_version(engine)
    run = a_run(engine, ttl=10)
    claimed = claim_one(engine)
    engine.pass_time(5)
    engine.do(hand_back, engine.prod.id, run.id, newest(claimed), WORKER)
    engine.pass_time(5)
    assert engine.do(expire_lapsed, 100) == 1
    assert engine.run(run).status == "EXPIRED"


# ---- executing and silent ------------------------------------------------------------------------------


def test_a_silent_attempt_fails_and_is_queued_again_while_attempts_remain(engine: Harness) -> None:
    """HB-03, AT-27: after 250 ms; the last one ends the run."""
    a_version(engine)
    run = a_started_run(engine, max_attempts=2)
    waiting = _silent(engine, run)
    assert (waiting.status, waiting.score) == (R.PENDING, engine.now + STALL_RETRY_MS)
    assert engine.load().held == 0
    engine.pass_time(1)
    again = start(engine, claim_one(engine, worker="worker_2"), worker="worker_2")
    assert again.attempt == 2
    ended = _silent(engine, again)
    assert ended.status == R.COMPLETED_WITH_ERRORS
    assert _code(engine, run) is ErrorCode.TASK_RUN_STALLED_EXECUTING


def test_a_silent_attempt_in_dev_ends_cancelled(engine: Harness) -> None:
    """HB-03: without retry; the developer stopped it."""
    a_version(engine, environment=engine.dev)
    run = a_started_run(engine, environment=engine.dev)
    assert _silent(engine, run).status == R.CANCELED


def test_a_result_that_comes_after_the_silence_was_acted_on_is_refused(engine: Harness) -> None:
    """HB-07, AT-06, LK-06: the worker that was given up has no say any more."""
    a_version(engine)
    run = a_started_run(engine)
    _silent(engine, run)
    with pytest.raises(StaleSnapshot):
        succeed(engine, run)
    assert engine.run(run).status == R.PENDING


def test_a_silent_run_that_waits_fails_with_the_code_of_waiting(engine: Harness) -> None:
    """HB-03: TASK_RUN_STALLED_EXECUTING_WITH_WAITPOINTS."""
    a_version(engine)
    run = a_started_run(engine, max_attempts=1)
    engine.change(
        "UPDATE run SET execution_status = 'EXECUTING_WITH_WAITPOINTS', holds_slot = 0 WHERE id = :id",
        id=run.id,
    )
    _silent(engine, engine.run(run))
    assert _code(engine, run) is ErrorCode.TASK_RUN_STALLED_EXECUTING_WITH_WAITPOINTS


def test_a_cancel_that_is_not_confirmed_is_finished(engine: Harness) -> None:
    """HB-05: by the server."""
    a_version(engine)
    run = a_started_run(engine)
    asked = engine.do(cancel_run, engine.prod.id, run.id)
    ended = _silent(engine, asked)
    assert (ended.execution_status, ended.status, ended.worker_id) == (X.FINISHED, R.CANCELED, None)


def test_a_timer_for_an_older_snapshot_does_nothing(engine: Harness) -> None:
    """HB-07: nor one for a run that is over, waits, or never was."""
    a_version(engine)
    run = a_started_run(engine)
    assert engine.do(time_out, run.id, run.snapshot_seq - 1) is None
    waiting = a_run(engine)
    assert engine.do(time_out, waiting.id, waiting.snapshot_seq) is None
    done = succeed(engine, run).run
    assert engine.do(time_out, run.id, done.snapshot_seq) is None
    assert engine.do(time_out, "run_unknown", 1) is None
    assert engine.run(run) == done
