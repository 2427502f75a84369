"""The loop of schedules over a real store: SC-05, SC-16, SC-17, SC-20. Times are those of this machine."""

import asyncio
import time
from typing import Any

import pytest

from tests.background.conftest import Room
from tests.support.builders import a_task
from trigger_lite.background.schedules import AT_ONCE, TRIES, ScheduleTicks
from trigger_lite.engine.schedules import check_schedule, create_schedule
from trigger_lite.protocol.schedules import ScheduleBody
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.query import Query
from trigger_lite.store.schedules import InstanceRow, Planned, find_instance

HOUR = 3_600_000
NIGHTLY = "nightly"


@pytest.fixture
def ticks(room: Room) -> ScheduleTicks:
    return ScheduleTicks(room.store, room.dispatcher.connected)


async def _register(room: Room, environment: EnvironmentRow | None = None, *, content: str = "one") -> str:
    task = a_task(NIGHTLY, triggerSource="schedule")
    return await room.register(task, content=content, environment=environment)


async def _schedule(
    room: Room, cron: str = "0 0 1 1 *", environment: EnvironmentRow | None = None, **options: Any
) -> Planned:
    wanted = check_schedule(ScheduleBody(task=NIGHTLY, cron=cron, **options))
    return await room.store.write(create_schedule, environment or room.prod, wanted, None)


async def _change(room: Room, sql: str, **parameters: Any) -> None:
    await room.store.write(lambda tx: tx.all(Query(f"{sql} RETURNING id", str), **parameters))


async def _ask(room: Room, sql: str) -> list[Any]:
    return await room.store.read(lambda tx: tx.all(Query(sql, lambda column: column)))


async def _make_due(room: Room, schedule: Planned | None = None) -> None:
    """Let the planned time have come a moment ago; the cron expressions here are far from any."""
    which = "%" if schedule is None else schedule.instance.id
    await _change(
        room, "UPDATE schedule_instance SET next_at = :at WHERE id LIKE :id", at=_now() - 5, id=which
    )


def _now() -> int:
    return time.time_ns() // 1_000_000


async def _instance(room: Room, schedule: Planned) -> InstanceRow:
    found = await room.store.read(find_instance, schedule.instance.id)
    assert found is not None
    return found.instance


async def test_the_loop_asks_to_be_called_when_the_next_schedule_is_due(
    room: Room, ticks: ScheduleTicks
) -> None:
    """SC-03: and not at all while nothing is planned."""
    assert await ticks.tick() is None
    await _register(room)
    schedule, later = await _schedule(room), await _schedule(room, "0 1 1 1 *")
    assert await ticks.tick() == schedule.instance.next_at
    await _make_due(room, schedule)
    assert await ticks.tick() == schedule.instance.next_at
    assert await _ask(room, "SELECT schedule_id FROM run") == [schedule.schedule.id]
    assert await _instance(room, later) == later.instance


async def test_very_many_schedules_that_are_due_at_once_run_a_few_at_a_time(
    room: Room, ticks: ScheduleTicks
) -> None:
    """SC-05: one run each; the next call comes at once until all have run."""
    await _register(room)
    for _ in range(AT_ONCE + 20):
        await _schedule(room)
    await _make_due(room)
    again = await ticks.tick()
    assert again is not None and again <= _now()
    while (again := await ticks.tick()) is not None and again <= _now():
        pass
    assert await _ask(room, "SELECT count(DISTINCT schedule_id) FROM run") == [AT_ONCE + 20]
    assert await _ask(room, "SELECT count(*) FROM run") == [AT_ONCE + 20]


async def test_two_servers_looking_at_once_make_one_run(room: Room, ticks: ScheduleTicks) -> None:
    """SC-20: whoever comes second finds another time planned."""
    await _register(room)
    await _schedule(room)
    await _make_due(room)
    other = ScheduleTicks(room.store, room.dispatcher.connected)
    await asyncio.gather(ticks.tick(), other.tick())
    assert await _ask(room, "SELECT count(*) FROM run") == [1]


async def test_schedules_of_a_dev_environment_run_only_while_a_worker_is_connected(
    room: Room, ticks: ScheduleTicks
) -> None:
    """SC-16: otherwise the time is skipped, and the next one planned."""
    version = await _register(room, room.dev)
    schedule = await _schedule(room, environment=room.dev)
    await _make_due(room)
    assert await ticks.tick() == schedule.instance.next_at
    assert await _ask(room, "SELECT count(*) FROM run") == [0]
    assert (await _instance(room, schedule)).last_at is None
    worker = room.connect(version, environment=room.dev)
    await _make_due(room)
    await ticks.tick()
    assert (await worker.receive()).schedule_id == schedule.schedule.id
    room.dispatcher.remove(worker)
    await _make_due(room)
    await ticks.tick()
    assert await _ask(room, "SELECT count(*) FROM run") == [1]


