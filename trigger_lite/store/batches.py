"""Batches and their items."""

from collections import Counter
from typing import NamedTuple

from trigger_lite.protocol.batches import BatchStatus
from trigger_lite.store.query import Insert, Query, Statement
from trigger_lite.store.transaction import Reader, Tx


class BatchRow(NamedTuple):
    """A batch. Times in Unix ms; of `run_count` items `received` came, of which `failed` became no run."""

    id: str
    environment_id: str
    status: str
    run_count: int
    received: int
    failed: int
    finished: int
    is_sealed: int
    parent_id: str | None
    resume_parent: int
    idempotency_key: str | None
    idempotency_expires_at: int | None
    seal_by: int
    created_at: int
    updated_at: int
    processing_completed_at: int | None = None
    completed_at: int | None = None


class ItemRow(NamedTuple):
    """One item that came. `is_done`: its run is over, or it never became one."""

    batch_id: str
    idx: int
    task_id: str
    run_id: str | None
    is_done: int
    error_code: str | None = None
    error: str | None = None


class ItemRunRow(NamedTuple):
    """An item with the run that answers it, and what the end of that run completes.

    `is_cached`: an idempotency key led to an earlier run.
    """

    idx: int
    run_id: str
    is_cached: int
    status: str
    completed_at: int | None
    waitpoint_id: str | None


_BATCH = f"SELECT {', '.join(BatchRow._fields)} FROM batch"
_FIND = Query(_BATCH + " WHERE id = :id", BatchRow)
_FIND_IN = Query(_BATCH + " WHERE id = :id AND environment_id = :environment_id", BatchRow)
_BY_KEY = Query(_BATCH + " WHERE environment_id = :environment_id AND idempotency_key = :key", BatchRow)
_UNSEALED = Query(
    _BATCH
    + """ WHERE is_sealed = 0 AND completed_at IS NULL AND seal_by <= :now
          ORDER BY seal_by LIMIT :count""",
    BatchRow,
)
_NEXT_SEAL_BY = Query(
    "SELECT min(seal_by) FROM batch WHERE is_sealed = 0 AND completed_at IS NULL", lambda at: at
)
_INSERT = Insert("batch", BatchRow._fields)
_RELEASE_KEY = Statement(
    "UPDATE batch SET idempotency_key = NULL, idempotency_expires_at = NULL WHERE id = :id"
)
_SET_PARENT = Statement("UPDATE batch SET parent_id = :parent_id, resume_parent = 1 WHERE id = :id")
_COUNT_ITEM = Statement(
    """UPDATE batch SET received = received + 1, failed = failed + :failed, finished = finished + :finished,
          updated_at = :now WHERE id = :id"""
)
_COUNT_FINISHED = Query(
    f"""UPDATE batch SET finished = finished + :count, updated_at = :now WHERE id = :id
        RETURNING {", ".join(BatchRow._fields)}""",
    BatchRow,
)
_SEAL = Query(
    f"""UPDATE batch SET is_sealed = 1, status = :status, processing_completed_at = :now, updated_at = :now
        WHERE id = :id AND is_sealed = 0 RETURNING {", ".join(BatchRow._fields)}""",
    BatchRow,
)
_CLOSE = Query(
    f"""UPDATE batch SET status = :status, completed_at = :now, updated_at = :now
        WHERE id = :id AND completed_at IS NULL RETURNING {", ".join(BatchRow._fields)}""",
    BatchRow,
)

_ITEM = f"SELECT {', '.join(ItemRow._fields)} FROM batch_item"
_INSERT_ITEM = Insert("batch_item", ItemRow._fields)
_HAS_ITEM = Query("SELECT idx FROM batch_item WHERE batch_id = :batch_id AND idx = :idx", int)
_FAILED_ITEMS = Query(_ITEM + " WHERE batch_id = :batch_id AND error_code IS NOT NULL ORDER BY idx", ItemRow)
_ITEMS = Query(_ITEM + " WHERE batch_id = :batch_id AND idx >= :start ORDER BY idx LIMIT :count", ItemRow)
_SET_ITEM_RUN = Statement("UPDATE batch_item SET run_id = :run_id WHERE batch_id = :batch_id AND idx = :idx")
_ITEM_RUNS = Query(
    """SELECT i.idx, i.run_id, CASE WHEN r.batch_id = i.batch_id AND r.batch_index = i.idx THEN 0 ELSE 1 END,
              r.status, r.completed_at, w.id
         FROM batch_item i JOIN run r ON r.id = i.run_id
         LEFT JOIN waitpoint w ON w.completes_run = i.run_id
        WHERE i.batch_id = :batch_id ORDER BY i.idx""",
    ItemRunRow,
)
_END_ITEMS = Query(
    "UPDATE batch_item SET is_done = 1 WHERE run_id = :run_id AND is_done = 0 RETURNING batch_id", str
)


