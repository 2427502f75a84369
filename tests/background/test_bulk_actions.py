"""The loop that works on bulk actions (CN-14, CN-15, LK-03)."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.background.conftest import Room
from trigger_lite.background.bulk_actions import AT_ONCE, work_on_bulk_actions
from trigger_lite.background.loops import bulk_loop
from trigger_lite.engine.bulk_actions import PAGE, BulkRequest, abort_bulk_action, create_bulk_action, freeze
from trigger_lite.store.bulk_actions import BulkActionRow, find_bulk_action, list_failed
from trigger_lite.store.query import Statement
from trigger_lite.store.run_lists import RunFilter, list_runs
from trigger_lite.store.runs import RunRow


class Bulk:
    """Bulk actions of the production environment."""

    def __init__(self, room: Room) -> None:
        self.room = room

    async def make(self, kind: str = "cancel") -> str:
        wanted = await self.room.store.read(freeze, RunFilter(environment_id=self.room.prod.id))
        request = BulkRequest(kind=kind, source="api", wanted=wanted)
        return await self.room.store.write(create_bulk_action, self.room.prod, request)

    async def row(self, bulk_id: str) -> BulkActionRow:
        found = await self.room.store.read(find_bulk_action, bulk_id)
        assert found is not None
        return found

    async def begun(self, bulk_id: str) -> None:
        """Return when the first runs were acted on."""
        async with asyncio.timeout(60):
            while (await self.row(bulk_id)).cursor is None:
                pass

    async def work(self) -> None:
        async with asyncio.timeout(60):
            while await work_on_bulk_actions(self.room.store) is not None:
                pass


@pytest.fixture
async def bulk(room: Room) -> AsyncIterator[Bulk]:
    yield Bulk(room)


async def _runs(room: Room, count: int) -> list[str]:
    return await asyncio.gather(*(room.trigger() for _ in range(count)))


async def test_the_loop_works_through_every_bulk_action(room: Room, bulk: Bulk) -> None:
    """CN-14: more than one page, and more than one action at a time."""
    await _runs(room, PAGE + AT_ONCE + 1)
    cancel, other = await bulk.make(), await bulk.make()
    assert (await work_on_bulk_actions(room.store) or 0) <= time.time_ns() // 1_000_000 + 1_000
    await bulk.work()
    assert [(await bulk.row(one)).status for one in (cancel, other)] == ["COMPLETED"] * 2
    assert (await bulk.row(cancel)).success + (await bulk.row(other)).success == PAGE + AT_ONCE + 1


async def test_the_loop_sleeps_when_there_is_nothing_to_do(room: Room) -> None:
    """CN-14: a new action wakes it."""
    assert await bulk_loop(room.store).tick() is None


async def test_work_goes_on_where_the_last_server_left_it(room: Room, bulk: Bulk) -> None:
    """CN-15: a server that ends in the middle loses and repeats nothing."""
    made = sorted(await _runs(room, 2 * AT_ONCE + 3))
    bulk_id = await bulk.make("replay")
    work = asyncio.create_task(work_on_bulk_actions(room.store))
    await bulk.begun(bulk_id)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await bulk.work()
    end = await bulk.row(bulk_id)
    assert (end.status, end.success, end.failure) == ("COMPLETED", len(made), 0)
    assert sorted(run.replay_of or "" for run in await _replays(room)) == made


async def test_two_loops_at_once_do_nothing_twice(room: Room, bulk: Bulk) -> None:
    """CN-15: only one of them finds the cursor where it looked."""
    made = await _runs(room, 3 * AT_ONCE)
    bulk_id = await bulk.make("replay")
    await asyncio.gather(bulk.work(), bulk.work(), bulk.work())
    assert (await bulk.row(bulk_id)).success == len(made)
    assert len(await _replays(room)) == len(made)


async def test_an_abort_stops_the_page_under_way(room: Room, bulk: Bulk) -> None:
    """CN-14: at the next few runs."""
    await _runs(room, PAGE)
    bulk_id = await bulk.make()
    work = asyncio.create_task(work_on_bulk_actions(room.store))
    await bulk.begun(bulk_id)
    await room.store.write(abort_bulk_action, room.prod.id, bulk_id)
    await work
    end = await bulk.row(bulk_id)
    assert end.status == "ABORTED"
    assert await work_on_bulk_actions(room.store) is None


async def test_a_run_that_breaks_the_engine_is_counted_and_passed(room: Room, bulk: Bulk) -> None:
    """LK-03: what always fails is recorded, and not tried for ever."""
    made = sorted(await _runs(room, AT_ONCE))
    await room.store.write(lambda tx: tx.run(_break(made[3])))
    bulk_id = await bulk.make()
    await bulk.work()
    end = await bulk.row(bulk_id)
    assert (end.status, end.success, end.failure) == ("COMPLETED", AT_ONCE - 1, 1)
    (failed,) = await room.store.read(list_failed, bulk_id, count=10)
    assert (failed.run_id, failed.error) == (made[3], "An unexpected error; the server's log has it")


def _break(run_id: str) -> Statement:
    return Statement(f"UPDATE run SET execution_status = 'NOWHERE' WHERE id = '{run_id}'")


async def _replays(room: Room) -> list[RunRow]:
    page = await room.store.read(list_runs, RunFilter(environment_id=room.prod.id), size=1_000)
    return [run for run in page.rows if run.replay_of]
