"""What is old, and removing it. Looking is for readers; removing checks again what matters."""

from collections.abc import Sequence
from typing import NamedTuple

from trigger_lite.store.query import Query, Statement
from trigger_lite.store.transaction import Reader, Tx


class OldRun(NamedTuple):
    """A run as retention sees it; flags are 0 or 1, times Unix ms.

    `is_needed` while it is not over, somebody waits for it or its result, or its family is not over, or a key
    of its batch answers; `has_live_key` while an idempotency key of it answers triggers.
    """

    id: str
    completed_at: int | None
    is_failed: int
    has_data: int
    has_live_key: int
    is_needed: int


class Removed(NamedTuple):
    """What was known of a run that was removed."""

    id: str
    environment_id: str
    tags: str
    created_at: int


class OldThing(NamedTuple):
    """A batch, a waitpoint or a bulk action; `is_needed` while it is not over or something hangs on it."""

    id: str
    completed_at: int | None
    is_needed: int


# A key of a run that failed is free already (ID-04).
_LIVE_KEY = """(run.idempotency_key IS NOT NULL AND run.idempotency_expires_at > :now
    AND run.status IN ('COMPLETED_SUCCESSFULLY', 'CANCELED'))"""
_AWAITED = """EXISTS (SELECT 1 FROM waitpoint JOIN run_waitpoint ON run_waitpoint.waitpoint_id = waitpoint.id
    WHERE waitpoint.completes_run = run.id)"""
# An idempotency key may have led an item to a run that was there before its batch.
_OF_OPEN_BATCHES = """(SELECT batch_item.run_id FROM batch AS open
    JOIN batch_item ON batch_item.batch_id = open.id
    WHERE open.completed_at IS NULL AND batch_item.run_id IS NOT NULL)"""
_OLD_RUNS = Query(
    f"""SELECT run.id, run.completed_at, run.is_failed,
           CASE WHEN run.pruned_at IS NULL AND coalesce(run.payload, run.output, run.metadata,
             run.seed_metadata) IS NOT NULL THEN 1 ELSE 0 END,
           CASE WHEN {_LIVE_KEY} THEN 1 ELSE 0 END,
           CASE WHEN run.completed_at IS NULL
               OR (root.id IS NOT NULL AND root.completed_at IS NULL)
               OR (parent.id IS NOT NULL AND parent.completed_at IS NULL)
               OR (batch.completed_at IS NULL AND batch.status <> 'ABORTED')
               OR (batch.idempotency_key IS NOT NULL AND batch.idempotency_expires_at > :now)
               OR run.id IN {_OF_OPEN_BATCHES}
               OR EXISTS (SELECT 1 FROM run AS child
                           WHERE child.parent_id = run.id AND child.completed_at IS NULL)
               OR EXISTS (SELECT 1 FROM bulk_item
                           WHERE bulk_item.run_id = run.id AND bulk_item.status = 'PENDING')
               OR {_AWAITED} THEN 1 ELSE 0 END
         FROM run LEFT JOIN run AS root ON root.id = run.root_id
           LEFT JOIN run AS parent ON parent.id = run.parent_id
           LEFT JOIN batch ON batch.id = run.batch_id
        WHERE run.id > :after AND run.id < :until ORDER BY run.id LIMIT :count""",
    OldRun,
)
_OLD_BATCHES = Query(
    """SELECT batch.id, coalesce(batch.completed_at, batch.updated_at),
           CASE WHEN (batch.completed_at IS NULL AND batch.status <> 'ABORTED')
               OR EXISTS (SELECT 1 FROM run WHERE run.batch_id = batch.id)
               OR EXISTS (SELECT 1 FROM run AS parent
                           WHERE parent.id = batch.parent_id AND parent.completed_at IS NULL)
               OR (batch.idempotency_key IS NOT NULL AND batch.idempotency_expires_at > :now)
             THEN 1 ELSE 0 END
         FROM batch WHERE batch.id > :after AND batch.id < :until ORDER BY batch.id LIMIT :count""",
    OldThing,
)
_OLD_WAITPOINTS = Query(
    """SELECT waitpoint.id, waitpoint.completed_at,
           CASE WHEN waitpoint.status <> 'COMPLETED' OR waitpoint.kind NOT IN ('DATETIME', 'MANUAL')
               OR EXISTS (SELECT 1 FROM run_waitpoint WHERE run_waitpoint.waitpoint_id = waitpoint.id)
               OR (waitpoint.idempotency_key IS NOT NULL AND waitpoint.idempotency_expires_at > :now)
             THEN 1 ELSE 0 END
         FROM waitpoint WHERE waitpoint.id > :after AND waitpoint.id < :until
        ORDER BY waitpoint.id LIMIT :count""",
    OldThing,
)
_OLD_BULK_ACTIONS = Query(
    """SELECT id, completed_at,
           CASE WHEN status = 'PENDING'
               OR EXISTS (SELECT 1 FROM bulk_item WHERE bulk_item.bulk_id = bulk_action.id)
             THEN 1 ELSE 0 END
         FROM bulk_action WHERE id > :after AND id < :until ORDER BY id LIMIT :count""",
    OldThing,
)