def insert_batch(tx: Tx, batch: BatchRow) -> None:
    tx.insert(_INSERT, batch)


def find_batch(tx: Reader, batch_id: str) -> BatchRow | None:
    return tx.first(_FIND, id=batch_id)


def find_batch_in(tx: Reader, environment_id: str, batch_id: str) -> BatchRow | None:
    """The batch, if it is one of this environment."""
    return tx.first(_FIND_IN, environment_id=environment_id, id=batch_id)


def find_by_key(tx: Reader, environment_id: str, key: str) -> BatchRow | None:
    return tx.first(_BY_KEY, environment_id=environment_id, key=key)


def release_key(tx: Tx, batch_id: str) -> None:
    """Take the idempotency key off a batch, so that a new one may have it."""
    tx.run(_RELEASE_KEY, id=batch_id)


def update_parent(tx: Tx, batch_id: str, parent_id: str) -> None:
    """Make a run the parent that waits for the batch, and of the runs that are still to come."""
    tx.run(_SET_PARENT, id=batch_id, parent_id=parent_id)


def list_unsealed(tx: Reader, *, count: int) -> list[BatchRow]:
    """Batches whose items did not all come in time."""
    return tx.all(_UNSEALED, now=tx.now, count=count)


def find_next_seal_by(tx: Reader) -> int | None:
    return tx.first(_NEXT_SEAL_BY)


def seal_batch(tx: Tx, batch_id: str, status: BatchStatus) -> BatchRow | None:
    """Note that all items came; returns the batch as it is then, or None when it was sealed already."""
    return tx.first(_SEAL, id=batch_id, status=status.value, now=tx.now)


def close_batch(tx: Tx, batch_id: str, status: BatchStatus) -> BatchRow | None:
    """End a batch; returns it as it is then, or None when it had ended already."""
    return tx.first(_CLOSE, id=batch_id, status=status.value, now=tx.now)


# ---- items ----------------------------------------------------------------------------------------


def has_item(tx: Reader, batch_id: str, index: int) -> bool:
    return tx.first(_HAS_ITEM, batch_id=batch_id, idx=index) is not None


def insert_item(tx: Tx, item: ItemRow) -> None:
    """Add an item and count it: one with an error code as failed, else one that is done as finished."""
    tx.insert(_INSERT_ITEM, item)
    failed = int(item.error_code is not None)
    finished = int(bool(item.is_done) and not failed)
    tx.run(_COUNT_ITEM, id=item.batch_id, failed=failed, finished=finished, now=tx.now)


def update_item_run(tx: Tx, batch_id: str, index: int, run_id: str) -> None:
    """Let another run answer an item that is done."""
    tx.run(_SET_ITEM_RUN, batch_id=batch_id, idx=index, run_id=run_id)


def end_items(tx: Tx, run_id: str) -> list[BatchRow]:
    """Note that a run is over in every item that waits for it; returns their batches as they are then."""
    counted = Counter(tx.all(_END_ITEMS, run_id=run_id))
    found = [tx.first(_COUNT_FINISHED, id=id_, count=count, now=tx.now) for id_, count in counted.items()]
    return [batch for batch in found if batch is not None]


def list_failed_items(tx: Reader, batch_id: str) -> list[ItemRow]:
    """The items that did not become runs, in their order."""
    return tx.all(_FAILED_ITEMS, batch_id=batch_id)


def list_items(tx: Reader, batch_id: str, *, start: int, count: int) -> list[ItemRow]:
    """Up to `count` items from this index on."""
    return tx.all(_ITEMS, batch_id=batch_id, start=start, count=count)


def list_item_runs(tx: Reader, batch_id: str) -> list[ItemRunRow]:
    """The items that a run answers, in their order."""
    return tx.all(_ITEM_RUNS, batch_id=batch_id)
