"""Cancelling a run and what it started (CN-01…06). Apart from `attempts`, which cancels children too."""

from collections.abc import Iterator
from typing import Final

from trigger_lite.engine import endings, lifecycle, slots, waitpoints
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.engine.run_json import encode_error
from trigger_lite.protocol.run_errors import StringError
from trigger_lite.protocol.statuses import OWNED_BY_WORKER, TERMINAL, ExecutionStatus, RunStatus
from trigger_lite.store import runs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx

CHILDREN_AT_ONCE: Final = 200
"""Children read at once; all that are not over are cancelled, page after page."""


def cancel(tx: Tx, run: RunRow, reason: str) -> RunRow:
    """Cancel a run that is not over: at once when no worker owns it, else by asking the worker.

    What is cancelled at once takes its unfinished children with it (CN-04).
    """
    if RunStatus(run.status) in TERMINAL:
        return run
    if ExecutionStatus(run.execution_status) in OWNED_BY_WORKER:
        return _request(tx, run, reason)
    finished = _finish(tx, run, reason)
    cancel_children(tx, finished, reason)
    return finished


def cancel_children(tx: Tx, parent: RunRow, reason: str) -> None:
    """Cancel the unfinished children of a run, and theirs; those that a worker has, once it confirms.

    Not recursive: a run that starts its like may have descendants of any depth.
    """
    finished = [parent.id]
    while finished:
        for child_id in _unfinished_children(tx, finished.pop()):
            child = runs.find_run(tx, child_id)
            assert child is not None  # read just now, in this transaction
            # The end of one before it may have ended its wait.
            if ExecutionStatus(child.execution_status) in OWNED_BY_WORKER:
                _request(tx, child, reason)
            else:
                finished.append(_finish(tx, child, reason).id)


def _unfinished_children(tx: Tx, parent_id: str) -> Iterator[str]:
    after = ""
    while page := runs.list_unfinished_children(tx, parent_id, after=after, count=CHILDREN_AT_ONCE):
        yield from (child.id for child in page if RunStatus(child.status) not in TERMINAL)
        after = page[-1].id


def _request(tx: Tx, run: RunRow, reason: str) -> RunRow:
    """CANCELED at once, the slot free at once; the worker confirms the rest (CN-03), the children follow."""
    moved = lifecycle.move(
        tx,
        run,
        Transition.REQUEST_CANCEL,
        description=f"Cancel requested: {reason}",
        changes={"error": encode_error(StringError(reason)), "is_failed": 1},
    )
    slots.release(tx, run)
    waitpoints.drop_edges(tx, run)
    return moved


def _finish(tx: Tx, run: RunRow, reason: str) -> RunRow:
    return endings.end(
        tx,
        run,
        Transition.CANCEL,
        description=f"Canceled: {reason}",
        changes={"error": encode_error(StringError(reason)), "is_failed": 1},
    )
