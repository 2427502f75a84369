"""Rates and overrides, by the clock alone."""

import time
from itertools import pairwise

from tests.background.conftest import Room
from tests.support.builders import a_task
from trigger_lite.background.clock import Clock
from trigger_lite.background.deadlines import Deadlines
from trigger_lite.background.dispatcher import Dispatcher
from trigger_lite.background.loops import loop_table, override_loop
from trigger_lite.config import Settings
from trigger_lite.engine.queue_limits import Override, QueueRef, find_queue, override_limit
from trigger_lite.protocol.manifest import TaskManifest
from trigger_lite.store.query import Query
from trigger_lite.store.transaction import Reader

RESIZE = QueueRef("task", "resize")


def _rated(count: int, period_ms: int) -> TaskManifest:
    return a_task(queue={"rate": {"count": count, "periodMs": period_ms, "burst": 1}})


def _starts(tx: Reader) -> list[int]:
    return tx.all(Query("SELECT started_at FROM run WHERE started_at IS NOT NULL ORDER BY started_at", int))


async def test_the_dispatcher_asks_to_be_called_when_the_next_token_comes(room: Room) -> None:
    """To the millisecond: nobody polls a queue that has none."""
    worker = room.connect(await room.register(_rated(1, 3_600_000)), credits=5)
    await room.trigger(), await room.trigger()
    first = await worker.receive()
    await room.settle()
    assert first.started_at is not None
    assert ("dispatch", first.started_at + 3_600_000) in room.clock.wakes
    assert worker.pushed == [first.id]


async def test_runs_start_one_after_the_other_as_their_tokens_come(room: Room) -> None:
    """By the real clock: never closer than the rate says, and without anything that wakes it but time."""
    deadlines, clock = Deadlines(Settings()), Clock()
    room.dispatcher = dispatcher = Dispatcher(room.store, clock)
    worker = room.connect(await room.register(_rated(20, 1_000)), credits=100)
    for _ in range(6):
        await room.trigger()
    clock.start(loop_table(room.store, deadlines, dispatcher))
    for _ in range(6):
        await worker.receive()
    clock.stop()
    starts = await room.store.read(_starts)
    assert all(later - sooner >= 50 for sooner, later in pairwise(starts))


async def test_an_override_ends_at_its_time(room: Room) -> None:
    """Q-36: the loop asks to be called when the next one ends."""
    await room.register(a_task(queue={"concurrencyLimit": 3}))
    loop = override_loop(room.store)
    assert await loop.tick() is None
    ends_at = time.time_ns() // 1_000_000 + 60_000
    override = Override(limit=5, ends_at=ends_at)
    assert (await room.store.write(override_limit, room.prod.id, RESIZE, override)).limit == 5
    assert await loop.tick() == ends_at
    await room.store.write(lambda tx: tx.run(Query("UPDATE queue SET override_ends_at = 1", int)))
    assert await loop.tick() is None
    assert (await room.store.read(find_queue, room.prod.id, RESIZE)).limit == 3
