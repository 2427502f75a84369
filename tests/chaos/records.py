"""The database as a dead or stopped server left it, read without changing it."""

import time
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from tests.chaos.stage import Stage
from trigger_lite.protocol.statuses import HOLDS_SLOT
from trigger_lite.store.dialect import SQLITE, postgres
from trigger_lite.store.query import Query
from trigger_lite.store.transaction import Reader

_HOLDING: Final = ", ".join(f"'{state.value}'" for state in sorted(HOLDS_SLOT))


class RunRecord(NamedTuple):
    """What the verdict needs of a run."""

    id: str
    task_id: str
    status: str
    execution_status: str
    snapshot_seq: int
    attempt: int
    max_attempts: int | None
    queued: int
    holds_slot: int
    worker_id: str | None
    delay_until: int | None
    idempotency_key: str | None
    replay_of: str | None
    parent_id: str | None
    batch_id: str | None
    schedule_id: str | None
    scheduled_for: int | None
    payload: str | None
    output: str | None
    error: str | None
    started_at: int | None
    completed_at: int | None


class SnapshotRecord(NamedTuple):
    run_id: str
    seq: int
    execution_status: str
    run_status: str
    description: str
    attempt: int
    error: str | None
    retry_at: int | None


class BulkRecord(NamedTuple):
    """What a bulk action did to one run."""

    bulk_id: str
    run_id: str
    status: str
    new_run_id: str | None
    action_status: str


_RUNS = Query(f"SELECT {', '.join(RunRecord._fields)} FROM run", RunRecord)
_SNAPSHOTS = Query(
    f"SELECT {', '.join(SnapshotRecord._fields)} FROM snapshot ORDER BY run_id, seq", SnapshotRecord
)
_ENDED = Query("SELECT id, status FROM run WHERE completed_at IS NOT NULL", lambda *row: row)
_BULK = Query(
    """SELECT bulk_item.bulk_id, bulk_item.run_id, bulk_item.status, bulk_item.new_run_id, bulk_action.status
         FROM bulk_item JOIN bulk_action ON bulk_action.id = bulk_item.bulk_id""",
    BulkRecord,
)
_BATCHES = Query("SELECT id, status FROM batch", lambda *row: row)
_OVERDUE = Query(
    "SELECT id, kind FROM waitpoint WHERE status = 'PENDING' AND due_at < :now", lambda *row: row
)
_OPEN = Query(
    """SELECT (SELECT count(*) FROM run WHERE completed_at IS NULL)
            + (SELECT count(*) FROM bulk_action WHERE status = 'PENDING')""",
    int,
)

