"""What a schedule does at its times (engine-behaviours 10).

A time has one run at most: run and plan change in one transaction, and a unique index holds it even when a
plan is made twice for the same time, as after the clock was set back (SC-20). Runs start at the nominal
second, without spreading (SC-09).

Times that passed while nobody looked, by `catch_up`:

- `latest`: the newest of them runs, late; the others are skipped (SC-04).
- `all`: each runs, oldest first; of more than 100 the newest 100.
- `none`: none runs, unless it is less than a minute late.

A time that comes while the previous run of the schedule is still going on, by `overlap`:

- `allow`: it runs beside it.
- `skip`: it is skipped.
- `queue`: it waits for that run's end. One waits at most: a later time takes the place of an earlier one.

The `lastTimestamp` of a run is the time its predecessor was for, whatever was skipped between (SC-07).
"""

from typing import Final

from trigger_lite.engine.cron import Occurrences, occurrences
from trigger_lite.engine.requests import RunRequest
from trigger_lite.engine.schedules import SCHEDULED, request_scope, require_schedule
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.protocol.errors import Unprocessable
from trigger_lite.protocol.schedules import SUPERJSON, UPCOMING, fire_payload
from trigger_lite.store import environments, requests, runs, schedules, versions
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.schedules import InstanceRow, Planned, ScheduleRow
from trigger_lite.store.transaction import Tx

MAX_CATCH_UP: Final = 100
"""Missed times that `catch_up` all makes up for."""
ON_TIME_MS: Final = 60_000
"""A time is missed when nobody has looked for so long."""


def fire(tx: Tx, instance_id: str, at: int) -> str | None:
    """Do what is due for the nominal time `at`, and plan the next; returns the run that was made.

    Nothing happens when another time is planned by now. Raises Unprocessable when the task is not there or
    its queue is full; nothing is changed then (SC-17).
    """
    planned = schedules.find_instance(tx, instance_id)
    if planned is None or planned.instance.next_at != at:
        return None
    schedule, instance = planned
    environment = _live_environment(tx, planned)
    if environment is None:
        return None
    tick, next_at = _choose(schedule, occurrences(schedule.cron, schedule.timezone), at, tx.now)
    plan: dict[str, object] = {"next_at": next_at}
    run_id = None
    if tick is not None and schedule.overlap == "queue" and _must_wait(tx, instance):
        plan |= {"queued_for": tick, "waits_for": instance.waits_for or _unfinished(tx, instance)}
    elif tick is not None and not (schedule.overlap == "skip" and _unfinished(tx, instance)):
        run_id = _run(tx, environment, planned, tick)
        plan |= {"last_at": tick, "last_run_id": run_id}
    schedules.update_instance(tx, instance_id, plan)
    return run_id


def fire_queued(tx: Tx, instance_id: str, at: int) -> str | None:
    """Run the time that waited for the previous run; returns the run. Raises as `fire` does."""
    planned = schedules.find_instance(tx, instance_id)
    if planned is None or planned.instance.queued_for != at or planned.instance.waits_for is not None:
        return None
    environment = _live_environment(tx, planned)
    if environment is None:
        return None
    busy = _unfinished(tx, planned.instance)
    if busy is not None:
        schedules.update_instance(tx, instance_id, {"waits_for": busy})
        return None
    run_id = _run(tx, environment, planned, at)
    done = {"queued_for": None, "last_at": at, "last_run_id": run_id}
    schedules.update_instance(tx, instance_id, done)
    return run_id


def skip(tx: Tx, instance_id: str, at: int) -> None:
    """Let the time `at`, planned or waiting, pass without a run, and all that passed since (SC-16, SC-17)."""
    planned = schedules.find_instance(tx, instance_id)
    if planned is None:
        return
    schedule, instance = planned
    if instance.queued_for == at:
        schedules.update_instance(tx, instance_id, {"queued_for": None, "waits_for": None})
    if instance.next_at == at:
        schedules.update_instance(tx, instance_id, {"next_at": _next_future(schedule, tx.now)})