async def test_schedules_of_other_environments_run_without_a_worker(room: Room, ticks: ScheduleTicks) -> None:
    """SC-16: their runs wait for one."""
    await _register(room)
    await _schedule(room)
    await _make_due(room)
    await ticks.tick()
    assert await _ask(room, "SELECT status FROM run") == ["PENDING"]


async def test_a_time_that_cannot_run_is_tried_five_times_and_stops_no_other(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """SC-17: each failure is told in the log; the later times are still planned."""
    ticks = ScheduleTicks(room.store, room.dispatcher.connected, retry_seconds=0)
    await _register(room)
    bad, good = await _schedule(room), await _schedule(room)
    await _change(room, "UPDATE schedule SET task_id = 'gone' WHERE id = :id", id=bad.schedule.id)
    await _make_due(room)
    due_at = (await _instance(room, bad)).next_at
    for tries in range(1, TRIES):
        again = await ticks.tick()
        assert again is not None and again <= _now()
        assert (await _instance(room, bad)).next_at == due_at
        assert len(caplog.messages) == tries and "tried again in 0 s" in caplog.messages[-1]
    assert await ticks.tick() == bad.instance.next_at
    assert "There is no task 'gone' in the current version of prod; skipped after 5" in caplog.messages[-1]
    assert await _ask(room, "SELECT schedule_id FROM run") == [good.schedule.id]


async def test_a_time_that_failed_is_not_tried_before_its_time(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """SC-17: the tries are a second apart, then two, four and eight."""
    ticks = ScheduleTicks(room.store, room.dispatcher.connected, retry_seconds=HOUR)
    schedule = await _schedule_of_missing_task(room)
    again = await ticks.tick()
    assert again is not None and again > _now() + HOUR
    assert await ticks.tick() == again
    assert len(caplog.messages) == 1
    await _change(room, "UPDATE schedule SET active = 0 WHERE id = :id", id=schedule.schedule.id)
    await _change(room, "UPDATE schedule_instance SET next_at = NULL WHERE id = :id", id=schedule.instance.id)
    assert await ticks.tick() is None, "nothing is remembered of a time that is no longer due"


async def test_a_fault_in_one_schedule_stops_no_other(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """SC-17: nor is it repeated for ever."""
    ticks = ScheduleTicks(room.store, room.dispatcher.connected, retry_seconds=0)
    await _register(room)
    bad, good = await _schedule(room), await _schedule(room)
    await _change(
        room, "UPDATE schedule SET cron = 'x', catch_up = 'none' WHERE id = :id", id=bad.schedule.id
    )
    await _change(room, "UPDATE schedule SET catch_up = 'none' WHERE id = :id", id=good.schedule.id)
    await _make_due(room)
    for _ in range(TRIES):
        await ticks.tick()
    assert (await _instance(room, bad)).next_at is None
    assert await _ask(room, "SELECT schedule_id FROM run") == [good.schedule.id]


async def _schedule_of_missing_task(room: Room) -> Planned:
    await _register(room)
    schedule = await _schedule(room)
    await _change(room, "UPDATE schedule SET task_id = 'gone' WHERE id = :id", id=schedule.schedule.id)
    await _make_due(room)
    return schedule


async def test_plans_that_were_lost_are_made_again_at_the_start(
    room: Room, ticks: ScheduleTicks, caplog: pytest.LogCaptureFixture
) -> None:
    """SC-05: of all schedules, a few at a time; one that cannot be planned is named."""
    await _register(room)
    made = [await _schedule(room) for _ in range(AT_ONCE + 1)]
    await _change(room, "UPDATE schedule_instance SET next_at = NULL")
    await _change(room, "UPDATE schedule SET timezone = 'Mars' WHERE id = :id", id=made[0].schedule.id)
    again = await ticks.tick()
    assert again is not None and again <= _now()
    assert await ticks.tick() == made[1].instance.next_at
    planned = [(await _instance(room, schedule)).next_at for schedule in made]
    assert planned == [None, *(schedule.instance.next_at for schedule in made[1:])]
    assert caplog.messages == [
        f"the schedule {made[0].schedule.id} cannot be planned: its time zone is not known here"
    ]


async def test_plans_are_looked_over_again_when_the_clock_went_back(room: Room) -> None:
    """SC-05, SC-20: what a clock that was ahead planned is brought back."""
    clock = [time.time() + 3_600]
    ticks = ScheduleTicks(room.store, room.dispatcher.connected, now=lambda: clock[0])
    await _register(room)
    schedule = await _schedule(room)
    due = await ticks.tick()
    assert due == schedule.instance.next_at
    far = (due or 0) + 10 * 365 * 24 * HOUR
    await _change(room, "UPDATE schedule_instance SET next_at = :at", at=far)
    assert await ticks.tick() == far
    clock[0] -= 3_600
    assert await ticks.tick() == due
