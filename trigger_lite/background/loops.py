"""The table of everything that happens by time alone."""

import time
from functools import partial
from typing import Final

from trigger_lite.background.bulk_actions import work_on_bulk_actions
from trigger_lite.background.clock import Loop
from trigger_lite.background.deadlines import Deadlines
from trigger_lite.background.dispatcher import Dispatcher
from trigger_lite.background.repair import repair as repair_state
from trigger_lite.background.retention import ROUND_SECONDS, Retention
from trigger_lite.background.schedules import ScheduleTicks
from trigger_lite.engine.batches import abort_unsealed
from trigger_lite.engine.clock_jumps import bring_back
from trigger_lite.engine.delays import enqueue_delayed
from trigger_lite.engine.deliveries import time_out
from trigger_lite.engine.expiry import expire_lapsed
from trigger_lite.engine.queue_limits import end_overrides
from trigger_lite.engine.waitpoints import complete_due
from trigger_lite.store.batches import find_next_seal_by
from trigger_lite.store.clock_jumps import list_ahead
from trigger_lite.store.queues import find_next_override_end
from trigger_lite.store.requests import delete_requests, find_oldest_request
from trigger_lite.store.runs import RunRow, find_next_delay_end, find_next_expiry, find_run
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Tx
from trigger_lite.store.waitpoints import find_next_due

AT_ONCE: Final = 100
"""Rows a tick works on in one transaction; more are left to the next, which comes at once."""
REQUEST_KEY_LIFE_MS: Final = 86_400_000


def every_loop(
    store: Store, deadlines: Deadlines, dispatcher: Dispatcher, retention: Retention
) -> list[Loop]:
    """List all that a server does by time alone."""
    return [
        *loop_table(store, deadlines, dispatcher),
        batch_loop(store),
        bulk_loop(store),
        clock_loop(store),
        override_loop(store),
        schedule_loop(store, dispatcher),
        retention_loop(retention),
    ]


def loop_table(store: Store, deadlines: Deadlines, dispatcher: Dispatcher) -> list[Loop]:
    """List every loop: its name, the longest sleep, and what it does."""

    async def delays() -> int | None:
        moved = await store.write_when_free(enqueue_delayed, AT_ONCE)
        return _again() if moved == AT_ONCE else await store.read(find_next_delay_end)

    async def expiry() -> int | None:
        moved = await store.write_when_free(expire_lapsed, AT_ONCE)
        return _again() if moved == AT_ONCE else await store.read(find_next_expiry)

    async def waits() -> int | None:
        moved = await store.write_when_free(complete_due, AT_ONCE)
        return _again() if moved == AT_ONCE else await store.read(find_next_due)

    async def request_keys() -> int | None:
        removed = await store.write_when_free(_forget_requests)
        if removed == AT_ONCE:
            return _again()
        oldest = await store.read(find_oldest_request)
        return None if oldest is None else oldest + REQUEST_KEY_LIFE_MS

    return [
        Loop("delays", at_most_seconds=60, tick=delays),
        Loop("expiry", at_most_seconds=60, tick=expiry),
        Loop("waits", at_most_seconds=60, tick=waits),
        Loop("request keys", at_most_seconds=3600, tick=request_keys),
        *_worker_loops(store, deadlines, dispatcher),
    ]


def _worker_loops(store: Store, deadlines: Deadlines, dispatcher: Dispatcher) -> list[Loop]:
    """List the loops that look after the runs that workers have, or could have."""

    async def silence() -> int | None:
        await store.room()  # nobody could be heard while the database did not answer
        for run_id, seq in deadlines.lapsed()[:AT_ONCE]:
            await time_out_run(store, dispatcher, run_id, seq)
        return deadlines.next_lapse_ms()

    async def dispatch() -> int | None:
        dispatcher.wake_all()
        return None

    async def repair() -> int | None:
        owned = await repair_state(store)
        deadlines.arm_all(owned)
        dispatcher.resume(owned)
        dispatcher.promote_all()
        dispatcher.wake_all()
        return None

    return [
        Loop("silence", at_most_seconds=deadlines.shortest_seconds, tick=silence),
        Loop("dispatch", at_most_seconds=60, tick=dispatch),
        Loop("repair", at_most_seconds=86_400, tick=repair),
    ]


def batch_loop(store: Store) -> Loop:
    """Return the loop that aborts batches whose items did not come (BA-09)."""

    async def tick() -> int | None:
        aborted = await store.write_when_free(abort_unsealed, AT_ONCE)
        return _again() if aborted == AT_ONCE else await store.read(find_next_seal_by)

    return Loop("batches", at_most_seconds=60, tick=tick)


def bulk_loop(store: Store) -> Loop:
    """Return the loop that works on bulk actions."""
    return Loop("bulk actions", at_most_seconds=60, tick=partial(work_on_bulk_actions, store))


def clock_loop(store: Store) -> Loop:
    """Return the loop that lets no run wait for a time that the machine's clock went back behind."""

    async def tick() -> int | None:
        ahead = await store.read(partial(list_ahead, count=AT_ONCE))
        if ahead:
            await store.write_when_free(bring_back, ahead)
        return _again() if ahead else None

    return Loop("clock", at_most_seconds=86_400, tick=tick)


def schedule_loop(store: Store, dispatcher: Dispatcher) -> Loop:
    """Return the loop that runs what schedules have due."""
    return Loop("schedules", at_most_seconds=60, tick=ScheduleTicks(store, dispatcher.connected).tick)


def retention_loop(retention: Retention) -> Loop:
    """Return the loop that removes what is old."""
    return Loop("retention", at_most_seconds=2 * ROUND_SECONDS, tick=retention.tick)


def override_loop(store: Store) -> Loop:
    """Return the loop that resets the limits of queues whose override has ended."""

    async def tick() -> int | None:
        ended = await store.write_when_free(end_overrides, AT_ONCE)
        return _again() if ended == AT_ONCE else await store.read(find_next_override_end)

    return Loop("overrides", at_most_seconds=3600, tick=tick)


def _again() -> int:
    return time.time_ns() // 1_000_000


def _forget_requests(tx: Tx) -> int:
    return delete_requests(tx, before=tx.now - REQUEST_KEY_LIFE_MS, count=AT_ONCE)


async def time_out_run(store: Store, dispatcher: Dispatcher, run_id: str, seq: int) -> None:
    """Act on a silent run, and tell the worker that had it, should it still be there."""
    before = await store.write_when_free(_time_out, run_id, seq)
    if before is not None and before.worker_id is not None:
        dispatcher.leave(before.environment_id, before.worker_id, run_id)


def _time_out(tx: Tx, run_id: str, seq: int) -> RunRow | None:
    """Time a run out and return it as it was before, or None when it had moved already."""
    before = find_run(tx, run_id)
    return None if time_out(tx, run_id, seq) is None else before
