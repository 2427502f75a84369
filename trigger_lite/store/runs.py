"""Runs: their state, their data, their history."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from trigger_lite.store import schema
from trigger_lite.store.query import Insert, Query, Statement
from trigger_lite.store.transaction import Reader, Tx

MAX_INLINE: Final = 8_192
"""Characters of a payload, output or metadata kept in the run's own row."""


class RunRow(NamedTuple):
    """A run's state: everything but its data. Times in Unix ms; `retry` and `tags` are JSON.

    The defaults are those of a run that has neither place nor status yet.
    """

    id: str
    environment_id: str
    task_id: str
    status: str = ""
    execution_status: str = ""
    snapshot_seq: int = 0
    attempt: int = 0
    deliveries: int = 0
    status_reason: str | None = None
    queue_id: str = ""
    queue_name: str = ""
    lane_id: str = ""
    concurrency_key: str | None = None
    queued: int = 0
    score: int = 0
    queue_time: int = 0
    priority_ms: int = 0
    holds_slot: int = 0
    worker_id: str | None = None
    delay_until: int | None = None
    ttl: int | None = None
    ttl_at: int | None = None
    version_id: str | None = None
    is_pinned: int = 0
    machine: str | None = None
    max_attempts: int | None = None
    max_duration: int | None = None
    retry: str | None = None
    idempotency_key: str | None = None
    idempotency_expires_at: int | None = None
    idempotency_options: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    depth: int = 0
    replay_of: str | None = None
    source: str = "api"
    is_test: int = 0
    tags: str = "[]"
    is_failed: int = 0
    usage_ms: int = 0
    created_at: int = 0
    updated_at: int = 0
    queued_at: int | None = None
    started_at: int | None = None
    executed_at: int | None = None
    completed_at: int | None = None
    expired_at: int | None = None
    is_awaited: int = 0
    resume_parent: int = 0
    batch_id: str | None = None
    batch_index: int | None = None
    debounce_key: str | None = None
    debounce_until: int | None = None
    schedule_id: str | None = None
    schedule_instance_id: str | None = None
    scheduled_for: int | None = None
    annotations: str | None = None
    pruned_at: int | None = None


class RunData(NamedTuple):
    """What a run was given and made. Metadata and error are JSON; payload and output as their types say."""

    payload: str | None
    payload_type: str
    seed_metadata: str | None
    metadata: str | None
    output: str | None
    output_type: str | None
    error: str | None


class SnapshotRow(NamedTuple):
    run_id: str
    seq: int
    execution_status: str
    run_status: str
    description: str
    attempt: int
    is_valid: int
    error: str | None
    worker_id: str | None
    retry_at: int | None
    created_at: int
    completed: str | None = None
    batch_id: str | None = None


_RUN = f"SELECT {', '.join(RunRow._fields)} FROM run"
_DATA_COLUMNS = ", ".join(RunData._fields)
_ALL_COLUMNS: Final = frozenset(column.name for column in schema.run.columns)
_LARGE: Final = ("payload", "seed_metadata", "metadata", "output")


def _split(*columns: Any) -> tuple[RunRow, RunData]:
    state = len(RunRow._fields)
    return RunRow(*columns[:state]), RunData(*columns[state:])