def run_now(tx: Tx, environment: EnvironmentRow, schedule_id: str, request_key: str | None = None) -> str:
    """Run a schedule beside its times, which stay as planned; returns the run.

    A request that is sent again is answered with the run it made.

    Raises ScheduleNotFound, or Unprocessable when `overlap` forbids a second run beside the previous one.
    """
    scope = f"{request_scope(environment, request_key)}:{schedule_id}" if request_key else None
    earlier = scope and requests.find_request(tx, scope)
    if earlier:
        return earlier
    planned = require_schedule(tx, environment, schedule_id)
    busy = None if planned.schedule.overlap == "allow" else _unfinished(tx, planned.instance)
    if busy is not None:
        raise Unprocessable(f"{busy} is still going on, and overlap is {planned.schedule.overlap}")
    run_id = _trigger(tx, environment, planned, tx.now, scheduled_for=None)
    schedules.update_instance(tx, planned.instance.id, {"last_run_id": run_id})
    if scope:
        requests.insert_request(tx, scope, run_id)
    return run_id


# ---- which time -------------------------------------------------------------------------------------


def _choose(schedule: ScheduleRow, times: Occurrences, at: int, now: int) -> tuple[int | None, int | None]:
    """Return the time that is to run, if any, and the one to plan (SC-03)."""
    if schedule.catch_up == "all":
        ahead = times.upcoming(at, MAX_CATCH_UP)
        if len(ahead) == MAX_CATCH_UP and ahead[-1] <= now:
            at = times.newest(at, now, MAX_CATCH_UP)[0]
        return at, times.next(at)
    newest = next(iter(times.newest(at, now, 1)), at)
    is_missed = schedule.catch_up == "none" and now - newest >= ON_TIME_MS
    return None if is_missed else newest, times.next(newest)


def _next_future(schedule: ScheduleRow, now: int) -> int | None:
    """Return the next time; None ends the plan of a schedule whose zone this machine no longer knows."""
    try:
        return occurrences(schedule.cron, schedule.timezone).next(now)
    except Unprocessable:
        return None


def _live_environment(tx: Tx, planned: Planned) -> EnvironmentRow | None:
    """Return the environment, or end the plan of a schedule that is off or whose environment is archived."""
    environment = environments.find_live_environment(tx, planned.instance.environment_id)
    if environment is None or not planned.schedule.active:
        ended = {"next_at": None, "queued_for": None, "waits_for": None}
        schedules.update_instance(tx, planned.instance.id, ended)
        return None
    return environment


def _unfinished(tx: Tx, instance: InstanceRow) -> str | None:
    """Return the last run that the instance made, if it is still going on."""
    last = None if instance.last_run_id is None else runs.find_run(tx, instance.last_run_id)
    return None if last is None or last.completed_at is not None else last.id


def _must_wait(tx: Tx, instance: InstanceRow) -> bool:
    return instance.queued_for is not None or _unfinished(tx, instance) is not None


# ---- its run ----------------------------------------------------------------------------------------


def _run(tx: Tx, environment: EnvironmentRow, planned: Planned, at: int) -> str:
    """Return the one run of a time, made now unless it was made before (SC-20)."""
    known = schedules.find_occurrence(tx, planned.instance.id, at)
    return known or _trigger(tx, environment, planned, at, scheduled_for=at)


def _last_before(instance: InstanceRow, at: int) -> int | None:
    """Return the last time that had a run; one that is not earlier was made by a clock that was ahead."""
    return instance.last_at if instance.last_at is not None and instance.last_at < at else None


def _trigger(
    tx: Tx, environment: EnvironmentRow, planned: Planned, at: int, *, scheduled_for: int | None
) -> str:
    schedule, instance = planned
    if versions.find_current_task(tx, environment.id, schedule.task_id) is None:
        raise Unprocessable(
            f"There is no task {schedule.task_id!r} in the current version of {environment.slug}"
        )
    payload = fire_payload(
        schedule_id=schedule.id,
        kind=schedule.kind,
        at=at,
        last_at=_last_before(instance, at),
        timezone=schedule.timezone,
        external_id=schedule.external_id,
        upcoming=occurrences(schedule.cron, schedule.timezone).upcoming(at, UPCOMING),
    )
    request = RunRequest(
        task_id=schedule.task_id,
        payload=payload,
        payload_type=SUPERJSON,
        source=SCHEDULED,
        schedule_id=schedule.id,
        schedule_instance_id=instance.id,
        scheduled_for=scheduled_for,
    )
    return trigger_run(tx, environment, request).run_id
