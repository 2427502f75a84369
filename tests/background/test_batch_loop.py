"""Batches whose items did not come, by time alone."""

from tests.background.conftest import Room
from trigger_lite.background.loops import AT_ONCE, batch_loop
from trigger_lite.engine.batch_requests import check_batch
from trigger_lite.engine.batches import create_batch
from trigger_lite.protocol.batches import CreateBatch
from trigger_lite.store.batches import find_batch
from trigger_lite.store.query import Query


async def _announce(room: Room) -> str:
    request = check_batch(CreateBatch(1), request_key=None)
    return (await room.store.write(create_batch, room.prod, request)).batch.id


async def _make_late(room: Room) -> None:
    await room.store.write(lambda tx: tx.all(Query("UPDATE batch SET seal_by = 1 RETURNING id", str)))


async def test_a_batch_is_aborted_when_its_time_has_come(room: Room) -> None:
    """BA-09: the loop asks to be called when the next one is due."""
    loop = batch_loop(room.store)
    assert await loop.tick() is None
    batch = await _announce(room)
    found = await room.store.read(find_batch, batch)
    assert found is not None and await loop.tick() == found.seal_by
    await _make_late(room)
    assert await loop.tick() is None
    after = await room.store.read(find_batch, batch)
    assert after is not None and after.status == "ABORTED"


async def test_more_late_batches_than_one_tick_takes_are_left_to_the_next(room: Room) -> None:
    """BA-09, LK-03: which comes at once."""
    loop = batch_loop(room.store)
    for _ in range(AT_ONCE + 1):
        await _announce(room)
    await _make_late(room)
    again = await loop.tick()
    assert again is not None
    assert await loop.tick() is None
