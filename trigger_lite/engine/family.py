"""Cancelling a run and what it started (CN-01…06). Apart from `attempts`, which cancels children too."""

from trigger_lite.engine import lifecycle, slots
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.engine.run_json import encode_error
from trigger_lite.protocol.run_errors import StringError
from trigger_lite.protocol.statuses import OWNED_BY_WORKER, TERMINAL, ExecutionStatus, RunStatus
from trigger_lite.store import runs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx

_CHILDREN_AT_ONCE = 1_000
"""Children cancelled with their parent in one transaction."""


def cancel(tx: Tx, run: RunRow, reason: str) -> RunRow:
    """Cancel a run that is not over: at once when no worker owns it, else by asking the worker."""
    if RunStatus(run.status) in TERMINAL:
        return run
    if ExecutionStatus(run.execution_status) in OWNED_BY_WORKER:
        return _request(tx, run, reason)
    return _finish(tx, run, reason)


def cancel_children(tx: Tx, parent: RunRow, reason: str) -> None:
    """Cancel the unfinished children of a run, and theirs."""
    for child in runs.list_children(tx, parent.id, count=_CHILDREN_AT_ONCE):
        cancel(tx, child, reason)


def _request(tx: Tx, run: RunRow, reason: str) -> RunRow:
    """CANCELED at once, the slot free at once; the worker confirms the rest (CN-03)."""
    moved = lifecycle.move(
        tx,
        run,
        Transition.REQUEST_CANCEL,
        description=f"Cancel requested: {reason}",
        changes={"error": encode_error(StringError(reason)), "is_failed": 1},
    )
    slots.release(tx, run)
    return moved


def _finish(tx: Tx, run: RunRow, reason: str) -> RunRow:
    moved = lifecycle.move(
        tx,
        run,
        Transition.CANCEL,
        description=f"Canceled: {reason}",
        changes={
            "queued": 0,
            "ttl_at": None,
            "error": encode_error(StringError(reason)),
            "is_failed": 1,
            "completed_at": tx.now,
        },
    )
    if run.queued:
        slots.leave_line(tx, run)
    cancel_children(tx, run, reason)
    return moved
