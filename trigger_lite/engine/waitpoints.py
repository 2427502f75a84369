"""What runs wait for (engine-behaviours 6): a run goes on, once, when all it waits for is complete.

Blocking, completing and going on are parts of one transaction each, so no wake-up is lost and none comes
twice (WP-04). While it waits a run holds no slot; to go on it takes one again, before any new run (Q-22).
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import orjson

from trigger_lite.engine import lifecycle, slots, starts
from trigger_lite.engine.events import WaitPlanned
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.protocol.errors import Unprocessable
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus
from trigger_lite.protocol.waitpoints import TIMEOUT_CODE, WaitpointKind
from trigger_lite.store import runs, waitpoints
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Reader, Tx
from trigger_lite.store.waitpoints import EdgeRow, WaitpointRow

COMPLETED: Final = "COMPLETED"
PENDING: Final = "PENDING"
NOT_IN_A_BATCH: Final = -1


class Edge(msgspec.Struct, frozen=True):
    """Something to wait for; in a batch, as the result of its item `batch_index`."""

    waitpoint_id: str
    batch_id: str | None = None
    batch_index: int | None = None


class KeyLife(msgspec.Struct, frozen=True):
    """An idempotency key and until when it counts (Unix ms)."""

    key: str
    expires_at: int


# ---- made -------------------------------------------------------------------------------------------


def new_waitpoint(
    tx: Tx,
    environment_id: str,
    kind: WaitpointKind,
    *,
    due_at: int | None = None,
    key: KeyLife | None = None,
    tags: Sequence[str] = (),
) -> tuple[WaitpointRow, bool]:
    """Make a date or a token, or find the one that has the key; tell whether it was found (WP-13, WP-14).

    A date that is past is complete at once (WP-10).
    """
    if key is not None:
        known = waitpoints.find_by_key(tx, environment_id, key.key)
        if known is not None and not _lapsed(known, tx.now):
            return known, True
        if known is not None:
            waitpoints.release_key(tx, known.id)
    is_past = kind is WaitpointKind.DATETIME and due_at is not None and due_at <= tx.now
    row = WaitpointRow(
        id=tx.new_id("waitpoint"),
        environment_id=environment_id,
        kind=kind.value,
        status=COMPLETED if is_past else PENDING,
        idempotency_key=key.key if key else None,
        idempotency_expires_at=key.expires_at if key else None,
        due_at=due_at,
        tags=orjson.dumps(tags).decode(),
        created_at=tx.now,
        completed_at=tx.now if is_past else None,
    )
    waitpoints.insert_waitpoint(tx, row)
    if due_at is not None and not is_past:
        tx.emit(WaitPlanned(environment_id, due_at))
    return row, False


def _lapsed(waitpoint: WaitpointRow, now: int) -> bool:
    return waitpoint.idempotency_expires_at is not None and waitpoint.idempotency_expires_at <= now


def waitpoint_of_run(tx: Tx, run: RunRow) -> WaitpointRow:
    """Return what the end of a run completes; made when first asked for, complete if it is over (WP-15)."""
    known = waitpoints.find_of_run(tx, run.id)
    if known is not None:
        return known
    is_over = run.execution_status == X.FINISHED
    row = WaitpointRow(
        id=tx.new_id("waitpoint"),
        environment_id=run.environment_id,
        kind=WaitpointKind.RUN,
        status=COMPLETED if is_over else PENDING,
        completes_run=run.id,
        is_error=int(is_over and run.status != RunStatus.COMPLETED_SUCCESSFULLY),
        created_at=tx.now,
        completed_at=run.completed_at if is_over else None,
    )
    waitpoints.insert_waitpoint(tx, row)
    if not is_over:
        runs.update_run(tx, run, {"is_awaited": 1})
    return row


def waitpoint_of_batch(tx: Tx, environment_id: str, batch_id: str) -> WaitpointRow:
    """Return what the end of a batch completes; made when first asked for."""
    known = waitpoints.find_of_batch(tx, batch_id)
    if known is not None:
        return known
    row = WaitpointRow(
        id=tx.new_id("waitpoint"),
        environment_id=environment_id,
        kind=WaitpointKind.BATCH,
        status=PENDING,
        completes_batch=batch_id,
        created_at=tx.now,
    )
    waitpoints.insert_waitpoint(tx, row)
    return row


# ---- completed --------------------------------------------------------------------------------------


def complete(
    tx: Tx,
    waitpoint_id: str,
    *,
    output: str | None = None,
    output_type: str | None = None,
    is_error: bool = False,
) -> bool:
    """Complete a waitpoint, and let go on who waited for it alone; the first completion wins (WP-02, WP-03).

    Returns whether this was the first.
    """
    changed = waitpoints.complete_waitpoint(
        tx, waitpoint_id, output=output, output_type=output_type, is_error=is_error
    )
    if changed:
        for run_id in waitpoints.list_waiting_runs(tx, waitpoint_id):
            continue_run(tx, run_id)
    return changed


def run_ended(tx: Tx, run: RunRow) -> None:
    """Complete what waits for the end of this run (WP-16); its result is read from the run."""
    waitpoint = waitpoints.find_of_run(tx, run.id)
    if waitpoint is not None:
        complete(tx, waitpoint.id, is_error=run.status != RunStatus.COMPLETED_SUCCESSFULLY)


def complete_due(tx: Tx, count: int) -> int:
    """Complete up to `count` dates that came, and time out tokens (WP-10, WP-12); returns how many."""
    due = waitpoints.list_due(tx, count=count)
    for waitpoint in due:
        if waitpoint.kind == WaitpointKind.DATETIME:
            complete(tx, waitpoint.id)
        else:
            error = {"code": TIMEOUT_CODE, "message": "Nobody completed the token within its timeout"}
            text = orjson.dumps(error).decode()
            complete(tx, waitpoint.id, output=text, output_type="application/json", is_error=True)
    return len(due)


# ---- waited for -------------------------------------------------------------------------------------


def block(tx: Tx, run: RunRow, edges: Sequence[Edge]) -> None:
    """Let an executing run wait for all of these, besides what it waits for already (WP-07).

    It goes on at once when all are complete (WP-04). Code that waits has begun, also when the worker's report
    of that is still on its way. Raises Unprocessable when the run is in no state to wait.
    """
    if starts.is_to_begin(tx, run):
        run = starts.begin_attempt(tx, run)
    is_waiting = run.execution_status == X.EXECUTING_WITH_WAITPOINTS
    if run.execution_status == X.QUEUED_EXECUTING and _waited_for(tx, run, edges):
        return  # asked again for want of an answer: the wait is over, and a slot is on its way
    if not is_waiting and run.execution_status != X.EXECUTING:
        raise Unprocessable(f"{run.id} is {run.execution_status}; only a run that executes can wait")
    for edge in edges:
        index = NOT_IN_A_BATCH if edge.batch_index is None else edge.batch_index
        waitpoints.insert_edge(tx, EdgeRow(run.id, edge.waitpoint_id, index, edge.batch_id))
    if not is_waiting:
        lifecycle.move(
            tx,
            run,
            Transition.BLOCK,
            description="Waits; its slot is free meanwhile",
            snapshot={"batch_id": next((edge.batch_id for edge in edges if edge.batch_id), None)},
        )
        slots.release(tx, run)
    continue_run(tx, run.id)


def _waited_for(tx: Reader, run: RunRow, edges: Sequence[Edge]) -> bool:
    """Tell whether all of these ended the wait that the newest snapshot ends."""
    [newest] = runs.list_snapshots(tx, run.id, after=run.snapshot_seq - 1)
    ended = {waitpoint_id for waitpoint_id, _ in orjson.loads(newest.completed or "[]")}
    return all(edge.waitpoint_id in ended for edge in edges)


def continue_run(tx: Tx, run_id: str) -> None:
    """Let a waiting run go on if nothing it waits for is missing; one in another state stays (WP-08).

    What it waited for is told in the order of its batch (ST-13), and forgotten as something to wait for.
    """
    run = runs.find_run(tx, run_id)
    if run is None or run.execution_status != X.EXECUTING_WITH_WAITPOINTS:
        return
    if waitpoints.has_pending(tx, run_id):
        return
    edges = waitpoints.list_edges(tx, run_id)
    waitpoints.delete_edges(tx, run_id)
    ended = [[e.waitpoint_id, None if e.batch_index == NOT_IN_A_BATCH else e.batch_index] for e in edges]
    told = {
        "completed": orjson.dumps(ended).decode(),
        "batch_id": next((edge.batch_id for edge in edges if edge.batch_id), None),
    }
    # Whatever the run was last queued for, it stands where it first stood in line.
    score = run.queue_time - run.priority_ms
    lane_id = slots.retake(tx, run)
    if lane_id is not None:
        changes = {"lane_id": lane_id, "score": score}
        lifecycle.move(
            tx, run, Transition.UNBLOCK, description="Wait over: goes on", changes=changes, snapshot=told
        )
    else:
        lifecycle.move(
            tx,
            run,
            Transition.UNBLOCK_WITHOUT_SLOT,
            description="Wait over: goes on when a slot is free",
            changes={"score": score},
            snapshot=told,
        )


def drop_edges(tx: Tx, run: RunRow) -> None:
    """Forget what a run waits for that stops waiting without going on (AT-19)."""
    if run.execution_status in (X.EXECUTING_WITH_WAITPOINTS, X.PENDING_CANCEL):
        waitpoints.delete_edges(tx, run.id)


# ---- slots for those whose wait is over -----------------------------------------------------------------


def give_slots(tx: Tx, environment_id: str, free: int) -> int:
    """Give `free` slots to runs whose wait is over, first in line first; returns how many went on (Q-24).

    A pause does not hold them: they are running runs (Q-33).
    """
    resumed = 0
    while resumed < free and (found := runs.list_resuming(tx, environment_id, count=free - resumed)):
        went_on = sum(_find_slot(tx, run) for run in found)
        resumed += went_on
        if went_on == 0:
            break
    return resumed


def _find_slot(tx: Tx, run: RunRow) -> bool:
    lane_id = slots.retake(tx, run)
    if lane_id is None:
        return False
    [waited] = runs.list_snapshots(tx, run.id, after=run.snapshot_seq - 1)
    lifecycle.move(
        tx,
        run,
        Transition.SLOT_FOUND,
        description="A slot is free: goes on",
        changes={"lane_id": lane_id},
        snapshot={"completed": waited.completed, "batch_id": waited.batch_id},
    )
    return True
