"""Schedules: made by calls and by code, changed, switched on and off (engine-behaviours 10).

Everything belongs to one environment: a key sees, changes and removes the schedules of its own.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from trigger_lite.engine.cron import occurrences
from trigger_lite.engine.events import ScheduleChanged
from trigger_lite.engine.requests import MAX_INTEGER, clean, is_over, without_nulls
from trigger_lite.protocol.durations import parse_duration_ms
from trigger_lite.protocol.errors import BadRequest, ScheduleNotFound, Unprocessable
from trigger_lite.protocol.manifest import ScheduleManifest
from trigger_lite.protocol.schedules import (
    DECLARATIVE,
    IMPERATIVE,
    ChangeSchedule,
    CreateSchedule,
    ScheduleBody,
)
from trigger_lite.protocol.tasks import MAX_KEY_BYTES
from trigger_lite.store import requests, schedules, versions
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.schedules import InstanceRow, Planned, ScheduleRow
from trigger_lite.store.transaction import Reader, Tx
from trigger_lite.store.versions import TaskRow

SCHEDULED: Final = "schedule"
"""The trigger source of tasks that schedules may run."""
_MAX_KEY: Final = MAX_KEY_BYTES - 256
"""What is left for a key beside the environment it is of."""
_MOST_MINUTES: Final = {"m": 24 * 60, "h": 24, "%": 100}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it is to be, checked: cron and zone can be used, `expect_within` in seconds."""

    task_id: str
    cron: str
    timezone: str = "UTC"
    external_id: str | None = None
    overlap: str = "allow"
    catch_up: str = "latest"
    expect_within: int | None = None
    time_window: str | None = None


def check_schedule(body: ScheduleBody) -> Wanted:
    """Return what a body asks for. Raises BadRequest or Unprocessable: what is wrong (SC-01, SC-02)."""
    return _checked(
        Wanted(
            task_id=without_nulls(body.task),
            cron=body.cron,
            timezone=body.timezone or "UTC",
            external_id=clean(body.external_id),
            overlap=body.overlap or "allow",
            catch_up=body.catch_up or "latest",
            expect_within=_seconds(body.expect_within),
            time_window=body.window,
        )
    )


def check_key(body: CreateSchedule) -> str | None:
    """Return the key that names a schedule. Raises BadRequest for one that no index holds."""
    key = clean(body.deduplication_key)
    if key is not None and is_over(key, _MAX_KEY):
        raise BadRequest(f"deduplicationKey is over the limit of {_MAX_KEY} bytes")
    return key or None


def check_request_key(key: str | None) -> str | None:
    """Return what names a request. Raises BadRequest for one that no index holds."""
    if key is not None and is_over(key, _MAX_KEY):
        raise BadRequest(f"x-trigger-request-idempotency-key is over the limit of {_MAX_KEY} bytes")
    return clean(key)


def _checked(wanted: Wanted) -> Wanted:
    times = occurrences(wanted.cron, wanted.timezone)
    if wanted.time_window is not None:
        number, unit = int(wanted.time_window[:-1]), wanted.time_window[-1]
        if number > _MOST_MINUTES[unit]:
            raise BadRequest(
                f"window {wanted.time_window!r} is over its limit of {_MOST_MINUTES[unit]}{unit}"
            )
    return msgspec.structs.replace(wanted, cron=times.cron.text)