_FIND = Query(_RUN + " WHERE id = :id", RunRow)
_FIND_IN = Query(_RUN + " WHERE id = :id AND environment_id = :environment_id", RunRow)
_DATA = Query(f"SELECT {_DATA_COLUMNS} FROM run WHERE id = :id", RunData)
_VALUES = Query("SELECT kind, data FROM run_value WHERE run_id = :run_id", lambda kind, data: (kind, data))
_HEADS = Query(
    f"""SELECT {", ".join(RunRow._fields)}, {_DATA_COLUMNS} FROM run
         WHERE lane_id = :lane_id AND queued = 1 AND score <= :now ORDER BY score, id LIMIT :count""",
    _split,
)
_BY_IDEMPOTENCY_KEY = Query(
    _RUN + " WHERE environment_id = :environment_id AND task_id = :task_id AND idempotency_key = :key", RunRow
)
_DEBOUNCED = Query(
    _RUN
    + """ WHERE environment_id = :environment_id AND task_id = :task_id AND debounce_key = :key
            AND execution_status = 'DELAYED'""",
    RunRow,
)
_OWNED = Query(_RUN + " WHERE worker_id IS NOT NULL", RunRow)
_OWNED_BY = Query(_RUN + " WHERE worker_id = :worker_id", RunRow)
# Runs whose wait is over and that could have a slot: their lane has one, or was forgotten for want of runs
# and would have one (`QueueRow.limit`).
_RESUMING = Query(
    f"""SELECT {", ".join("run." + name for name in RunRow._fields)} FROM run
          LEFT JOIN lane ON lane.queue_id = run.queue_id AND lane.lane_key =
            CASE WHEN run.concurrency_key IS NULL THEN '' ELSE '=' || run.concurrency_key END
         WHERE run.environment_id = :environment_id AND run.execution_status = 'QUEUED_EXECUTING'
           AND (lane.held < lane.capacity OR (lane.id IS NULL AND EXISTS (SELECT 1 FROM queue
             WHERE queue.id = run.queue_id AND coalesce(CASE WHEN queue.overridden_at IS NULL
               THEN queue.concurrency_limit ELSE queue.limit_override END, 1) > 0)))
         ORDER BY run.score, run.id LIMIT :count""",
    RunRow,
)
_DELAYED = Query(
    _RUN + " WHERE execution_status = 'DELAYED' AND delay_until <= :now ORDER BY delay_until LIMIT :count",
    RunRow,
)
_NEXT_DELAYED = Query("SELECT min(delay_until) FROM run WHERE execution_status = 'DELAYED'", lambda at: at)
_EXPIRING = Query(
    _RUN + " WHERE ttl_at IS NOT NULL AND worker_id IS NULL AND ttl_at <= :now ORDER BY ttl_at LIMIT :count",
    RunRow,
)
_NEXT_EXPIRING = Query(
    "SELECT min(ttl_at) FROM run WHERE ttl_at IS NOT NULL AND worker_id IS NULL", lambda at: at
)
_PENDING_VERSION = Query(
    _RUN
    + """ WHERE execution_status = 'RUN_CREATED' AND environment_id = :environment_id
            AND task_id = :task_id AND is_pinned = 0 ORDER BY id LIMIT :count""",
    RunRow,
)
_PENDING_THIS_VERSION = Query(
    _RUN
    + """ WHERE execution_status = 'RUN_CREATED' AND environment_id = :environment_id
            AND task_id = :task_id AND version_id = :version_id ORDER BY id LIMIT :count""",
    RunRow,
)
_CHILDREN = Query(_RUN + " WHERE parent_id = :parent_id ORDER BY id LIMIT :count", RunRow)
_UNFINISHED_CHILDREN = Query(
    _RUN
    + """ WHERE parent_id = :parent_id AND id > :after AND completed_at IS NULL
          ORDER BY id LIMIT :count""",
    RunRow,
)
_INSERT_TAG = Statement(
    """INSERT INTO run_tag (environment_id, tag, run_id) VALUES (:environment_id, :tag, :run_id)
       ON CONFLICT DO NOTHING"""
)
_DELETE_TAG = Statement(
    "DELETE FROM run_tag WHERE environment_id = :environment_id AND tag = :tag AND run_id = :run_id"
)
_PUT_VALUE = Statement(
    """INSERT INTO run_value (run_id, kind, data) VALUES (:run_id, :kind, :data)
       ON CONFLICT (run_id, kind) DO UPDATE SET data = excluded.data"""
)
_INSERT = Insert("run", RunRow._fields + RunData._fields)
_INSERT_SNAPSHOT = Insert("snapshot", SnapshotRow._fields)
_SNAPSHOTS = Query(
    f"""SELECT {", ".join(SnapshotRow._fields)} FROM snapshot
         WHERE run_id = :run_id AND is_valid = 1 AND seq > :after ORDER BY seq""",
    SnapshotRow,
)


@lru_cache(maxsize=256)
def _update(columns: tuple[str, ...]) -> Statement:
    unknown = set(columns) - _ALL_COLUMNS
    if unknown:
        raise LookupError(f"run has no column {', '.join(sorted(unknown))}")
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    return Statement(f"UPDATE run SET {changes} WHERE id = :_id AND snapshot_seq = :_seq")


def insert_run(tx: Tx, run: RunRow, data: RunData) -> None:
    """Add a run with its data and tags."""
    large: dict[str, str] = {}
    if _is_large(data):
        inline, large = _part_large(data._asdict())
        data = RunData(**inline)
    tx.insert(_INSERT, run + data)
    _put_values(tx, run.id, large)


def insert_tags(tx: Tx, environment_id: str, run_id: str, tags: Sequence[str]) -> None:
    if tags:
        tx.run_many(_INSERT_TAG, _tag_rows(environment_id, run_id, tags))


def delete_tags(tx: Tx, environment_id: str, run_id: str, tags: Sequence[str]) -> None:
    if tags:
        tx.run_many(_DELETE_TAG, _tag_rows(environment_id, run_id, tags))


def _tag_rows(environment_id: str, run_id: str, tags: Sequence[str]) -> list[dict[str, str]]:
    return [{"environment_id": environment_id, "tag": tag, "run_id": run_id} for tag in tags]


def update_run(tx: Tx, run: RunRow, changes: Mapping[str, Any]) -> bool:
    """Change columns of a run *if it still is at the snapshot `run` shows*; tell whether it was (LK-02)."""
    inline, large = _part_large(changes)
    if tx.run(_update(tuple(inline)), **inline, _id=run.id, _seq=run.snapshot_seq) != 1:
        return False
    _put_values(tx, run.id, large)
    return True


def _is_large(data: RunData) -> bool:
    values = (data.payload, data.seed_metadata, data.metadata, data.output)
    return any(value is not None and len(value) > MAX_INLINE for value in values)


