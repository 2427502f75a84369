"""The life of a run. Two rules:

1. Everything that moves a run lives here: one table, and `move()`, which alone writes a status.
2. A run moves only *if it still is at the snapshot the caller saw*; the comparison is in the UPDATE.

The API's status is a projection of the stored one (`protocol/statuses.py`).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from trigger_lite.engine.events import RunMoved
from trigger_lite.protocol.errors import StaleSnapshot
from trigger_lite.protocol.statuses import HOLDS_SLOT, TERMINAL
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.store import runs
from trigger_lite.store.runs import RunData, RunRow, SnapshotRow
from trigger_lite.store.transaction import Tx


class Transition(StrEnum):
    """Why a run moves."""

    TRIGGER = "trigger"
    TRIGGER_DELAYED = "trigger delayed"
    RESCHEDULE = "reschedule"
    DELAY_ENDS = "delay ends"
    PARK = "no version can run it"
    VERSION_ARRIVES = "version arrives"
    VERSION_ARRIVES_EARLY = "version arrives, delay not over"
    EXPIRE = "ttl ends"
    CLAIM = "dequeue"
    START = "attempt starts"
    RETURN = "handed back"
    BLOCK = "waits"
    UNBLOCK = "wait ends"
    UNBLOCK_WITHOUT_SLOT = "wait ends, no slot free"
    SLOT_FOUND = "slot found"
    SUSPEND = "checkpoint"
    RESUME = "wait ends after checkpoint"
    CONTINUE = "continue after checkpoint"
    RETRY_SOON = "retry in the same process"
    RETRY_LATER = "retry through the queue"
    SUCCEED = "success"
    FAIL = "permanent failure"
    REQUEST_CANCEL = "cancel while a worker owns it"
    CANCEL = "cancel"


_STATE_COLUMNS: Final = frozenset(RunRow._fields)
_FAILURE: Final = frozenset(TERMINAL - {R.COMPLETED_SUCCESSFULLY, R.EXPIRED})

# (execution status, why) -> (execution status, run statuses it may come with; the first is the usual one).
# engine-behaviours 1b, whole.
TRANSITIONS: Final[Mapping[tuple[X | None, Transition], tuple[X, tuple[R, ...]]]] = {
    (None, Transition.TRIGGER): (X.QUEUED, (R.PENDING,)),
    (None, Transition.TRIGGER_DELAYED): (X.DELAYED, (R.DELAYED,)),
    (None, Transition.PARK): (X.RUN_CREATED, (R.PENDING_VERSION,)),
    (X.DELAYED, Transition.RESCHEDULE): (X.DELAYED, (R.DELAYED,)),
    (X.DELAYED, Transition.DELAY_ENDS): (X.QUEUED, (R.PENDING,)),
    (X.RUN_CREATED, Transition.VERSION_ARRIVES): (X.QUEUED, (R.PENDING,)),
    (X.RUN_CREATED, Transition.VERSION_ARRIVES_EARLY): (X.DELAYED, (R.DELAYED,)),
    (X.QUEUED, Transition.PARK): (X.RUN_CREATED, (R.PENDING_VERSION,)),
    (X.QUEUED, Transition.CLAIM): (X.PENDING_EXECUTING, (R.DEQUEUED,)),
    (X.PENDING_EXECUTING, Transition.START): (X.EXECUTING, (R.EXECUTING,)),
    (X.EXECUTING, Transition.START): (X.EXECUTING, (R.EXECUTING,)),
    (X.PENDING_EXECUTING, Transition.RETURN): (X.QUEUED, (R.PENDING,)),
    (X.EXECUTING, Transition.BLOCK): (X.EXECUTING_WITH_WAITPOINTS, (R.EXECUTING,)),
    (X.EXECUTING_WITH_WAITPOINTS, Transition.UNBLOCK): (X.EXECUTING, (R.EXECUTING,)),
    (X.EXECUTING_WITH_WAITPOINTS, Transition.UNBLOCK_WITHOUT_SLOT): (X.QUEUED_EXECUTING, (R.EXECUTING,)),
    (X.QUEUED_EXECUTING, Transition.SLOT_FOUND): (X.EXECUTING, (R.EXECUTING,)),
    (X.RUN_CREATED, Transition.SUSPEND): (X.SUSPENDED, (R.WAITING_TO_RESUME,)),
    (X.QUEUED, Transition.SUSPEND): (X.SUSPENDED, (R.WAITING_TO_RESUME,)),
    (X.EXECUTING, Transition.SUSPEND): (X.SUSPENDED, (R.WAITING_TO_RESUME,)),
    (X.EXECUTING_WITH_WAITPOINTS, Transition.SUSPEND): (X.SUSPENDED, (R.WAITING_TO_RESUME,)),
    (X.QUEUED_EXECUTING, Transition.SUSPEND): (X.QUEUED, (R.WAITING_TO_RESUME,)),
    (X.SUSPENDED, Transition.RESUME): (X.QUEUED, (R.WAITING_TO_RESUME,)),
    (X.PENDING_EXECUTING, Transition.CONTINUE): (X.EXECUTING, (R.EXECUTING,)),
    (X.EXECUTING, Transition.RETRY_SOON): (X.EXECUTING, (R.EXECUTING,)),
    (X.EXECUTING, Transition.RETRY_LATER): (X.QUEUED, (R.PENDING,)),
    (X.EXECUTING_WITH_WAITPOINTS, Transition.RETRY_LATER): (X.QUEUED, (R.PENDING,)),
    (X.QUEUED_EXECUTING, Transition.RETRY_LATER): (X.QUEUED, (R.PENDING,)),
    (X.EXECUTING, Transition.SUCCEED): (X.FINISHED, (R.COMPLETED_SUCCESSFULLY,)),
    (X.EXECUTING_WITH_WAITPOINTS, Transition.SUCCEED): (X.FINISHED, (R.COMPLETED_SUCCESSFULLY,)),
    (X.QUEUED_EXECUTING, Transition.SUCCEED): (X.FINISHED, (R.COMPLETED_SUCCESSFULLY,)),
    **{
        (state, Transition.FAIL): (X.FINISHED, (R.COMPLETED_WITH_ERRORS, *sorted(_FAILURE)))
        for state in (X.PENDING_EXECUTING, X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS, X.QUEUED_EXECUTING)
    },
    **{
        (state, Transition.EXPIRE): (X.FINISHED, (R.EXPIRED,))
        for state in (X.QUEUED, X.DELAYED, X.RUN_CREATED)
    },
    **{
        (state, Transition.REQUEST_CANCEL): (X.PENDING_CANCEL, (R.CANCELED,))
        for state in (X.PENDING_EXECUTING, X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS, X.QUEUED_EXECUTING)
    },
    **{
        (state, Transition.CANCEL): (X.FINISHED, (R.CANCELED,))
        for state in (X.PENDING_CANCEL, X.RUN_CREATED, X.DELAYED, X.QUEUED, X.SUSPENDED)
    },
}


class IllegalTransition(Exception):
    """The table has no such move: a defect of the caller, never an answer to a request."""


def is_legal(state: X | None, transition: Transition) -> bool:
    return (state, transition) in TRANSITIONS


def target(state: X | None, transition: Transition, outcome: R | None = None) -> tuple[X, R]:
    """Return where the transition leads; `outcome` chooses the run status where there is a choice.

    Raises IllegalTransition when the table does not have it.
    """
    found = TRANSITIONS.get((state, transition))
    if found is None:
        raise IllegalTransition(f"{state} cannot {transition}")
    execution_status, allowed = found
    status = outcome or allowed[0]
    if status not in allowed:
        raise IllegalTransition(f"{transition} cannot end as {status}")
    return execution_status, status


def begin(tx: Tx, run: RunRow, data: RunData, transition: Transition, description: str) -> RunRow:
    """Write a new run with its first snapshot."""
    execution_status, status = target(None, transition)
    created = run._replace(status=status.value, execution_status=execution_status.value, snapshot_seq=1)
    runs.insert_run(tx, created, data)
    _record(tx, created, transition, description, {})
    return created


def begin_failed(tx: Tx, run: RunRow, data: RunData) -> RunRow:
    """Write a run that is over before it could begin: no snapshot tells of a life it never had (TR-26)."""
    ended = run._replace(
        status=R.SYSTEM_FAILURE.value,
        execution_status=X.FINISHED.value,
        is_failed=1,
        completed_at=tx.now,
    )
    runs.insert_run(tx, ended, data)
    tx.emit(_announcement(ended, Transition.FAIL, None, freed=False, at=tx.now))
    return ended


def move(
    tx: Tx,
    run: RunRow,
    transition: Transition,
    *,
    description: str,
    outcome: R | None = None,
    changes: Mapping[str, Any] = {},
    snapshot: Mapping[str, Any] = {},
) -> RunRow:
    """Move a run and write its next snapshot.

    `changes` are further columns of the run, `snapshot` further columns of the snapshot: error, retry_at,
    completed, batch_id.
    Raises StaleSnapshot when the run has moved since the caller read it, having changed nothing.
    """
    execution_status, status = target(X(run.execution_status), transition, outcome)
    columns = dict(changes)
    columns["status"] = status.value
    columns["execution_status"] = execution_status.value
    columns["snapshot_seq"] = run.snapshot_seq + 1
    columns["updated_at"] = tx.now
    holds = int(execution_status in HOLDS_SLOT)
    if holds != run.holds_slot:
        columns["holds_slot"] = holds
    if not runs.update_run(tx, run, columns):
        raise StaleSnapshot(run.id)
    known = {name: value for name, value in columns.items() if name in _STATE_COLUMNS}
    moved = run._replace(**known)
    _record(tx, moved, transition, description, snapshot, freed=bool(run.holds_slot) and not holds, owner=run)
    return moved


def _record(
    tx: Tx,
    run: RunRow,
    transition: Transition,
    description: str,
    snapshot: Mapping[str, Any],
    *,
    freed: bool = False,
    owner: RunRow | None = None,
) -> None:
    """Write the snapshot of a move and announce it."""
    worker_id = run.worker_id or (owner.worker_id if owner else None)
    row = SnapshotRow(
        run_id=run.id,
        seq=run.snapshot_seq,
        execution_status=run.execution_status,
        run_status=run.status,
        description=description,
        attempt=run.attempt,
        is_valid=1,
        error=snapshot.get("error"),
        worker_id=worker_id,
        retry_at=snapshot.get("retry_at"),
        created_at=tx.now,
        completed=snapshot.get("completed"),
        batch_id=snapshot.get("batch_id"),
    )
    runs.insert_snapshot(tx, row)
    tx.emit(_announcement(run, transition, worker_id, freed=freed, at=tx.now))


def _announcement(
    run: RunRow, transition: Transition, worker_id: str | None, *, freed: bool, at: int
) -> RunMoved:
    return RunMoved(
        environment_id=run.environment_id,
        run_id=run.id,
        task_id=run.task_id,
        transition=transition.value,
        execution_status=X(run.execution_status),
        status=R(run.status),
        snapshot_seq=run.snapshot_seq,
        attempt=run.attempt,
        worker_id=worker_id,
        freed_slot=freed,
        timer_at=run.delay_until if run.execution_status == X.DELAYED else run.ttl_at,
        at=at,
    )
