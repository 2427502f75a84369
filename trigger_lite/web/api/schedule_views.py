"""Schedules as the management API shows them (management-api 9.3, SC-21)."""

from trigger_lite.engine.cron_words import describe
from trigger_lite.protocol.schedules import Generator, RunSchedule, Schedule, ScheduleEnvironment
from trigger_lite.protocol.times import iso
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.schedules import Planned, ScheduleRow


def schedule_view(planned: Planned, environment: EnvironmentRow) -> Schedule:
    """Return a schedule as clients see it. Nothing is spread (SC-09), so it runs when it is planned."""
    row, instance = planned
    next_run = None if instance.next_at is None else iso(instance.next_at)
    return Schedule(
        id=row.id,
        type=row.kind,
        task=row.task_id,
        active=bool(row.active),
        generator=_generator(row),
        timezone=row.timezone,
        overlap=row.overlap,
        catch_up=row.catch_up,
        environments=[ScheduleEnvironment(environment.id, environment.type)],
        deduplication_key=_given_key(row),
        external_id=row.external_id,
        window=row.time_window,
        expect_within=row.expect_within,
        next_run=next_run,
        next_run_effective_at=next_run,
        last_run=None if instance.last_at is None else iso(instance.last_at),
    )


def run_schedule(row: ScheduleRow) -> RunSchedule:
    """Return what a run shows of its schedule."""
    return RunSchedule(row.id, _generator(row), row.external_id, _given_key(row))


def _generator(row: ScheduleRow) -> Generator:
    return Generator(row.cron, describe(row.cron))


def _given_key(row: ScheduleRow) -> str | None:
    """Return the key as it was given: without the environment that it is of."""
    return (row.deduplication_key or "").partition("/")[2] if row.has_user_key else None
