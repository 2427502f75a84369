"""Worker versions and the tasks each one has."""

from typing import NamedTuple

from trigger_lite.store.query import Insert, Query, Statement
from trigger_lite.store.transaction import Reader, Tx


class VersionRow(NamedTuple):
    id: str
    environment_id: str
    version: str
    content_hash: str
    kind: str
    is_current: int
    created_at: int


class TaskRow(NamedTuple):
    """A task as one version has it; `retry` is JSON, `max_duration` and `ttl` seconds."""

    worker_version_id: str
    task_id: str
    queue_name: str
    file_path: str
    export_name: str | None
    description: str | None
    retry: str | None
    machine: str
    max_duration: int | None
    ttl: int | None
    trigger_source: str | None
    payload_schema: str | None
    schedule: str | None = None


_VERSION = (
    "SELECT id, environment_id, version, content_hash, kind, is_current, created_at FROM worker_version"
)
_TASK = f"SELECT {', '.join('t.' + name for name in TaskRow._fields)} FROM task t"

_CURRENT = Query(_VERSION + " WHERE environment_id = :environment_id AND is_current = 1", VersionRow)
_GET = Query(_VERSION + " WHERE environment_id = :environment_id AND id = :id", VersionRow)
_BY_NUMBER = Query(_VERSION + " WHERE environment_id = :environment_id AND version = :version", VersionRow)
_LAST_OF_DAY = Query(
    """SELECT max(CAST(substr(version, 10) AS INTEGER)) FROM worker_version
        WHERE environment_id = :environment_id AND version LIKE :day""",
    lambda number: int(number or 0),
)
_INSERT = Statement(
    """INSERT INTO worker_version
         (id, environment_id, version, content_hash, kind, sdk_version, runtime, is_current, created_at)
       VALUES (:id, :environment_id, :version, :content_hash, :kind, :sdk_version, :runtime, 0, :now)"""
)
_RETIRE = Statement(
    "UPDATE worker_version SET is_current = 0 WHERE environment_id = :environment_id AND is_current = 1"
)
_PROMOTE = Statement("UPDATE worker_version SET is_current = 1 WHERE id = :id")
_INSERT_TASK = Insert("task", TaskRow._fields)
_FIND_TASK = Query(_TASK + " WHERE t.worker_version_id = :version_id AND t.task_id = :task_id", TaskRow)
_CURRENT_TASK = Query(
    _TASK
    + """ JOIN worker_version v ON v.id = t.worker_version_id
         WHERE v.environment_id = :environment_id AND v.is_current = 1 AND t.task_id = :task_id""",
    TaskRow,
)
_LIST_TASKS = Query(_TASK + " WHERE t.worker_version_id = :version_id ORDER BY t.task_id", TaskRow)
_EVER_REGISTERED = Query(
    """SELECT 1 FROM task t JOIN worker_version v ON v.id = t.worker_version_id
        WHERE v.environment_id = :environment_id AND t.task_id = :task_id LIMIT 1""",
    bool,
)


def find_current_version(tx: Reader, environment_id: str) -> VersionRow | None:
    """The version that new runs get, or None before the first registration."""
    return tx.first(_CURRENT, environment_id=environment_id)


def find_version(tx: Reader, environment_id: str, version_id: str) -> VersionRow | None:
    return tx.first(_GET, environment_id=environment_id, id=version_id)


def find_version_by_number(tx: Reader, environment_id: str, version: str) -> VersionRow | None:
    """The version written `YYYYMMDD.N`."""
    return tx.first(_BY_NUMBER, environment_id=environment_id, version=version)


def last_number_of_day(tx: Reader, environment_id: str, day: str) -> int:
    """The highest N among the versions `YYYYMMDD.N` of a day, 0 when there is none."""
    return tx.first(_LAST_OF_DAY, environment_id=environment_id, day=f"{day}.%") or 0


def insert_version(
    tx: Tx, *, environment_id: str, version: str, content_hash: str, sdk_version: str, runtime: str | None
) -> str:
    """Add a version registered by a live worker; it is not current yet."""
    new = tx.new_id("worker")
    tx.run(
        _INSERT,
        id=new,
        environment_id=environment_id,
        version=version,
        content_hash=content_hash,
        kind="local",
        sdk_version=sdk_version,
        runtime=runtime,
        now=tx.now,
    )
    return new


def make_current(tx: Tx, environment_id: str, version_id: str) -> None:
    """Move the environment's pointer to this version."""
    tx.run(_RETIRE, environment_id=environment_id)
    tx.run(_PROMOTE, id=version_id)


def insert_tasks(tx: Tx, tasks: list[TaskRow]) -> None:
    tx.insert_many(_INSERT_TASK, tasks)


def find_task(tx: Reader, version_id: str, task_id: str) -> TaskRow | None:
    return tx.first(_FIND_TASK, version_id=version_id, task_id=task_id)


def find_current_task(tx: Reader, environment_id: str, task_id: str) -> TaskRow | None:
    """The task as the current version has it."""
    return tx.first(_CURRENT_TASK, environment_id=environment_id, task_id=task_id)


def list_tasks(tx: Reader, version_id: str) -> list[TaskRow]:
    return tx.all(_LIST_TASKS, version_id=version_id)


def was_ever_registered(tx: Reader, environment_id: str, task_id: str) -> bool:
    """Tell whether any version of the environment ever had the task."""
    return tx.first(_EVER_REGISTERED, environment_id=environment_id, task_id=task_id) is not None
