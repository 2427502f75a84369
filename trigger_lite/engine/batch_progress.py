"""How far a batch is: it is complete when every item has come and every run is over (BA-15)."""

from trigger_lite.engine import waitpoints
from trigger_lite.engine.failed_runs import create_failed_run, failure_error
from trigger_lite.engine.run_json import encode_error
from trigger_lite.protocol.batches import BatchStatus
from trigger_lite.protocol.run_errors import RunError
from trigger_lite.protocol.statuses import RunStatus
from trigger_lite.protocol.waitpoints import WaitpointKind
from trigger_lite.store import batches, runs
from trigger_lite.store import waitpoints as waitpoint_rows
from trigger_lite.store.batches import BatchRow, ItemRunRow
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx
from trigger_lite.store.waitpoints import EdgeRow, WaitpointRow


def item_ended(tx: Tx, run: RunRow) -> None:
    """Take note of the end of a run in every batch that waits for it.

    A run that two items of a batch led to counts for both (ST-13).
    """
    for batch in batches.end_items(tx, run.id):
        complete_if_over(tx, batch)


def complete_if_over(tx: Tx, batch: BatchRow) -> None:
    """Complete a batch when nothing of it is missing; doing so again changes nothing (BA-15).

    One of which no item became a run stays ABORTED, and is complete all the same (BA-19).
    """
    if not batch.is_sealed or batch.failed + batch.finished < batch.run_count:
        return
    all_failed = batch.failed == batch.run_count
    closed = batches.close_batch(tx, batch.id, BatchStatus.ABORTED if all_failed else BatchStatus.COMPLETED)
    if closed is not None:
        resume_waiting(tx, closed)


def resume_waiting(tx: Tx, batch: BatchRow, *, error: RunError | None = None) -> None:
    """Let go on who waits for a batch that ended, told of the run of every item (BA-16), or of an error.

    The waitpoints of the runs are made only here: until then the one of the batch holds the parent, and the
    end of each run need not look for it.
    """
    waitpoint = waitpoint_rows.find_of_batch(tx, batch.id)
    if waitpoint is None:
        return
    if error is not None:
        text = encode_error(error)
        waitpoints.complete(tx, waitpoint.id, output=text, output_type="application/json", is_error=True)
        return
    waiting = waitpoint_rows.list_waiting_runs(tx, waitpoint.id)
    if waiting:
        results = results_of(tx, batch, waiting[0])
        edges = [EdgeRow(run_id, known, index, batch.id) for run_id in waiting for index, known in results]
        waitpoint_rows.insert_edges(tx, edges)
    waitpoints.complete(tx, waitpoint.id)


def results_of(tx: Tx, batch: BatchRow, waiting_id: str) -> list[tuple[int, str]]:
    """Return each item's index with the waitpoint of its run, made where nobody asked for it before.

    An index without a run, for nobody waited when its item failed, has a failed one from now on, as a child
    of the run that waits: whoever waits is told of every index (BA-13).
    """
    items = batches.list_item_runs(tx, batch.id)
    if len(items) < batch.run_count:
        _stand_in(tx, batch, {item.idx for item in items}, waiting_id)
        items = batches.list_item_runs(tx, batch.id)
    known = {item.run_id: item.waitpoint_id for item in items if item.waitpoint_id is not None}
    made: list[WaitpointRow] = []
    for item in items:
        if item.run_id not in known:
            made.append(_ended_waitpoint(tx, batch, item))
            known[item.run_id] = made[-1].id
    waitpoint_rows.insert_waitpoints(tx, made)
    return [(item.idx, known[item.run_id]) for item in items]


def _stand_in(tx: Tx, batch: BatchRow, known: set[int], waiting_id: str) -> None:
    """Make a failed run for each item that has none, or whose run was removed because of its age."""
    waiting = runs.find_run(tx, waiting_id)
    assert waiting is not None  # a run that waits is there
    for item in batches.list_items(tx, batch.id, start=0, count=batch.run_count):
        if item.idx not in known:
            error = failure_error(item.error_code, item.error or "Its run is no longer kept")
            made = create_failed_run(
                tx, waiting, item.task_id, error, batch_id=batch.id, batch_index=item.idx
            )
            batches.update_item_run(tx, batch.id, item.idx, made.id)


def _ended_waitpoint(tx: Tx, batch: BatchRow, item: ItemRunRow) -> WaitpointRow:
    return WaitpointRow(
        id=tx.new_id("waitpoint"),
        environment_id=batch.environment_id,
        kind=WaitpointKind.RUN,
        status=waitpoints.COMPLETED,
        completes_run=item.run_id,
        is_error=int(item.status != RunStatus.COMPLETED_SUCCESSFULLY),
        created_at=tx.now,
        completed_at=item.completed_at,
    )
