"""What every commit leaves true, as queries that list what breaks it: ids, at most `:count` of them.

Those of the first part follow indexes of what is open, and cost no more on a database full of finished runs.
The others look at everything.
"""

from collections.abc import Sequence
from typing import Final

from trigger_lite.store.query import Query, Statement
from trigger_lite.store.queues import blocked
from trigger_lite.store.transaction import Reader, Tx

LATE_MS: Final = 60_000
"""What was due longer ago than this is overdue, while a server runs."""
SILENT_MS: Final = 600_000
"""A run that was handed to a worker, or asked to stop, longer ago than this was forgotten."""


def _wrong(sql: str) -> Query[str]:
    return Query(f"{sql} LIMIT :count", str)


# ---- what is open -----------------------------------------------------------------------------------

# SQLite keeps the order of tables that are joined by CROSS JOIN: from the few that are open to the many.
# `|| ''` keeps SQLite from taking an index of environments, by which it would walk every run ever made.
_HELD: Final = """(SELECT {column} AS id, count(*) AS held FROM run
    WHERE worker_id IS NOT NULL AND holds_slot = 1 GROUP BY {column})"""
_IN_LINE: Final = """(SELECT lane_id AS id, min(score) AS head, count(*) AS waiting FROM run
    WHERE queued = 1 GROUP BY lane_id)"""
ENVIRONMENT_SLOTS: Final = _wrong(
    f"""SELECT environment.id FROM environment
          LEFT JOIN {_HELD.format(column="environment_id || ''")} AS holding ON holding.id = environment.id
         WHERE environment.held <> coalesce(holding.held, 0)"""
)
LANE_COUNTS: Final = _wrong(
    f"""SELECT lane.id FROM lane
          LEFT JOIN {_HELD.format(column="lane_id")} AS holding ON holding.id = lane.id
          LEFT JOIN {_IN_LINE} AS line ON line.id = lane.id
         WHERE lane.held <> coalesce(holding.held, 0) OR lane.waiting <> coalesce(line.waiting, 0)
            OR coalesce(lane.head_score, -1) <> coalesce(line.head, -1)
            OR lane.blocked <> {blocked(held="lane.held", capacity="lane.capacity", paused="lane.paused",
                                        not_before="lane.not_before")}"""
)  # fmt: skip
MISSING_LANES: Final = _wrong(
    """SELECT id FROM run WHERE lane_id > '' AND queued = 1
         AND NOT EXISTS (SELECT 1 FROM lane WHERE lane.id = run.lane_id)"""
)
WORKERLESS: Final = _wrong(
    """SELECT run.id FROM environment CROSS JOIN run
        WHERE run.environment_id = environment.id AND run.status IN ('DEQUEUED', 'EXECUTING')
          AND run.completed_at IS NULL AND run.worker_id IS NULL
          AND run.execution_status IN ('PENDING_EXECUTING', 'EXECUTING', 'EXECUTING_WITH_WAITPOINTS')"""
)
STRAY_EDGES: Final = _wrong(
    """SELECT DISTINCT edge.run_id FROM run_waitpoint AS edge LEFT JOIN run ON run.id = edge.run_id
        WHERE run.id IS NULL
           OR run.execution_status NOT IN ('EXECUTING_WITH_WAITPOINTS', 'SUSPENDED', 'PENDING_CANCEL')"""
)
UNHEARD_RUNS: Final = _wrong(
    """SELECT DISTINCT run.id FROM run_waitpoint AS edge CROSS JOIN waitpoint CROSS JOIN run
        WHERE waitpoint.id = edge.waitpoint_id AND run.id = waitpoint.completes_run
          AND waitpoint.status = 'PENDING' AND run.completed_at IS NOT NULL"""
)
UNHEARD_ITEMS: Final = _wrong(
    """SELECT DISTINCT run.id FROM batch_item CROSS JOIN run
        WHERE run.id = batch_item.run_id AND batch_item.run_id IS NOT NULL AND batch_item.is_done = 0
          AND run.completed_at IS NOT NULL"""
)
_RECEIVED: Final = "(SELECT count(*) FROM batch_item WHERE batch_id = batch.id)"
_FAILED: Final = "(SELECT count(*) FROM batch_item WHERE batch_id = batch.id AND error_code IS NOT NULL)"
_FINISHED: Final = """(SELECT count(*) FROM batch_item
    WHERE batch_id = batch.id AND error_code IS NULL AND is_done = 1)"""
