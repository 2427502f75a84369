"""Cancelling a run and what it started (CN-01…07, CN-10)."""

from typing import Any

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
    start,
    succeed,
    trigger,
)
from tests.support.harness import NOW, Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.delays import enqueue_delayed
from trigger_lite.engine.deliveries import time_out
from trigger_lite.engine.family import CHILDREN_AT_ONCE
from trigger_lite.engine.run_json import decode_error
from trigger_lite.protocol.errors import RunNotFound, StaleSnapshot
from trigger_lite.protocol.run_errors import ErrorCode, RunError, StringError
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.store.runs import RunRow


def _cancel(engine: Harness, run: RunRow, *reason: str) -> RunRow:
    return engine.do(cancel_run, run.environment_id, run.id, *reason)


def _error(engine: Harness, run: RunRow) -> RunError:
    text = engine.data(run).error
    assert text is not None
    return decode_error(text)


def test_cancelling_what_is_over_changes_nothing(engine: Harness) -> None:
    """CN-01: and is no error."""
    a_version(engine)
    done = succeed(engine, a_started_run(engine)).run
    assert _cancel(engine, done) == done
    assert engine.run(done) == done and engine.data(done).error is None


def test_cancelling_twice_while_pending_writes_nothing_more(engine: Harness) -> None:
    """CN-01: the first one counts."""
    a_version(engine)
    run = a_started_run(engine)
    asked = _cancel(engine, run, "first")
    assert _cancel(engine, run, "second") == asked
    assert len(engine.snapshots(run)) == asked.snapshot_seq
    assert _error(engine, run) == StringError("first")


@pytest.mark.parametrize("state", ["queued", "delayed", "parked", "retrying"])
def test_a_run_no_worker_owns_is_cancelled_at_once(engine: Harness, state: str) -> None:
    """CN-02, CN-07: removed from queue and timers."""
    a_version(engine)
    if state == "delayed":
        run = a_run(engine, delay="1h")
    elif state == "parked":
        run = a_run(engine, "mail")
        claim(engine, 10)
    else:
        run = a_run(engine, ttl=3_600)
        if state == "retrying":
            fail(engine, start(engine, claim_one(engine)), retry_ms=60_000)
    ended = _cancel(engine, run)
    assert (ended.status, ended.execution_status, ended.completed_at) == (R.CANCELED, X.FINISHED, NOW)
    assert (ended.queued, ended.ttl_at, ended.is_failed) == (0, None, 1)
    engine.pass_time(7_200)
    assert engine.do(enqueue_delayed, 10) == 0
    assert claim(engine, 10) == []


def test_a_delayed_run_that_was_cancelled_is_never_queued(engine: Harness) -> None:
    """CN-10: its time comes and nothing happens."""
    run = a_run(engine, delay="1s")
    _cancel(engine, run)
    engine.pass_time(1)
    assert engine.do(enqueue_delayed, 10) == 0
    assert engine.path(run) == [X.DELAYED, X.FINISHED]


@pytest.mark.parametrize("started", [False, True])
def test_a_run_that_a_worker_has_is_cancelled_and_its_slot_freed_before_the_worker_stops(
    engine: Harness, started: bool
) -> None:
    """CN-03: PENDING_CANCEL until the worker confirms."""
    a_version(engine)
    a_run(engine)
    run = claim_one(engine)
    if started:
        run = start(engine, run)
    asked = _cancel(engine, run)
    assert (asked.status, asked.execution_status) == (R.CANCELED, X.PENDING_CANCEL)
    assert (asked.worker_id, asked.completed_at, engine.load().held) == (WORKER, None, 0)
    move = engine.moves(run)[-1]
    assert (move.worker_id, move.freed_slot) == (WORKER, True)
    engine.pass_time(5)
    ended = fail(engine, asked, ErrorCode.TASK_RUN_CANCELLED, usage_ms=7).run
    assert (ended.status, ended.execution_status, ended.usage_ms) == (R.CANCELED, X.FINISHED, 7)
    assert (ended.worker_id, ended.completed_at) == (None, NOW + 5_000)


def test_a_start_after_the_cancel_is_refused(engine: Harness) -> None:
    """CN-03: the cancel crossed it on the way."""
    a_version(engine)
    a_run(engine)
    claimed = claim_one(engine)
    asked = _cancel(engine, claimed)
    with pytest.raises(StaleSnapshot):
        start(engine, claimed)
    assert engine.run(asked) == asked


def test_unfinished_children_are_cancelled_with_their_parent(engine: Harness) -> None:
    """CN-04: recursively, with the same reason, when the cancel completes; finished ones stay."""
    a_version(engine)
    top = a_started_run(engine)
    done = a_started_run(engine, parent_run_id=top.id)
    succeed(engine, done)
    running = a_started_run(engine, parent_run_id=top.id)
    waiting = a_run(engine, parent_run_id=top.id)
    grandchild = a_run(engine, parent_run_id=waiting.id, delay="1h")
    stranger = a_run(engine)
    asked = _cancel(engine, top, "wrong file")
    assert engine.run(grandchild).status == R.DELAYED
    fail(engine, asked, ErrorCode.TASK_RUN_CANCELLED)
    statuses = [engine.run(run).status for run in (top, done, waiting, grandchild, running, stranger)]
    assert statuses == [
        R.CANCELED, R.COMPLETED_SUCCESSFULLY, R.CANCELED, R.CANCELED, R.CANCELED, R.PENDING
    ]  # fmt: skip
    assert engine.run(running).execution_status == X.PENDING_CANCEL
    for run in (top, waiting, grandchild, running):
        assert _error(engine, run) == StringError("wrong file")


