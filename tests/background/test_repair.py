"""What is put right while a server runs: found by readers, a chunk at a time, and said."""

import pytest

from tests.background.conftest import Room
from trigger_lite.background.repair import repair, repair_all
from trigger_lite.engine.checks import CHUNK, Check
from trigger_lite.store.query import Query, Statement
from trigger_lite.store.transaction import Tx


def _forget_lanes(tx: Tx) -> None:
    tx.run(Statement("DELETE FROM lane"))


async def test_all_damage_is_put_right_and_said_once(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """13c: more of it than one commit takes."""
    worker = room.connect(await room.register(), credits=0)
    count = CHUNK + 3
    for _ in range(count):
        await room.trigger()
    await room.store.write(_forget_lanes)
    assert await repair(room.store) == []
    assert caplog.messages == [f"put right: {count} runs wait in a lane that does not exist"]
    worker.credits = 1
    room.dispatcher.wake_all()
    run = await worker.receive()
    caplog.clear()
    assert [owned.id for owned in await repair(room.store)] == [run.id]
    assert caplog.messages == []


async def test_what_cannot_be_put_right_is_said_and_holds_up_nothing(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    stubborn = Check(
        "stubborn",
        "things stay as they are",
        Query("SELECT id FROM environment LIMIT :count", str),
        lambda tx, found: None,
    )
    assert await repair_all(room.store, stubborn) == 2
    assert caplog.messages == ["2 things stay as they are, and that cannot be put right"]