BATCH_COUNTS: Final = _wrong(
    f"""SELECT id FROM batch WHERE completed_at IS NULL
         AND (received <> {_RECEIVED} OR failed <> {_FAILED} OR finished <> {_FINISHED})"""
)
OPEN_BATCHES: Final = _wrong(
    """SELECT id FROM batch WHERE completed_at IS NULL AND is_sealed = 1 AND failed + finished >= run_count"""
)
UNHEARD_BATCHES: Final = _wrong(
    """SELECT DISTINCT batch.id FROM run_waitpoint AS edge CROSS JOIN waitpoint CROSS JOIN batch
        WHERE waitpoint.id = edge.waitpoint_id AND batch.id = waitpoint.completes_batch
          AND waitpoint.status = 'PENDING' AND batch.completed_at IS NOT NULL"""
)
IDLE_WAITS: Final = _wrong(
    """SELECT id FROM run WHERE worker_id IS NOT NULL AND execution_status = 'EXECUTING_WITH_WAITPOINTS'
         AND NOT EXISTS (SELECT 1 FROM run_waitpoint AS edge
                           JOIN waitpoint ON waitpoint.id = edge.waitpoint_id
                          WHERE edge.run_id = run.id AND waitpoint.status = 'PENDING')"""
)
UNPLANNED: Final = _wrong(
    """SELECT instance.id FROM schedule
         JOIN schedule_instance AS instance ON instance.schedule_id = schedule.id
         JOIN environment ON environment.id = instance.environment_id
        WHERE schedule.active = 1 AND environment.archived_at IS NULL AND instance.next_at IS NULL"""
)

# ---- what is late -----------------------------------------------------------------------------------

LATE_DELAYS: Final = _wrong(
    "SELECT id FROM run WHERE execution_status = 'DELAYED' AND delay_until < :late ORDER BY delay_until"
)
LATE_EXPIRIES: Final = _wrong(
    """SELECT id FROM run WHERE ttl_at IS NOT NULL AND worker_id IS NULL AND ttl_at < :late ORDER BY ttl_at"""
)
LATE_WAITS: Final = _wrong(
    """SELECT id FROM waitpoint WHERE status = 'PENDING' AND due_at IS NOT NULL AND due_at < :late
        ORDER BY due_at"""
)
LATE_SCHEDULES: Final = _wrong(
    "SELECT id FROM schedule_instance WHERE next_at IS NOT NULL AND next_at < :late ORDER BY next_at"
)
FORGOTTEN: Final = _wrong(
    """SELECT id FROM run WHERE worker_id IS NOT NULL AND updated_at < :silent
         AND execution_status IN ('PENDING_EXECUTING', 'PENDING_CANCEL')"""
)

# ---- everything -------------------------------------------------------------------------------------

RUN_MARKS: Final = _wrong(
    """SELECT id FROM run
        WHERE (holds_slot = 1) <> (execution_status IN ('PENDING_EXECUTING', 'EXECUTING'))
           OR (queued = 1) <> (execution_status = 'QUEUED')
           OR (completed_at IS NOT NULL) <> (execution_status = 'FINISHED')"""
)
DUPLICATE_KEYS: Final = _wrong(
    """SELECT idempotency_key FROM run WHERE idempotency_key IS NOT NULL
        GROUP BY environment_id, task_id, idempotency_key HAVING count(*) > 1"""
)
UNHEARD_LATER: Final = _wrong(
    """SELECT run.id FROM waitpoint JOIN run ON run.id = waitpoint.completes_run
        WHERE waitpoint.status = 'PENDING' AND run.completed_at IS NOT NULL"""
)
_NEWEST: Final = Query(
    """SELECT coalesce(max(at), 0) FROM (
         SELECT max(created_at) AS at FROM request_key UNION ALL
         SELECT max(updated_at) FROM (SELECT updated_at FROM run ORDER BY id DESC LIMIT 100) AS newest
       ) AS times""",
    int,
)

_RECOUNT_BATCH: Final = Statement(
    f"""UPDATE batch SET received = {_RECEIVED}, failed = {_FAILED}, finished = {_FINISHED} WHERE id = :id"""
)


def list_wrong(tx: Reader, query: Query[str], *, count: int) -> list[str]:
    """Up to `count` ids of what is not as it should be."""
    return tx.all(query, count=count, late=tx.now - LATE_MS, silent=tx.now - SILENT_MS)


def recount_batches(tx: Tx, batch_ids: Sequence[str]) -> None:
    """Count the items of batches anew."""
    tx.run_many(_RECOUNT_BATCH, [{"id": batch_id} for batch_id in batch_ids])


def newest_time(tx: Reader) -> int:
    """About when anything was written last (Unix ms), 0 when nothing was."""
    return tx.first(_NEWEST) or 0