def _seconds(duration: str | int | None) -> int | None:
    if duration is None or isinstance(duration, int):
        return None if duration is None else min(duration, MAX_INTEGER)
    milliseconds = parse_duration_ms(duration)
    if milliseconds is None:
        raise BadRequest(f'expectWithin {duration!r} is not a duration; write for example "15m"')
    return min(milliseconds // 1000, MAX_INTEGER)


# ---- by calls ---------------------------------------------------------------------------------------


def create_schedule(
    tx: Tx, environment: EnvironmentRow, wanted: Wanted, key: str | None, request_key: str | None = None
) -> Planned:
    """Make a schedule; one that has this key becomes as wanted instead (SC-11).

    A request that is sent again is answered with the schedule it made. Raises Unprocessable when the
    environment's current version has no scheduled task of this id.
    """
    _require_scheduled_task(tx, environment, wanted.task_id)
    if key is not None:
        scoped = f"{environment.id}/{key}"
        known = schedules.find_by_key(tx, environment.project_id, scoped)
        if known is not None:
            return _change(tx, known, wanted)
        return _insert(tx, environment, wanted, kind=IMPERATIVE, key=scoped)
    earlier = request_key and requests.find_request(tx, request_scope(environment, request_key))
    known = schedules.find_schedule_in(tx, environment.id, earlier) if earlier else None
    if known is not None:
        return known
    made = _insert(tx, environment, wanted, kind=IMPERATIVE, key=None)
    if request_key and not earlier:
        requests.insert_request(tx, request_scope(environment, request_key), made.schedule.id)
    return made


def request_scope(environment: EnvironmentRow, request_key: str) -> str:
    """Name a request: the same header value means something else for another environment or address."""
    return f"{environment.id}:/schedules:{request_key}"


def update_schedule(tx: Tx, environment: EnvironmentRow, schedule_id: str, wanted: Wanted) -> Planned:
    """Let a schedule be as wanted (SC-12).

    Raises ScheduleNotFound, or Unprocessable for a declarative one and for a task that is not scheduled.
    """
    planned = require_schedule(tx, environment, schedule_id)
    if planned.schedule.kind == DECLARATIVE:
        raise Unprocessable(f"{schedule_id} is declared in code; change it there")
    _require_scheduled_task(tx, environment, wanted.task_id)
    return _change(tx, planned, wanted)


def change_schedule(tx: Tx, environment: EnvironmentRow, schedule_id: str, body: ChangeSchedule) -> Planned:
    """Change what a body names and leave the rest. Raises as `update_schedule` and `check_schedule` do."""
    row = require_schedule(tx, environment, schedule_id).schedule
    present: dict[str, Any] = {
        "task": row.task_id,
        "cron": row.cron,
        "timezone": row.timezone,
        "external_id": row.external_id,
        "window": row.time_window,
        "overlap": row.overlap,
        "catch_up": row.catch_up,
        "expect_within": row.expect_within,
    }
    given = {
        name: value for name, value in msgspec.structs.asdict(body).items() if value is not msgspec.UNSET
    }
    return update_schedule(tx, environment, schedule_id, check_schedule(ScheduleBody(**present | given)))


def set_active(tx: Tx, environment: EnvironmentRow, schedule_id: str, *, active: bool) -> Planned:
    """Switch a schedule on or off (SC-14).

    Switched off, nothing is planned; switched on, the next future time is, and what was missed stays missed.
    """
    planned = require_schedule(tx, environment, schedule_id)
    if bool(planned.schedule.active) == active:
        return planned
    schedules.update_schedule(tx, schedule_id, {"active": int(active)})
    schedule = planned.schedule._replace(active=int(active), updated_at=tx.now)
    return _plan(tx, planned._replace(schedule=schedule))


def delete_schedule(tx: Tx, environment: EnvironmentRow, schedule_id: str) -> None:
    """Remove a schedule with all that is planned of it; its runs stay (SC-15).

    Raises ScheduleNotFound, or Unprocessable for a declarative one.
    """
    planned = require_schedule(tx, environment, schedule_id)
    if planned.schedule.kind == DECLARATIVE:
        raise Unprocessable(f"{schedule_id} is declared in code; remove it there, or deactivate it")
    schedules.delete_instance(tx, planned.instance)
    tx.emit(ScheduleChanged(environment.id, schedule_id, None))


def require_schedule(tx: Reader, environment: EnvironmentRow, schedule_id: str) -> Planned:
    """Return a schedule of this environment. Raises ScheduleNotFound, for another one's too (SC-13)."""
    planned = schedules.find_schedule_in(tx, environment.id, schedule_id)
    if planned is None:
        raise ScheduleNotFound
    return planned


def _require_scheduled_task(tx: Tx, environment: EnvironmentRow, task_id: str) -> None:
    task = versions.find_current_task(tx, environment.id, task_id)
    if task is None:
        raise Unprocessable(f"There is no task {task_id!r} in the current version of {environment.slug}")
    if task.trigger_source != SCHEDULED:
        raise Unprocessable(f"{task_id!r} is no scheduled task; declare it with @schedules.task")


# ---- by code ----------------------------------------------------------------------------------------


def sync_declared(tx: Tx, environment: EnvironmentRow, tasks: Iterable[TaskRow]) -> None:
    """Let the declarative schedules of an environment be those of these tasks (SC-10).

    What has the same timing keeps what is planned; who switched one off finds it off. May be repeated.
    """
    wanted = {task.task_id: task for task in tasks if _is_declared(environment, task)}
    for planned in schedules.list_declared(tx, environment.project_id, environment.id):
        task = wanted.pop(planned.schedule.task_id, None)
        if task is None:
            schedules.delete_instance(tx, planned.instance)
            tx.emit(ScheduleChanged(environment.id, planned.schedule.id, None))
        else:
            _change(tx, planned, declared(task.task_id, _manifest(task)))
    for task_id, task in wanted.items():
        key = f"{environment.id}:{task_id}"
        _insert(tx, environment, declared(task_id, _manifest(task)), kind=DECLARATIVE, key=key)


def declared(task_id: str, manifest: ScheduleManifest) -> Wanted:
    """Return the schedule that a task declares. Raises BadRequest or Unprocessable, naming the task."""
    try:
        return _checked(
            Wanted(
                task_id=task_id,
                cron=manifest.cron,
                timezone=manifest.timezone,
                overlap=manifest.overlap,
                catch_up=manifest.catch_up,
                expect_within=manifest.expect_within,
                time_window=manifest.window,
            )
        )
    except (BadRequest, Unprocessable) as refusal:
        raise BadRequest(f"Task {task_id!r}: {refusal.message}") from None


def _is_declared(environment: EnvironmentRow, task: TaskRow) -> bool:
    if task.schedule is None:
        return False
    limited_to = _manifest(task).environments
    return limited_to is None or environment.type in limited_to


def _manifest(task: TaskRow) -> ScheduleManifest:
    return msgspec.json.decode(task.schedule or "", type=ScheduleManifest)


# ---- rows -------------------------------------------------------------------------------------------


def _insert(tx: Tx, environment: EnvironmentRow, wanted: Wanted, *, kind: str, key: str | None) -> Planned:
    schedule = ScheduleRow(
        id=tx.new_id("sched"),
        project_id=environment.project_id,
        kind=kind,
        deduplication_key=key,
        has_user_key=int(kind == IMPERATIVE and key is not None),
        active=1,
        created_at=tx.now,
        updated_at=tx.now,
        **msgspec.structs.asdict(wanted),
    )
    instance = InstanceRow(
        id=tx.new_id("instance"),
        schedule_id=schedule.id,
        environment_id=environment.id,
        next_at=None,
        last_at=None,
        last_run_id=None,
        queued_for=None,
        waits_for=None,
        created_at=tx.now,
    )
    schedules.insert_schedule(tx, schedule, instance)
    return _plan(tx, Planned(schedule, instance))


def _change(tx: Tx, planned: Planned, wanted: Wanted) -> Planned:
    """Write what differs; only another timing plans anew."""
    new = msgspec.structs.asdict(wanted)
    changes = {name: value for name, value in new.items() if getattr(planned.schedule, name) != value}
    if not changes:
        return planned
    schedules.update_schedule(tx, planned.schedule.id, changes)
    changed = planned._replace(schedule=planned.schedule._replace(updated_at=tx.now, **changes))
    if changes.keys() & {"cron", "timezone"}:
        return _plan(tx, changed)
    tx.emit(ScheduleChanged(planned.instance.environment_id, planned.schedule.id, planned.instance.next_at))
    return changed


def _plan(tx: Tx, planned: Planned) -> Planned:
    """Plan the next future time, or none for a schedule that is off; a time that waited is dropped."""
    schedule, instance = planned
    next_at = occurrences(schedule.cron, schedule.timezone).next(tx.now) if schedule.active else None
    new = instance._replace(next_at=next_at, queued_for=None, waits_for=None)
    schedules.update_instance(tx, instance.id, {"next_at": next_at, "queued_for": None, "waits_for": None})
    tx.emit(ScheduleChanged(instance.environment_id, schedule.id, next_at))
    return planned._replace(instance=new)


class Repaired(msgspec.Struct, frozen=True):
    """`last` is the last instance looked at, None when there are no more.

    `unplannable` are the schedules that cannot be planned, such as one whose zone this machine does not know.
    """

    last: str | None
    unplannable: list[str]


def repair_plans(tx: Tx, after: str, count: int) -> Repaired:
    """Plan what lost its plan, and what is planned too late for a clock that was ahead (SC-05).

    Looks at `count` instances after one; begin with an empty text. May be repeated.
    """
    if not after:
        schedules.release_left_waiting(tx)
    rows = schedules.list_active(tx, after=after, count=count)
    unplannable = [planned.schedule.id for planned in rows if not _repair(tx, planned)]
    return Repaired(rows[-1].instance.id if len(rows) == count else None, unplannable)


def _repair(tx: Tx, planned: Planned) -> bool:
    """Plan the next future time unless an earlier one is planned; tell whether that could be done."""
    schedule, instance = planned
    try:
        next_at = occurrences(schedule.cron, schedule.timezone).next(tx.now)
    except Unprocessable:
        return False
    if instance.next_at is None or (next_at is not None and next_at < instance.next_at):
        schedules.update_instance(tx, instance.id, {"next_at": next_at})
        tx.emit(ScheduleChanged(instance.environment_id, schedule.id, next_at))
    return True