def _part_large(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what goes into the row, and what is kept beside it; an empty text in the row marks that.

    A text that is empty itself is kept beside it too, should a longer one have been there before.
    """
    inline, large = dict(values), {}
    for kind in _LARGE:
        value = inline.get(kind)
        if value is not None and (value == "" or len(value) > MAX_INLINE):
            inline[kind], large[kind] = "", value
    return inline, large


def _put_values(tx: Tx, run_id: str, values: Mapping[str, str]) -> None:
    for kind, value in values.items():
        tx.run(_PUT_VALUE, run_id=run_id, kind=kind, data=value)


def with_large(tx: Reader, run_id: str, data: RunData) -> RunData:
    """Return run data with the values that were put aside; an empty text in the row marks one."""
    if "" not in (data.payload, data.seed_metadata, data.metadata, data.output):
        return data
    values = dict(tx.all(_VALUES, run_id=run_id))
    found = {kind: values[kind] for kind in _LARGE if getattr(data, kind) == "" and kind in values}
    return data._replace(**found)


def find_run(tx: Reader, run_id: str) -> RunRow | None:
    return tx.first(_FIND, id=run_id)


def find_run_in(tx: Reader, environment_id: str, run_id: str) -> RunRow | None:
    """The run, if it is one of this environment."""
    return tx.first(_FIND_IN, id=run_id, environment_id=environment_id)


def get_data(tx: Reader, run_id: str) -> RunData:
    found = tx.first(_DATA, id=run_id)
    if found is None:
        raise LookupError(f"no run {run_id}")
    return with_large(tx, run_id, found)


def list_heads(tx: Reader, lane_id: str, *, count: int) -> list[tuple[RunRow, RunData]]:
    """The next runs of a lane that are due, in their order (Q-01); large values are not filled in."""
    return tx.all(_HEADS, lane_id=lane_id, now=tx.now, count=count)


def find_by_idempotency_key(tx: Reader, environment_id: str, task_id: str, key: str) -> RunRow | None:
    return tx.first(_BY_IDEMPOTENCY_KEY, environment_id=environment_id, task_id=task_id, key=key)


def find_debounced(tx: Reader, environment_id: str, task_id: str, key: str) -> RunRow | None:
    """The delayed run that triggers of this debounce key are part of; an index allows one."""
    return tx.first(_DEBOUNCED, environment_id=environment_id, task_id=task_id, key=key)


def list_owned(tx: Reader) -> list[RunRow]:
    """Every run that a worker has."""
    return tx.all(_OWNED)


def list_owned_by(tx: Reader, worker_id: str) -> list[RunRow]:
    return tx.all(_OWNED_BY, worker_id=worker_id)


def list_resuming(tx: Reader, environment_id: str, *, count: int) -> list[RunRow]:
    """Runs whose wait is over, that have no slot yet and whose queue has one, in their order."""
    return tx.all(_RESUMING, environment_id=environment_id, count=count)


def list_delay_ended(tx: Reader, *, count: int) -> list[RunRow]:
    """Delayed runs whose time has come."""
    return tx.all(_DELAYED, now=tx.now, count=count)


def find_next_delay_end(tx: Reader) -> int | None:
    return tx.first(_NEXT_DELAYED)


def list_lapsed(tx: Reader, *, count: int) -> list[RunRow]:
    """Waiting runs whose TTL ran out."""
    return tx.all(_EXPIRING, now=tx.now, count=count)


def find_next_expiry(tx: Reader) -> int | None:
    return tx.first(_NEXT_EXPIRING)


def list_pending_version(tx: Reader, environment_id: str, task_id: str, *, count: int) -> list[RunRow]:
    """Runs of a task that wait for any version that has it, oldest first."""
    return tx.all(_PENDING_VERSION, environment_id=environment_id, task_id=task_id, count=count)


def list_pending_this_version(
    tx: Reader, environment_id: str, task_id: str, *, version_id: str, count: int
) -> list[RunRow]:
    """Runs of a task that are fixed to a version and wait for its worker, oldest first."""
    return tx.all(
        _PENDING_THIS_VERSION,
        environment_id=environment_id,
        task_id=task_id,
        version_id=version_id,
        count=count,
    )


def list_children(tx: Reader, parent_id: str, *, count: int) -> list[RunRow]:
    return tx.all(_CHILDREN, parent_id=parent_id, count=count)


def list_unfinished_children(tx: Reader, parent_id: str, *, after: str, count: int) -> list[RunRow]:
    """Children of a run that are not over, those with an id above `after`."""
    return tx.all(_UNFINISHED_CHILDREN, parent_id=parent_id, after=after, count=count)


def insert_snapshot(tx: Tx, snapshot: SnapshotRow) -> None:
    tx.insert(_INSERT_SNAPSHOT, snapshot)


def list_snapshots(tx: Reader, run_id: str, *, after: int = 0) -> list[SnapshotRow]:
    """The valid snapshots of a run later than `after`, oldest first."""
    return tx.all(_SNAPSHOTS, run_id=run_id, after=after)
