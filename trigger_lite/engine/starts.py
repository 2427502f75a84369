"""The first step of an attempt, told by the worker's own report or by what its code asks for already."""

from typing import Final

from trigger_lite.engine import lifecycle
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.store import runs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Reader, Tx

_UNDER_WAY: Final = frozenset({X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS, X.QUEUED_EXECUTING})


def begin_attempt(tx: Tx, run: RunRow) -> RunRow:
    """Count and begin the next attempt of a claimed run (AT-03)."""
    changes = {
        "attempt": run.attempt + 1,
        "deliveries": 0,
        "ttl_at": None,
        "executed_at": run.executed_at or tx.now,
    }
    run = run._replace(attempt=run.attempt + 1)
    return lifecycle.move(
        tx, run, Transition.START, description=f"Attempt {run.attempt} started", changes=changes
    )


def is_to_begin(tx: Reader, run: RunRow) -> bool:
    """Tell whether the next attempt has not begun: just claimed, or to be tried again by the same worker."""
    if run.execution_status == X.PENDING_EXECUTING:
        return True
    return run.execution_status == X.EXECUTING and is_between_attempts(tx, run)


def is_between_attempts(tx: Reader, run: RunRow) -> bool:
    """Tell whether the newest snapshot is that of an attempt that failed and is tried again here."""
    newest = runs.list_snapshots(tx, run.id, after=run.snapshot_seq - 1)
    return bool(newest) and newest[0].retry_at is not None


def began_from(tx: Reader, run: RunRow, seq: int, worker_id: str) -> bool:
    """Tell whether the attempt that is under way began at this snapshot, with this worker.

    A wait may have moved the run since: whoever reports the start then is late, not wrong.
    """
    if run.worker_id != worker_id or X(run.execution_status) not in _UNDER_WAY:
        return False
    after = runs.list_snapshots(tx, run.id, after=seq)
    return bool(after) and (after[0].execution_status, after[0].attempt) == (X.EXECUTING, run.attempt)
