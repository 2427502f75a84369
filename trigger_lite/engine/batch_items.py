"""The items of a batch: each becomes a run, or an error of its own (BA-02, BA-13). Known by their index."""

import msgspec

from trigger_lite.engine.failed_runs import create_failed_run, failure_error
from trigger_lite.engine.requests import RunRequest
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.protocol.errors import BatchRefused
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.store import batches, runs
from trigger_lite.store.batches import BatchRow, ItemRow
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.transaction import Reader, Tx


class ItemFailure(msgspec.Struct, frozen=True):
    """Why an item becomes no run."""

    task_id: str
    code: str
    message: str


def open_batch(tx: Reader, environment_id: str, batch_id: str) -> BatchRow:
    """Return a batch for its items. Raises BatchRefused when there is none, or it was aborted (BA-03, BA-04).

    One that is sealed is returned too: its items came already.
    """
    batch = batches.find_batch_in(tx, environment_id, batch_id)
    if batch is None:
        raise BatchRefused(f"There is no batch {batch_id!r} in this environment")
    if batch.completed_at is not None and not batch.is_sealed:
        raise BatchRefused(f"The batch {batch_id} was aborted: not all of its items came in time")
    return batch


def add_item(tx: Tx, environment: EnvironmentRow, batch_id: str, index: int, request: RunRequest) -> bool:
    """Make an item's run, or find the one that its key has; tell whether the item is new (BA-02, BA-04).

    Raises BatchRefused, or what `trigger_run` raises: then `fail_item` records the item.
    """
    batch = _missing(tx, environment, batch_id, index)
    if batch is None:
        return False
    wanted = msgspec.structs.replace(
        request,
        parent_id=batch.parent_id,
        resume_parent=bool(batch.resume_parent),
        batch_id=batch.id,
        batch_index=index,
    )
    run = runs.find_run(tx, trigger_run(tx, environment, wanted).run_id)
    assert run is not None  # made or found in this transaction
    is_done = run.execution_status == X.FINISHED
    if not is_done and not run.is_awaited:
        runs.update_run(tx, run, {"is_awaited": 1})
    batches.insert_item(tx, ItemRow(batch.id, index, request.task_id, run.id, int(is_done)))
    return True


def fail_item(tx: Tx, environment: EnvironmentRow, batch_id: str, index: int, failure: ItemFailure) -> bool:
    """Record an item that becomes no run; tell whether the item is new (BA-13).

    For a parent that waits, a run that has failed already stands in. Raises BatchRefused.
    """
    batch = _missing(tx, environment, batch_id, index)
    if batch is None:
        return False
    parent = runs.find_run(tx, batch.parent_id) if batch.resume_parent and batch.parent_id else None
    run_id = None
    if parent is not None:
        error = failure_error(failure.code, failure.message)
        run_id = create_failed_run(
            tx, parent, failure.task_id, error, batch_id=batch.id, batch_index=index
        ).id
    item = ItemRow(batch.id, index, failure.task_id, run_id, 1, failure.code, failure.message)
    batches.insert_item(tx, item)
    return True


def _missing(tx: Tx, environment: EnvironmentRow, batch_id: str, index: int) -> BatchRow | None:
    """Return the batch if this item of it has not come yet."""
    batch = open_batch(tx, environment.id, batch_id)
    if batch.is_sealed or batches.has_item(tx, batch_id, index):
        return None
    check_index(batch, index)
    return batch


def check_index(batch: BatchRow, index: int) -> None:
    """Raise BatchRefused for an item beyond those that were announced (BA-06)."""
    if index >= batch.run_count:
        raise BatchRefused(f"The batch {batch.id} has {batch.run_count} items; there is no index {index}")
