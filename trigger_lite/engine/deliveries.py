"""Runs that come back from workers unstarted, and workers that fall silent (Q-29, Q-31, HB-02…05)."""

from trigger_lite.engine import attempts, lifecycle, slots
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.engine.retry import DELIVERIES_USED_UP, MAX_DELIVERIES, decide_retry, delivery_delay_ms
from trigger_lite.protocol.errors import RunNotFound, StaleSnapshot
from trigger_lite.protocol.ids import snapshot_seq
from trigger_lite.protocol.run_errors import ErrorCode, InternalError
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.store import environments, runs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx


def hand_back(tx: Tx, environment_id: str, run_id: str, snapshot: str, worker_id: str) -> RunRow:
    """Take back a run that its worker never started, to its old place in line; no delivery is counted.

    Raises StaleSnapshot when the run is no longer in that worker's hands unstarted.
    """
    run = runs.find_run_in(tx, environment_id, run_id)
    if run is None:
        raise RunNotFound
    unstarted = run.execution_status == X.PENDING_EXECUTING and run.worker_id == worker_id
    if not unstarted or snapshot_seq(run_id, snapshot) != run.snapshot_seq:
        raise StaleSnapshot(run_id)
    return take_back(tx, run)


def take_back(tx: Tx, run: RunRow) -> RunRow:
    """Put an unstarted run back at its old place in line; no delivery is counted.

    One that never began is as if it had not been claimed: its TTL goes on.
    """
    began = run.deliveries or run.attempt
    return _return(
        tx,
        run,
        score=run.score,
        deliveries=run.deliveries,
        started_at=run.started_at if began else None,
        why="Handed back unstarted",
    )


def time_out(tx: Tx, run_id: str, seq: int) -> RunRow | None:
    """Act on a run that was silent for too long; does nothing when it moved since (HB-07)."""
    run = runs.find_run(tx, run_id)
    if run is None or run.snapshot_seq != seq:
        return None
    match X(run.execution_status):
        case X.PENDING_EXECUTING:
            return _not_started(tx, run)
        case X.EXECUTING:
            return _stalled(tx, run, ErrorCode.TASK_RUN_STALLED_EXECUTING)
        case X.EXECUTING_WITH_WAITPOINTS:
            return _stalled(tx, run, ErrorCode.TASK_RUN_STALLED_EXECUTING_WITH_WAITPOINTS)
        case X.PENDING_CANCEL:
            return attempts.finish_cancel(tx, run)
        case _:
            return None


def _not_started(tx: Tx, run: RunRow) -> RunRow:
    """HB-02: offered again with backoff; HB-04: a system failure after too many times."""
    deliveries = run.deliveries + 1
    if deliveries >= MAX_DELIVERIES:
        return attempts.fail_run(tx, run, DELIVERIES_USED_UP)
    return _return(
        tx,
        run,
        score=tx.now + delivery_delay_ms(run.id, deliveries),
        deliveries=deliveries,
        started_at=None if _still_expires(tx, run) else run.started_at,
        why="The worker did not start it in time",
    )


def _still_expires(tx: Tx, run: RunRow) -> bool:
    """Tell whether the TTL goes on of a run that no worker began: in dev, where workers come and go."""
    return not run.attempt and environments.get_environment(tx, run.environment_id).is_dev


def _return(tx: Tx, run: RunRow, *, score: int, deliveries: int, started_at: int | None, why: str) -> RunRow:
    lane = slots.rejoin(tx, run._replace(score=score))
    moved = lifecycle.move(
        tx,
        run,
        Transition.RETURN,
        description=why,
        changes={
            "queued": 1,
            "worker_id": None,
            "score": score,
            "lane_id": lane,
            "deliveries": deliveries,
            "started_at": started_at,
        },
    )
    slots.release(tx, run)
    return moved


def _stalled(tx: Tx, run: RunRow, code: ErrorCode) -> RunRow:
    """HB-03: the attempt fails; queued again when attempts remain, never in dev."""
    is_dev = environments.get_environment(tx, run.environment_id).is_dev
    error = InternalError(code, "The worker that ran it fell silent")
    retry = decide_retry(run, error, None, now=tx.now, is_dev=is_dev)
    if retry is None:
        return attempts.fail_run(tx, run, error, is_dev=is_dev)
    return attempts.retry_later(tx, run, error, retry)