# What every commit leaves true; each query lists what breaks it.
_WRONG: Final[dict[str, str]] = {
    "an environment's count of held slots": f"""SELECT id, held FROM environment WHERE held <>
        (SELECT count(*) FROM run
          WHERE environment_id = environment.id AND execution_status IN ({_HOLDING}))""",
    "a lane's count of held slots": f"""SELECT id, held FROM lane WHERE held <>
        (SELECT count(*) FROM run WHERE lane_id = lane.id AND execution_status IN ({_HOLDING}))""",
    "a run's mark that it holds a slot": f"""SELECT id, execution_status FROM run
        WHERE (holds_slot = 1) <> (execution_status IN ({_HOLDING}))""",
    "a lane's head": """SELECT id, head_score FROM lane WHERE coalesce(head_score, -1) <>
        coalesce((SELECT min(score) FROM run WHERE lane_id = lane.id AND queued = 1), -1)""",
    "a waiting run's lane": """SELECT id, lane_id FROM run
        WHERE queued = 1 AND NOT EXISTS (SELECT 1 FROM lane WHERE lane.id = run.lane_id)""",
    "a waiting run's mark": """SELECT id, execution_status FROM run
        WHERE (queued = 1) <> (execution_status = 'QUEUED')""",
    "a blocked run's wait": """SELECT id, execution_status FROM run
        WHERE execution_status = 'EXECUTING_WITH_WAITPOINTS' AND NOT EXISTS
        (SELECT 1 FROM run_waitpoint AS edge JOIN waitpoint ON waitpoint.id = edge.waitpoint_id
          WHERE edge.run_id = run.id AND waitpoint.status = 'PENDING')""",
    "an edge of a run that is not blocked": """SELECT run_id, waitpoint_id FROM run_waitpoint
        WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.id = run_waitpoint.run_id
          AND execution_status IN ('EXECUTING_WITH_WAITPOINTS', 'SUSPENDED'))""",
    "the waitpoint of a run that is over": """SELECT waitpoint.id, run.status FROM waitpoint
        JOIN run ON run.id = waitpoint.completes_run
        WHERE waitpoint.status = 'PENDING' AND run.execution_status = 'FINISHED'""",
    "what a batch counts": """SELECT id, received, failed, finished FROM batch
        WHERE received <> (SELECT count(*) FROM batch_item WHERE batch_id = batch.id)
           OR failed <> (SELECT count(*) FROM batch_item WHERE batch_id = batch.id AND error_code IS NOT NULL)
           OR finished <> (SELECT count(*) FROM batch_item
                            WHERE batch_id = batch.id AND error_code IS NULL AND is_done = 1)""",
    "the mark of a batch's item": """SELECT batch_item.batch_id, idx
        FROM batch_item JOIN run ON run.id = batch_item.run_id
        WHERE (is_done = 1) <> (execution_status = 'FINISHED')""",
    "the end of a batch": """SELECT id, status FROM batch WHERE is_sealed = 1
        AND (completed_at IS NOT NULL) <> (failed + finished = run_count)""",
    "the end of a run": """SELECT id, execution_status FROM run
        WHERE (completed_at IS NOT NULL) <> (execution_status = 'FINISHED')""",
}


class Records:
    """A connection that only reads."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __enter__(self) -> Self:
        self._connection: Any
        if self._stage.database_url is None:
            import sqlite3

            path = self._stage.server.data / "trigger.db"
            self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
            dialect = SQLITE
        else:
            import psycopg

            self._connection = psycopg.connect(self._stage.database_url, autocommit=True)
            dialect = postgres()
        self._reader = Reader(self._connection, dialect, time.time_ns() // 1_000_000)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def runs(self) -> dict[str, RunRecord]:
        return {run.id: run for run in self._reader.all(_RUNS)}

    def snapshots(self) -> dict[str, list[SnapshotRecord]]:
        """Return the history of every run, oldest first."""
        found: dict[str, list[SnapshotRecord]] = {}
        for snapshot in self._reader.all(_SNAPSHOTS):
            found.setdefault(snapshot.run_id, []).append(snapshot)
        return found

    def batches(self) -> dict[str, str]:
        """Return the status of every batch."""
        return dict(self._reader.all(_BATCHES))

    def bulk_items(self) -> list[BulkRecord]:
        return self._reader.all(_BULK)

    def ended(self) -> dict[str, str]:
        """Return the status of every run that is over."""
        return dict(self._reader.all(_ENDED))

    def open_runs(self) -> int:
        """Count the runs, and the bulk actions, that are not over."""
        return self._reader.first(_OPEN) or 0

    def overdue(self, seconds: float) -> list[str]:
        """Return the waitpoints whose time came longer ago than this, and that are not complete."""
        now = self._reader.now - round(seconds * 1000)
        return [f"{kind} {waitpoint} is overdue" for waitpoint, kind in self._reader.all(_OVERDUE, now=now)]

    def wrong_counters(self) -> list[str]:
        """Return what is not as every commit leaves it."""
        found = []
        for what, sql in _WRONG.items():
            rows = self._reader.all(Query(sql, lambda *row: row))
            if rows:
                found.append(f"{what} is wrong: {rows[:5]}")
        return found
