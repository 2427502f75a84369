"""What happens by time alone, loop by loop."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.background.conftest import Room
from tests.support.recovering import recover
from trigger_lite.background.deadlines import Deadlines
from trigger_lite.background.loops import AT_ONCE, REQUEST_KEY_LIFE_MS, clock_loop, loop_table
from trigger_lite.config import Settings
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.store.query import Query
from trigger_lite.store.requests import find_request, insert_request

Tick = Callable[[], Awaitable[int | None]]


def _now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def deadlines() -> Deadlines:
    return Deadlines(Settings(start_timeout=0.1, run_timeout=0.1, cancel_timeout=0.1))


@pytest.fixture
def ticks(room: Room, deadlines: Deadlines) -> dict[str, Tick]:
    return {loop.name: loop.tick for loop in loop_table(room.store, deadlines, room.dispatcher)}


async def _make_due(room: Room, column: str) -> None:
    """Let the time come that the rows name."""
    await room.store.write(
        lambda tx: tx.all(Query(f"UPDATE run SET {column} = 1 WHERE {column} IS NOT NULL RETURNING id", str))
    )


async def test_a_delayed_run_is_queued_at_its_time(room: Room, ticks: dict[str, Tick]) -> None:
    """TR-10: the loop asks to be called when the next one is due."""
    assert await ticks["delays"]() is None
    run_id = await room.trigger(delay="1h")
    due = await ticks["delays"]()
    assert due == (await room.run(run_id)).delay_until
    await _make_due(room, "delay_until")
    assert await ticks["delays"]() is None
    assert (await room.run(run_id)).execution_status == X.QUEUED


async def test_a_lapsed_run_expires_at_its_time(room: Room, ticks: dict[str, Tick]) -> None:
    """Q-40: without any worker."""
    assert await ticks["expiry"]() is None
    run_id = await room.trigger(ttl=60)
    assert await ticks["expiry"]() == (await room.run(run_id)).ttl_at
    await _make_due(room, "ttl_at")
    assert await ticks["expiry"]() is None
    assert (await room.run(run_id)).execution_status == X.FINISHED


@pytest.mark.parametrize(("loop", "option"), [("delays", {"delay": "1h"}), ("expiry", {"ttl": 60})])
async def test_more_than_one_tick_takes_is_left_to_the_next_which_comes_at_once(
    room: Room, ticks: dict[str, Tick], loop: str, option: dict[str, Any]
) -> None:
    """LK-03: a tick does bounded work and says whether more is waiting."""
    for _ in range(AT_ONCE + 1):
        await room.trigger(**option)
    await _make_due(room, "delay_until" if loop == "delays" else "ttl_at")
    again = await ticks[loop]()
    assert again is not None and again <= _now()
    assert await ticks[loop]() is None


async def test_a_silent_run_is_acted_on_and_its_worker_told_to_leave(
    room: Room, ticks: dict[str, Tick], deadlines: Deadlines
) -> None:
    """HB-02, HB-03: the next call is planned by what is still watched."""
    assert await ticks["silence"]() is None
    worker = room.connect(await room.register())
    await room.trigger()
    run = await room.start(await worker.receive())
    deadlines.arm_all(await room.store.write(recover))
    assert await ticks["silence"]() is not None
    assert (await room.run(run.id)).execution_status == X.EXECUTING
    silent = Deadlines(Settings(run_timeout=0.0))
    silent.arm_all([run])
    silence = next(loop for loop in loop_table(room.store, silent, room.dispatcher) if loop.name == "silence")
    await silence.tick()
    assert (await room.run(run.id)).execution_status == X.QUEUED
    assert worker.left == [run.id]


async def test_a_run_that_moved_before_its_timeout_was_acted_on_is_left_alone(
    room: Room, ticks: dict[str, Tick]
) -> None:
    """HB-07: and its worker hears nothing."""
    worker = room.connect(await room.register())
    await room.trigger()
    claimed = await worker.receive()
    await room.finish(claimed)
    late = Deadlines(Settings(start_timeout=0.0))
    late.arm_all([claimed])
    silence = next(loop for loop in loop_table(room.store, late, room.dispatcher) if loop.name == "silence")
    await silence.tick()
    assert worker.left == []
    assert (await room.run(claimed.id)).execution_status == X.FINISHED


async def test_request_keys_are_forgotten_after_a_day(room: Room, ticks: dict[str, Tick]) -> None:
    """ID-07: an old request may be repeated."""
    assert await ticks["request keys"]() is None
    await room.store.write(insert_request, "old", "run_1")
    await room.store.write(
        lambda tx: tx.all(
            Query("UPDATE request_key SET created_at = :at RETURNING key", str),
            at=_now() - REQUEST_KEY_LIFE_MS - 1,
        )
    )
    await room.store.write(insert_request, "new", "run_2")
    due = await ticks["request keys"]()
    assert due is not None and due > _now() + REQUEST_KEY_LIFE_MS - 60_000
    assert await room.store.read(find_request, "old") is None
    assert await room.store.read(find_request, "new") == "run_2"


async def test_the_dispatch_loop_looks_for_work_of_every_connected_environment(
    room: Room, ticks: dict[str, Tick]
) -> None:
    """Q-02: a run whose time has come is started without an event."""
    worker = room.connect(await room.register())
    run_id = await room.trigger(priority=-3_600)
    await room.settle()
    await room.store.write(lambda tx: tx.all(Query("UPDATE run SET score = 1 RETURNING id", str)))
    await room.store.write(lambda tx: tx.all(Query("UPDATE lane SET head_score = 1 RETURNING id", str)))
    assert await ticks["dispatch"]() is None
    assert (await worker.receive()).id == run_id


async def test_a_run_that_came_while_the_clock_was_ahead_starts_when_it_is_set_back(room: Room) -> None:
    """TR-14: nobody waits for an hour to come again."""
    worker = room.connect(await room.register(), credits=0)
    run_id = await room.trigger()
    await room.settle()
    sql = "UPDATE run SET score = score + :ms, updated_at = updated_at + :ms RETURNING id"
    await room.store.write(lambda tx: tx.all(Query(sql, str), ms=3_600_000))
    await room.store.write(
        lambda tx: tx.all(
            Query("UPDATE lane SET head_score = head_score + :ms RETURNING id", str), ms=3_600_000
        )
    )
    worker.credits = 1
    tick = clock_loop(room.store).tick
    due = await tick()
    assert due is not None and due <= _now()
    assert (await worker.receive()).id == run_id
    assert await tick() is None
