"""What a worker is told of a run that waits or waited: read anew each time, so that nothing can be missed."""

from typing import Any, Final

import msgspec

from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus, api_status
from trigger_lite.protocol.times import iso
from trigger_lite.protocol.waitpoints import CompletedByRun, CompletedWaitpoint, Named, WaitpointKind
from trigger_lite.protocol.worker import Moved
from trigger_lite.store import runs, waitpoints
from trigger_lite.store.runs import SnapshotRow
from trigger_lite.store.transaction import Reader
from trigger_lite.store.waitpoints import EndedRow

_STEPS_OF_A_WAIT: Final = frozenset({X.EXECUTING_WITH_WAITPOINTS, X.QUEUED_EXECUTING, X.EXECUTING})
MESSAGE_CHARACTERS: Final = 4_194_304
"""Outputs in one message: with these, one output more, and what JSON adds to both, no frame is full."""
_ended_decoder: Final = msgspec.json.Decoder(list[tuple[str, int | None]])


def read_wait_state(
    tx: Reader, environment_id: str, worker_id: str, run_id: str, told: int = 0
) -> Moved | None:
    """Return where a worker's run stands because of a wait, or None when no wait moved it last.

    Only the newest snapshot tells what was waited for: outputs can be large (ST-10). What follows the first
    `told` things that were waited for is told, as far as it goes into one message (ST-12).
    """
    run = runs.find_run_in(tx, environment_id, run_id)
    if run is None or run.worker_id != worker_id or run.execution_status not in _STEPS_OF_A_WAIT:
        return None
    [newest] = runs.list_snapshots(tx, run_id, after=run.snapshot_seq - 1)
    status = X(run.execution_status)
    if status is X.EXECUTING and newest.completed is None:
        return None
    ended, more = completed_waitpoints(tx, newest, told) if status is X.EXECUTING else ([], False)
    return Moved(run_id, snapshot_id(run_id, run.snapshot_seq), status, ended, more)


def completed_waitpoints(
    tx: Reader, snapshot: SnapshotRow, told: int
) -> tuple[list[CompletedWaitpoint], bool]:
    """Return what ended the wait that a snapshot ends, in the order of its batch (ST-12, ST-13).

    All after the first `told`, until their outputs fill a message; and whether there are more.
    """
    named = [] if snapshot.completed is None else _ended_decoder.decode(snapshot.completed)
    ids = list(dict.fromkeys(waitpoint_id for waitpoint_id, _ in named))
    known = {row.waitpoint.id: row for row in waitpoints.list_ended(tx, ids)}
    named = [(waitpoint_id, index) for waitpoint_id, index in named if waitpoint_id in known]
    found: list[CompletedWaitpoint] = []
    size = 0
    for waitpoint_id, index in named[told:]:
        found.append(_completed(tx, known[waitpoint_id], index, snapshot.batch_id))
        size += len(found[-1].output or "")
        if size >= MESSAGE_CHARACTERS:
            break
    return found, told + len(found) < len(named)


def _completed(tx: Reader, row: EndedRow, index: int | None, batch_id: str | None) -> CompletedWaitpoint:
    waitpoint = row.waitpoint
    output, output_type = _result(tx, row)
    return CompletedWaitpoint(
        id=waitpoint.id,
        friendly_id=waitpoint.id,
        type=WaitpointKind(waitpoint.kind),
        completed_at=iso(waitpoint.completed_at or waitpoint.created_at),
        output_is_error=bool(waitpoint.is_error),
        index=index,
        idempotency_key=waitpoint.idempotency_key,
        completed_by_task_run=_by_run(row, None if index is None else batch_id),
        completed_after=None if waitpoint.due_at is None else iso(waitpoint.due_at),
        completed_by_batch=_named(waitpoint.completes_batch),
        output=output,
        output_type=output_type,
    )


def _result(tx: Reader, row: EndedRow) -> tuple[str | None, str | None]:
    """Return output and type: a token's own, of a run its output or its error."""
    waitpoint = row.waitpoint
    if waitpoint.completes_run is None:
        return row.output, waitpoint.output_type
    if waitpoint.is_error:
        return row.run_error, "application/json"
    output: Any = row.run_output
    if output == "":
        output = runs.get_data(tx, waitpoint.completes_run).output
    return output, row.run_output_type


def _by_run(row: EndedRow, batch_id: str | None) -> CompletedByRun | None:
    run_id = row.waitpoint.completes_run
    if run_id is None:
        return None
    status = None if row.run_status is None else api_status(RunStatus(row.run_status))
    return CompletedByRun(run_id, run_id, _named(batch_id), status=status)


def _named(identity: str | None) -> Named | None:
    return None if identity is None else Named(identity, identity)