def test_children_are_cancelled_when_the_server_finishes_the_cancel(engine: Harness) -> None:
    """CN-04, HB-05: also when the worker never confirmed."""
    a_version(engine)
    top = a_started_run(engine)
    child = a_run(engine, parent_run_id=top.id)
    asked = _cancel(engine, top, "enough")
    engine.do(time_out, top.id, asked.snapshot_seq)
    assert engine.run(child).status == R.CANCELED
    assert _error(engine, child) == StringError("enough")


def test_a_parent_that_fails_leaves_its_children(engine: Harness) -> None:
    """CN-04: only a cancel reaches them."""
    a_version(engine)
    top = a_started_run(engine)
    child = a_run(engine, parent_run_id=top.id)
    fail(engine, top)
    assert engine.run(child).status == R.PENDING


def test_no_child_is_forgotten_however_many_there_are(engine: Harness) -> None:
    """CN-04: page after page, finished ones among them."""
    a_version(engine)
    top = a_run(engine, delay="1h")
    succeed(engine, a_started_run(engine, parent_run_id=top.id))
    for _ in range(CHILDREN_AT_ONCE + 1):
        a_run(engine, parent_run_id=top.id, delay="1h")
    _cancel(engine, top)
    assert engine.ask("SELECT DISTINCT status FROM run ORDER BY status") == [
        "CANCELED",
        "COMPLETED_SUCCESSFULLY",
    ]


def test_a_long_line_of_descent_is_cancelled_whole(engine: Harness) -> None:
    """CN-04: a run that starts its like, hundreds deep."""
    a_version(engine)
    line = [a_run(engine, delay="1h")]
    for _ in range(400):
        line.append(a_run(engine, parent_run_id=line[-1].id, delay="1h"))
    _cancel(engine, line[0])
    assert engine.ask("SELECT count(*) FROM run WHERE status = 'CANCELED'") == [401]


def test_a_completion_that_names_the_snapshot_before_the_cancel_is_refused(engine: Harness) -> None:
    """CN-05: AT-06 holds."""
    a_version(engine)
    run = a_started_run(engine)
    _cancel(engine, run)
    with pytest.raises(StaleSnapshot):
        succeed(engine, run)
    assert engine.data(run).output is None


def test_a_success_that_comes_late_does_not_undo_a_cancel(engine: Harness) -> None:
    """CN-05 ↯, LK-06: terminal is final."""
    a_version(engine)
    run = a_started_run(engine)
    asked = _cancel(engine, run)
    late = succeed(engine, asked)
    assert (late.attempt_status, late.run.status) == ("RUN_FINISHED", R.CANCELED)
    assert engine.data(run).output is None
    assert _error(engine, run) == StringError("Canceled by user")


def test_a_failure_that_comes_late_is_not_tried_again(engine: Harness) -> None:
    """CN-05: nor does it change the reason."""
    a_version(engine)
    run = a_started_run(engine)
    late = fail(engine, _cancel(engine, run), retry_ms=10)
    assert (late.attempt_status, late.run.status) == ("RUN_FINISHED", R.CANCELED)
    assert _error(engine, run) == StringError("Canceled by user")


def test_the_reason_is_stored_as_the_error(engine: Harness) -> None:
    """CN-06: "Canceled by user" when none is given."""
    one, other = a_run(engine), a_run(engine)
    _cancel(engine, one)
    _cancel(engine, other, "duplicate\0")
    assert _error(engine, one) == StringError("Canceled by user")
    assert _error(engine, other) == StringError("duplicate")


def test_an_unknown_run_cannot_be_cancelled(engine: Harness) -> None:
    """CN-01: it is said."""
    with pytest.raises(RunNotFound):
        engine.do(cancel_run, engine.prod.id, "run_unknown")


def test_a_cancel_of_a_run_being_retried_in_its_worker_asks_the_worker(engine: Harness) -> None:
    """CN-03: between two attempts the worker still owns it."""
    a_version(engine)
    soon = fail(engine, a_started_run(engine), retry_ms=20_000).run
    asked = _cancel(engine, soon)
    assert asked.execution_status == X.PENDING_CANCEL
    with pytest.raises(StaleSnapshot):
        start(engine, soon)


def test_cancelling_children_of_which_one_waits_for_another_cancels_both(engine: Harness) -> None:
    """CN-04, WP-16: the end of the first ends the wait of the second, which is cancelled as it is then."""
    a_version(engine, a_task(), a_task("mail", queue={"concurrencyLimit": 0}))
    parent = a_started_run(engine)
    first = a_run(engine, "mail", parent_run_id=parent.id, idempotency_key="order-7")
    second = a_started_run(engine, parent_run_id=parent.id)
    options: dict[str, Any] = {"idempotency_key": "order-7", "resume_parent_on_completion": True}
    trigger(engine, "mail", parent_run_id=second.id, **options)
    _cancel(engine, parent)
    succeed(engine, engine.run(parent))
    assert engine.run(parent).execution_status == X.FINISHED
    assert engine.run(first).execution_status == X.FINISHED
    assert engine.run(second).execution_status == X.PENDING_CANCEL
    assert engine.load().held == 0
