"""Schedules, and their instances: one for each environment a schedule is for."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from trigger_lite.store import schema
from trigger_lite.store.query import Insert, Query, Statement
from trigger_lite.store.transaction import Reader, Tx


class ScheduleRow(NamedTuple):
    """When a task runs. `expect_within` in seconds."""

    id: str
    project_id: str
    kind: str
    task_id: str
    cron: str
    timezone: str
    deduplication_key: str | None
    has_user_key: int
    external_id: str | None
    active: int
    overlap: str
    catch_up: str
    expect_within: int | None
    time_window: str | None
    created_at: int
    updated_at: int


class InstanceRow(NamedTuple):
    """What is planned of a schedule in an environment; times are nominal, Unix ms."""

    id: str
    schedule_id: str
    environment_id: str
    next_at: int | None
    last_at: int | None
    last_run_id: str | None
    queued_for: int | None
    waits_for: str | None
    created_at: int


class Planned(NamedTuple):
    """A schedule in one environment."""

    schedule: ScheduleRow
    instance: InstanceRow


class DueRow(NamedTuple):
    """An instance whose time has come; `is_queued` when the time passed while an earlier run was going on."""

    instance_id: str
    schedule_id: str
    environment_id: str
    environment_type: str
    at: int
    is_queued: int


_SCHEDULE = ", ".join(f"s.{name}" for name in ScheduleRow._fields)
_INSTANCE = ", ".join(f"i.{name}" for name in InstanceRow._fields)
_PLANNED = f"SELECT {_SCHEDULE}, {_INSTANCE} FROM schedule s JOIN schedule_instance i ON i.schedule_id = s.id"
_DUE_COLUMNS = "SELECT i.id, i.schedule_id, i.environment_id, e.type"
_JOIN_ENVIRONMENT = "FROM schedule_instance i JOIN environment e ON e.id = i.environment_id"


def _split(*columns: Any) -> Planned:
    width = len(ScheduleRow._fields)
    return Planned(ScheduleRow(*columns[:width]), InstanceRow(*columns[width:]))


_FIND = Query(_PLANNED + " WHERE i.id = :instance_id", _split)
_GET = Query(f"SELECT {_SCHEDULE} FROM schedule s WHERE s.id = :id", ScheduleRow)
_FIND_IN = Query(_PLANNED + " WHERE s.id = :id AND i.environment_id = :environment_id", _split)
_BY_KEY = Query(_PLANNED + " WHERE s.project_id = :project_id AND s.deduplication_key = :key", _split)
_DECLARED = Query(
    _PLANNED
    + """ WHERE s.project_id = :project_id AND s.kind = 'DECLARATIVE'
            AND i.environment_id = :environment_id ORDER BY s.task_id""",
    _split,
)
_IN_ENVIRONMENT = " WHERE s.project_id = :project_id AND i.environment_id = :environment_id"
_LIST = Query(_PLANNED + _IN_ENVIRONMENT + " ORDER BY s.id DESC LIMIT :count OFFSET :skip", _split)
_BELOW = Query(_PLANNED + _IN_ENVIRONMENT + " AND s.id < :before ORDER BY s.id DESC LIMIT :count", _split)
_COUNT = Query(
    "SELECT count(*) FROM schedule s JOIN schedule_instance i ON i.schedule_id = s.id" + _IN_ENVIRONMENT, int
)
_DUE = Query(
    f"""{_DUE_COLUMNS}, i.next_at, 0 {_JOIN_ENVIRONMENT}
         WHERE i.next_at IS NOT NULL AND i.next_at <= :now ORDER BY i.next_at LIMIT :count""",
    DueRow,
)
_RELEASED = Query(
    f"""{_DUE_COLUMNS}, i.queued_for, 1 {_JOIN_ENVIRONMENT}
         WHERE i.queued_for IS NOT NULL AND i.waits_for IS NULL ORDER BY i.queued_for LIMIT :count""",
    DueRow,
)
_NEXT_DUE = Query(
    "SELECT min(next_at) FROM schedule_instance WHERE next_at IS NOT NULL AND next_at > :after",
    lambda at: at,
)
_ACTIVE = Query(
    _PLANNED
    + """ JOIN environment e ON e.id = i.environment_id
         WHERE i.id > :after AND s.active = 1 AND e.archived_at IS NULL ORDER BY i.id LIMIT :count""",
    _split,
)
_OCCURRENCE = Query(
    "SELECT id FROM run WHERE schedule_instance_id = :instance_id AND scheduled_for = :at", str
)
_RELEASE = Query(
    "UPDATE schedule_instance SET waits_for = NULL WHERE waits_for = :run_id RETURNING schedule_id", str
)
_RELEASE_LEFT = Statement(
    """UPDATE schedule_instance SET waits_for = NULL
        WHERE waits_for IS NOT NULL AND NOT EXISTS
          (SELECT 1 FROM run WHERE run.id = waits_for AND run.completed_at IS NULL)"""
)
_INSERT_SCHEDULE = Insert("schedule", ScheduleRow._fields)
_INSERT_INSTANCE = Insert("schedule_instance", InstanceRow._fields)
_DELETE_INSTANCE = Statement("DELETE FROM schedule_instance WHERE id = :id")
_DELETE_UNUSED = Statement(
    """DELETE FROM schedule WHERE id = :id
         AND NOT EXISTS (SELECT 1 FROM schedule_instance WHERE schedule_id = :id)"""
)
_COLUMNS: Final = {
    table.name: frozenset(column.name for column in table.columns)
    for table in (schema.schedule, schema.schedule_instance)
}


@lru_cache(maxsize=64)
def _update(table: str, columns: tuple[str, ...]) -> Statement:
    unknown = set(columns) - _COLUMNS[table]
    if unknown:
        raise LookupError(f"{table} has no column {', '.join(sorted(unknown))}")
    return Statement(f"UPDATE {table} SET {', '.join(f'{n} = :{n}' for n in columns)} WHERE id = :_id")


def insert_schedule(tx: Tx, schedule: ScheduleRow, instance: InstanceRow) -> None:
    tx.insert(_INSERT_SCHEDULE, schedule)
    tx.insert(_INSERT_INSTANCE, instance)


def update_schedule(tx: Tx, schedule_id: str, changes: Mapping[str, Any]) -> None:
    tx.run(_update("schedule", (*changes, "updated_at")), **changes, updated_at=tx.now, _id=schedule_id)


def update_instance(tx: Tx, instance_id: str, changes: Mapping[str, Any]) -> None:
    tx.run(_update("schedule_instance", tuple(changes)), **changes, _id=instance_id)


def delete_instance(tx: Tx, instance: InstanceRow) -> None:
    """Remove a schedule from an environment, and the schedule with its last instance (SC-13, SC-15)."""
    tx.run(_DELETE_INSTANCE, id=instance.id)
    tx.run(_DELETE_UNUSED, id=instance.schedule_id)


def find_instance(tx: Reader, instance_id: str) -> Planned | None:
    return tx.first(_FIND, instance_id=instance_id)


def find_schedule(tx: Reader, schedule_id: str) -> ScheduleRow | None:
    return tx.first(_GET, id=schedule_id)


def find_schedule_in(tx: Reader, environment_id: str, schedule_id: str) -> Planned | None:
    """The schedule, if it is for this environment."""
    return tx.first(_FIND_IN, environment_id=environment_id, id=schedule_id)


def find_by_key(tx: Reader, project_id: str, key: str) -> Planned | None:
    """The schedule of a key, which names its environment, too."""
    return tx.first(_BY_KEY, project_id=project_id, key=key)


def list_declared(tx: Reader, project_id: str, environment_id: str) -> list[Planned]:
    """The schedules of an environment that its code declares."""
    return tx.all(_DECLARED, project_id=project_id, environment_id=environment_id)


def list_schedules(
    tx: Reader, project_id: str, environment_id: str, *, count: int, skip: int = 0
) -> list[Planned]:
    """Schedules of an environment, the newest first, after the first `skip` of them."""
    return tx.all(_LIST, project_id=project_id, environment_id=environment_id, count=count, skip=skip)


def list_schedules_below(
    tx: Reader, project_id: str, environment_id: str, *, before: str, count: int
) -> list[Planned]:
    """Schedules of an environment that are older than one, the newest first."""
    return tx.all(_BELOW, project_id=project_id, environment_id=environment_id, before=before, count=count)


def count_schedules(tx: Reader, project_id: str, environment_id: str) -> int:
    return tx.first(_COUNT, project_id=project_id, environment_id=environment_id) or 0


def list_due(tx: Reader, *, count: int) -> list[DueRow]:
    """Instances whose time has come, the longest due first; before them those that waited for a run."""
    released = tx.all(_RELEASED, count=count)
    return released + tx.all(_DUE, now=tx.now, count=count)


def find_next_due(tx: Reader, after: int) -> int | None:
    """The next planned time of any schedule later than `after` (Unix ms), or None."""
    return tx.first(_NEXT_DUE, after=after)


def list_active(tx: Reader, *, after: str, count: int) -> list[Planned]:
    """Active schedules of environments that are not archived, those whose instance follows another."""
    return tx.all(_ACTIVE, after=after, count=count)


def find_occurrence(tx: Reader, instance_id: str, at: int) -> str | None:
    """The run that an instance made for a nominal time."""
    return tx.first(_OCCURRENCE, instance_id=instance_id, at=at)


def release_waiting(tx: Tx, run_id: str) -> str | None:
    """Let the time that waited for the end of a run be due; returns its schedule."""
    return tx.first(_RELEASE, run_id=run_id)


def release_left_waiting(tx: Tx) -> None:
    """Let every time be due that waits for a run which is over or gone."""
    tx.run(_RELEASE_LEFT)
