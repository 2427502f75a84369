"""Schedules as tests need them, made and fired by the engine's own functions."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from tests.support.builders import a_task, a_version
from tests.support.harness import Harness
from trigger_lite.engine.firing import fire, fire_queued
from trigger_lite.engine.schedules import check_schedule, create_schedule
from trigger_lite.protocol.manifest import RegisteredWorker
from trigger_lite.protocol.schedules import ScheduleBody
from trigger_lite.store import schedules
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.runs import RunRow
from trigger_lite.store.schedules import DueRow, Planned

NIGHTLY: Final = "nightly"


def at(text: str) -> int:
    """Unix ms of a time in UTC, such as `2026-09-22 05:00`."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def scheduled_tasks(
    engine: Harness, *names: str, content: str = "one", environment: EnvironmentRow | None = None
) -> RegisteredWorker:
    """Register a version with scheduled tasks, `nightly` and these, and with `resize`, which is none."""
    tasks = [a_task(name, triggerSource="schedule") for name in (NIGHTLY, *names)]
    return a_version(engine, *tasks, a_task(), content=content, environment=environment)


def a_schedule(
    engine: Harness,
    cron: str = "0 5 * * *",
    *,
    key: str | None = None,
    task: str = NIGHTLY,
    environment: EnvironmentRow | None = None,
    **options: Any,
) -> Planned:
    body = ScheduleBody(task=task, cron=cron, **options)
    return engine.do(create_schedule, environment or engine.prod, check_schedule(body), key)


def planned(engine: Harness, schedule: Planned) -> Planned:
    """The schedule as it is now."""
    found = engine.do(schedules.find_instance, schedule.instance.id)
    assert found is not None
    return found


def due(engine: Harness) -> list[DueRow]:
    return engine.do(schedules.list_due, count=1_000)


def fire_all(engine: Harness) -> list[RunRow]:
    """Do everything that is due now, as the loop does; returns the runs that were made, in order."""
    made: list[RunRow] = []
    for _ in range(1_000):
        rows = due(engine)
        if not rows:
            return made
        for row in rows:
            run_id = engine.do(fire_queued if row.is_queued else fire, row.instance_id, row.at)
            made += [engine.run(run_id)] if run_id is not None else []
    raise AssertionError("schedules are due for ever")


def payload(engine: Harness, run: RunRow) -> Any:
    """The payload of a scheduled run without the notes of what is a date."""
    return msgspec.json.decode(engine.data(run).payload or "")["json"]