_PRUNE = Statement(
    f"""UPDATE run SET payload = NULL, seed_metadata = NULL, metadata = NULL, output = NULL,
           pruned_at = :now
         WHERE id = :id AND completed_at < :before AND pruned_at IS NULL AND NOT {_AWAITED}"""
)
_REMOVE_RUN = Query(
    f"""DELETE FROM run WHERE id = :id AND completed_at < :before AND NOT {_AWAITED}
        RETURNING id, environment_id, tags, created_at""",
    Removed,
)
_REMOVE_VALUES = Statement("DELETE FROM run_value WHERE run_id = :id")
_REMOVE_TAG = Statement(
    "DELETE FROM run_tag WHERE environment_id = :environment_id AND tag = :tag AND run_id = :id"
)
# The key was noted in the transaction that made the run, at the same moment.
_REMOVE_REQUEST = Statement("DELETE FROM request_key WHERE created_at = :created_at AND run_id = :id")
_HANGING_ON_A_RUN = (
    _REMOVE_VALUES,
    Statement("DELETE FROM snapshot WHERE run_id = :id"),
    Statement("DELETE FROM run_waitpoint WHERE run_id = :id"),
    Statement("DELETE FROM waitpoint WHERE completes_run = :id"),
    Statement("DELETE FROM bulk_item WHERE run_id = :id"),
)
_REMOVE_BATCH = (
    Statement("DELETE FROM batch_item WHERE batch_id = :id"),
    Statement("DELETE FROM waitpoint WHERE completes_batch = :id"),
    Statement("DELETE FROM batch WHERE id = :id"),
)
_REMOVE_WAITPOINT = (Statement("DELETE FROM waitpoint WHERE id = :id"),)
_REMOVE_BULK_ACTION = (Statement("DELETE FROM bulk_action WHERE id = :id"),)


# ---- runs -----------------------------------------------------------------------------------------


def list_old_runs(tx: Reader, *, after: str, until: str, count: int) -> list[OldRun]:
    """Runs with ids between two, oldest first."""
    return tx.all(_OLD_RUNS, after=after, until=until, count=count, now=tx.now)


def prune_runs(tx: Tx, run_ids: Sequence[str], *, before: int) -> int:
    """Take payload, output and metadata off runs that ended before a time; returns off how many."""
    pruned = [run_id for run_id in run_ids if tx.run(_PRUNE, id=run_id, before=before, now=tx.now)]
    if pruned:
        tx.run_many(_REMOVE_VALUES, [{"id": run_id} for run_id in pruned])
    return len(pruned)


def remove_runs(tx: Tx, run_ids: Sequence[str], *, before: int) -> list[Removed]:
    """Remove runs that ended before a time, with all that hangs on them but their tags."""
    found = (tx.first(_REMOVE_RUN, id=run_id, before=before) for run_id in run_ids)
    removed = [run for run in found if run is not None]
    if removed:
        ids = [{"id": run.id} for run in removed]
        for statement in _HANGING_ON_A_RUN:
            tx.run_many(statement, ids)
        tx.run_many(_REMOVE_REQUEST, [{"id": run.id, "created_at": run.created_at} for run in removed])
    return removed


def remove_tags(tx: Tx, run: Removed, tags: Sequence[str]) -> None:
    if tags:
        rows = [{"environment_id": run.environment_id, "tag": tag, "id": run.id} for tag in tags]
        tx.run_many(_REMOVE_TAG, rows)


# ---- what outlives runs -----------------------------------------------------------------------------


def list_old_batches(tx: Reader, *, after: str, until: str, count: int) -> list[OldThing]:
    """Batches; one is needed until the last of its runs is removed."""
    return tx.all(_OLD_BATCHES, after=after, until=until, count=count, now=tx.now)


def list_old_waitpoints(tx: Reader, *, after: str, until: str, count: int) -> list[OldThing]:
    """Waitpoints; those of runs and batches are removed with them."""
    return tx.all(_OLD_WAITPOINTS, after=after, until=until, count=count, now=tx.now)


def list_old_bulk_actions(tx: Reader, *, after: str, until: str, count: int) -> list[OldThing]:
    """Bulk actions; one is needed until the last of the runs that it touched is removed."""
    return tx.all(_OLD_BULK_ACTIONS, after=after, until=until, count=count)


def remove_batches(tx: Tx, ids: Sequence[str]) -> int:
    """Remove batches with their items; returns how many."""
    return _remove(tx, _REMOVE_BATCH, ids)


def remove_waitpoints(tx: Tx, ids: Sequence[str]) -> int:
    return _remove(tx, _REMOVE_WAITPOINT, ids)


def remove_bulk_actions(tx: Tx, ids: Sequence[str]) -> int:
    return _remove(tx, _REMOVE_BULK_ACTION, ids)


def _remove(tx: Tx, statements: Sequence[Statement], ids: Sequence[str]) -> int:
    for statement in statements:
        tx.run_many(statement, [{"id": one} for one in ids])
    return len(ids)
