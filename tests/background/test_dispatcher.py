"""Waiting runs meet free workers: once each, within limits, at their time, until the stop."""

import asyncio
import threading
import time

import pytest

from tests.background.conftest import SECONDS, PlayedWorker, Room
from tests.support.builders import TASK, a_task
from trigger_lite.background.dispatcher import Dispatcher
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.deliveries import hand_back
from trigger_lite.engine.pending_versions import PROMOTE_CHUNK
from trigger_lite.engine.queues import Claim, set_paused
from trigger_lite.engine.requests import check_trigger
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.engine.waits import TokenRequest, complete_token, create_token, wait_for_token
from trigger_lite.engine.workers import promote_waiting
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.tasks import TriggerTask
from trigger_lite.store.query import Query
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx


async def test_a_triggered_run_reaches_a_free_worker_once(room: Room) -> None:
    """Q-07 ↯, Q-26: at once, without polling."""
    worker = room.connect(await room.register())
    run_id = await room.trigger()
    run = await worker.receive()
    await room.settle()
    assert (run.id, worker.pushed, worker.credits) == (run_id, [run_id], 0)
    assert (run.worker_id, run.execution_status) == (worker.worker_id, X.PENDING_EXECUTING)


async def test_a_run_is_claimed_in_the_commit_that_makes_it(room: Room) -> None:
    """Q-07: a free worker has it by the time the trigger is answered, without a second commit."""
    worker = room.connect(await room.register())
    await room.settle()
    request = check_trigger(TASK, TriggerTask(payload=None), now=0, source="api", request_key=None)
    written = room.store.submit(trigger_run, room.prod, request)
    room.dispatcher.wake(room.prod.id)
    triggered = await written
    await asyncio.sleep(0)
    assert worker.pushed == [triggered.run_id]


async def test_a_worker_gets_as_many_runs_as_it_has_room_for(room: Room) -> None:
    """Q-08: and the rest when it makes room."""
    version = await room.register()
    made = [await room.trigger() for _ in range(5)]
    worker = room.connect(version, credits=2)
    assert [(await worker.receive()).id for _ in range(2)] == made[:2]
    await room.settle()
    assert worker.pushed == made[:2]
    worker.credits += 3
    room.dispatcher.wake(room.prod.id)
    assert [(await worker.receive()).id for _ in range(3)] == made[2:]


async def test_no_two_workers_get_the_same_run(room: Room) -> None:
    """Q-26: however many look at once."""
    version = await room.register()
    workers = [room.connect(version, credits=3) for _ in range(4)]
    made = [await room.trigger() for _ in range(9)]
    async with asyncio.timeout(SECONDS):
        while sum(len(worker.pushed) for worker in workers) < 9:
            await room.settle()
    assert sorted(run_id for worker in workers for run_id in worker.pushed) == sorted(made)


async def test_workers_of_another_environment_get_nothing(room: Room) -> None:
    """Q-26: a run stays in its environment."""
    version = await room.register(environment=room.dev)
    stranger = room.connect(version, credits=5, environment=room.dev)
    await room.register()
    await room.trigger()
    await room.settle()
    assert stranger.pushed == []
    assert (room.dispatcher.connected(room.dev.id), room.dispatcher.connected(room.prod.id)) == (1, 0)


class Busy:
    """Keeps the writer busy until the block ends."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._entered = threading.Event()
        self._opened = threading.Event()

    def _hold(self, _tx: Tx) -> None:
        self._entered.set()
        assert self._opened.wait(SECONDS)

    async def __aenter__(self) -> None:
        self._held = asyncio.ensure_future(self._room.store.write(self._hold))
        await asyncio.to_thread(self._entered.wait, SECONDS)

    async def __aexit__(self, *_: object) -> None:
        self._opened.set()
        await self._held


async def test_a_run_claimed_for_a_worker_that_is_gone_goes_back_to_its_place(room: Room) -> None:
    """Q-29: no delivery is counted, and the next worker gets it first."""
    version = await room.register()
    run_id = await room.trigger()
    await room.trigger()
    async with Busy(room):
        gone = room.connect(version)
        await asyncio.sleep(0)  # the claim is under way
        room.dispatcher.remove(gone)
    await room.settle()
    run = await room.run(run_id)
    assert (run.execution_status, run.deliveries, gone.pushed) == (X.QUEUED, 0, [])
    assert (await room.connect(version).receive()).id == run_id


async def test_a_worker_that_connected_again_is_reached_by_its_new_connection(room: Room) -> None:
    """HB-10: the old connection's end does not close the new one."""
    version = await room.register()
    old = room.connect(version, credits=0)
    new = PlayedWorker(old.worker_id, room.prod.id, version, credits=1)
    room.dispatcher.add(new)
    room.dispatcher.remove(old)
    run_id = await room.trigger()
    assert (await new.receive()).id == run_id


async def test_a_run_claimed_for_a_connection_that_was_replaced_is_not_pushed_to_the_new_one(
    room: Room,
) -> None:
    """HB-10: its Hello did not name the run, so the run goes back and is claimed anew; nothing runs twice."""
    version = await room.register()
    run_id = await room.trigger()
    async with Busy(room):
        old = room.connect(version)
        await asyncio.sleep(0)  # the claim is under way
        new = PlayedWorker(old.worker_id, room.prod.id, version, credits=1)
        room.dispatcher.add(new)
    run = await new.receive()
    await room.settle()
    assert (old.pushed, new.pushed, new.credits) == ([], [run_id], 0)
    assert (await room.run(run_id)).snapshot_seq == run.snapshot_seq == 4


async def test_a_worker_of_another_environment_takes_over_nothing_by_using_the_same_name(room: Room) -> None:
    """Q-26: neither its place nor what it is told."""
    version = await room.register()
    worker = room.connect(version)
    await room.trigger()
    run = await room.start(await worker.receive())
    stranger = PlayedWorker(worker.worker_id, room.dev.id, version, credits=1)
    room.dispatcher.add(stranger)
    await room.store.write(cancel_run, room.prod.id, run.id)
    room.dispatcher.leave(room.prod.id, worker.worker_id, "run_1")
    assert (len(worker.cancelled), worker.left) == (1, ["run_1"])
    assert (stranger.cancelled, stranger.left) == ([], [])


class Choosy(PlayedWorker):
    """Cannot be sent one run."""

    unwelcome = ""

    def push(self, claim: Claim) -> None:
        if claim.run.id == self.unwelcome:
            raise ValueError("no message can be made of this run")
        super().push(claim)


async def test_a_run_that_cannot_be_sent_holds_up_no_other(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """Q-29: it goes through the start timeout; what was claimed with it is delivered."""
    version = await room.register()
    made = [await room.trigger() for _ in range(3)]
    worker = Choosy("worker_choosy", room.prod.id, version, credits=3)
    worker.unwelcome = made[0]
    room.dispatcher.add(worker)
    assert [(await worker.receive()).id for _ in range(2)] == made[1:]
    assert "could not be sent" in caplog.text


async def test_limits_are_kept_and_an_end_lets_the_next_run_start(room: Room) -> None:
    """Q-10, Q-30: without anybody asking."""
    version = await room.register(a_task(queue={"concurrencyLimit": 1}))
    worker = room.connect(version, credits=5)
    first, second = await room.trigger(), await room.trigger()
    running = await worker.receive()
    await room.settle()
    assert worker.pushed == [first]
    await room.finish(running)
    assert (await worker.receive()).id == second


async def test_a_run_handed_back_is_offered_again(room: Room) -> None:
    """Q-29: to whoever has room."""
    version = await room.register()
    first = room.connect(version)
    run_id = await room.trigger()
    run = await first.receive()
    second = room.connect(version)
    name = snapshot_id(run.id, run.snapshot_seq)
    await room.store.write(hand_back, run.environment_id, run.id, name, first.worker_id)
    assert (await second.receive()).id == run_id


async def test_the_clock_is_told_when_the_next_run_is_due(room: Room) -> None:
    """Q-02: a run that waits for its time is not polled for."""
    worker = room.connect(await room.register(), credits=5)
    before = time.time_ns() // 1_000_000
    await room.trigger(priority=-60)
    await room.settle()
    name, at = room.clock.wakes[-1]
    assert name == "dispatch" and at is not None and 0 <= at - before - 60_000 < 5_000
    assert worker.pushed == []


async def test_the_clock_is_told_also_when_another_run_cannot_start(room: Room) -> None:
    """Q-02: what waits for a busy worker does not hide what waits for its time."""
    old = await room.register()
    busy = room.connect(old, credits=0)
    await room.trigger(lock_to_version=await _number(room, old))
    new = await room.register(a_task(), a_task("mail"), content="two")
    await room.trigger("mail", priority=-60)
    room.connect(new, credits=5)
    await room.settle()
    assert room.clock.wakes and room.clock.wakes[-1][0] == "dispatch"
    assert busy.pushed == []


async def _number(room: Room, version_id: str) -> str:
    query = Query("SELECT version FROM worker_version WHERE id = :id", str)
    return await room.store.read(lambda tx: tx.first(query, id=version_id)) or ""


async def test_runs_wait_for_a_busy_worker_of_the_current_version(room: Room) -> None:
    """PV-01: while an older one has room; they are neither parked nor given to it."""
    old = await room.register()
    idle = room.connect(old, credits=5)
    new = await room.register(content="two")
    busy = room.connect(new, credits=0)
    run_id = await room.trigger()
    await room.settle()
    assert ((await room.run(run_id)).execution_status, idle.pushed) == (X.QUEUED, [])
    busy.credits = 1
    room.dispatcher.wake(room.prod.id)
    assert (await busy.receive()).id == run_id


async def test_a_queue_that_is_resumed_starts_work(room: Room) -> None:
    """Q-33: at once."""
    worker = room.connect(await room.register(), credits=5)
    await room.store.write(_pause)
    run_id = await room.trigger()
    await room.settle()
    assert worker.pushed == []
    await room.store.write(_resume)
    assert (await worker.receive()).id == run_id


def _pause(tx: Tx) -> None:
    _set_paused(tx, paused=True)


def _resume(tx: Tx) -> None:
    _set_paused(tx, paused=False)


def _set_paused(tx: Tx, *, paused: bool) -> None:
    (environment_id,) = set(tx.all(Query("SELECT environment_id FROM queue", str)))
    set_paused(tx, environment_id, "task/resize", paused=paused)


async def test_all_parked_runs_come_back_when_their_version_connects(room: Room) -> None:
    """PV-02: chunk after chunk, without anybody asking."""
    version = await room.register()
    worker = room.connect(version, credits=1)
    count = 2 * PROMOTE_CHUNK + 50
    await asyncio.gather(*(room.trigger("mail") for _ in range(count)))
    parked = Query("SELECT count(*) FROM run WHERE execution_status = 'RUN_CREATED'", int)
    async with asyncio.timeout(SECONDS):
        while await room.store.read(lambda tx: tx.first(parked)) != count:
            await room.settle()
    room.dispatcher.remove(worker)
    new = await room.register(a_task("mail"), content="two")
    await room.store.write(promote_waiting, room.prod.id, new)
    async with asyncio.timeout(SECONDS):
        while await room.store.read(lambda tx: tx.first(parked)) != 0:
            await room.settle()


async def test_what_is_behind_many_lapsed_runs_is_found_without_a_new_event(room: Room) -> None:
    """Q-40: a claim that only removed runs looks again."""
    version = await room.register()
    await asyncio.gather(*(room.trigger(ttl=1, priority=60) for _ in range(250)))
    good = await room.trigger()
    await room.store.write(
        lambda tx: tx.all(Query("UPDATE run SET ttl_at = 1 WHERE ttl = 1 RETURNING id", str))
    )
    assert (await room.connect(version).receive()).id == good


# ---- workers are told ----------------------------------------------------------------------------------


async def test_a_cancel_reaches_the_worker_that_has_the_run(room: Room) -> None:
    """CN-03: with the snapshot to confirm."""
    version = await room.register()
    worker, other = room.connect(version), room.connect(version, credits=0)
    await room.trigger()
    run = await room.start(await worker.receive())
    asked = await room.store.write(cancel_run, room.prod.id, run.id)
    assert worker.cancelled == [(run.id, snapshot_id(run.id, asked.snapshot_seq))]
    assert other.cancelled == []


async def test_a_run_is_left_by_the_worker_that_is_still_there(room: Room) -> None:
    """HB-03: one that is gone, or none, is no error."""
    worker = room.connect(await room.register())
    for worker_id in (worker.worker_id, "worker_gone"):
        room.dispatcher.leave(room.prod.id, worker_id, "run_1")
    assert worker.left == ["run_1"]


async def test_a_worker_that_is_gone_is_not_counted_and_its_runs_wait_for_their_time(room: Room) -> None:
    """HB-09: nobody is connected, and the run stays where it was until it is silent for too long."""
    worker = room.connect(await room.register())
    await room.trigger()
    run = await room.start(await worker.receive())
    assert room.dispatcher.connected(room.prod.id) == 1
    room.dispatcher.remove(worker)
    assert room.dispatcher.connected(room.prod.id) == 0
    assert await room.run(run.id) == run


async def _token(room: Room) -> str:
    token, _ = await room.store.write(create_token, room.prod.id, TokenRequest(None, None, ()))
    return token.id


async def test_the_steps_of_a_wait_reach_the_worker_that_has_the_run(room: Room) -> None:
    """WP-07, WP-08: it waits, then goes on with what it waited for."""
    version = await room.register()
    worker, other = room.connect(version), room.connect(version, credits=0)
    await room.trigger()
    run, token = await room.start(await worker.receive()), await _token(room)
    await room.store.write(wait_for_token, room.prod.id, run.id, token)
    assert (await worker.step()).execution_status == X.EXECUTING_WITH_WAITPOINTS
    await room.store.write(complete_token, room.prod.id, token, "1", "application/json")
    step = await worker.step()
    assert (step.run, step.execution_status) == (run.id, X.EXECUTING)
    assert [waited.output for waited in step.waitpoints] == ["1"]
    assert other.steps == []


async def _wanting_a_slot(room: Room) -> tuple[PlayedWorker, RunRow, RunRow]:
    """A worker without room, its run that wants a slot, and the one that has the only slot."""
    worker = room.connect(await room.register(a_task(queue={"concurrencyLimit": 1})), credits=2)
    await room.trigger()
    waiting, token = await room.start(await worker.receive()), await _token(room)
    await room.store.write(wait_for_token, room.prod.id, waiting.id, token)
    assert (await worker.step()).execution_status == X.EXECUTING_WITH_WAITPOINTS
    await room.trigger()
    running = await worker.receive()
    assert worker.credits == 0
    await room.store.write(complete_token, room.prod.id, token, None, None)
    assert (await worker.step()).execution_status == X.QUEUED_EXECUTING
    return worker, waiting, running


async def test_a_slot_goes_to_a_run_whose_wait_is_over_though_no_worker_has_room(room: Room) -> None:
    """Q-24: nobody offers a credit, and none is needed."""
    worker, waiting, running = await _wanting_a_slot(room)
    await room.finish(running)
    step = await worker.step()
    assert (step.run, step.execution_status) == (waiting.id, X.EXECUTING)


async def test_after_a_restart_runs_that_only_want_a_slot_get_it(room: Room) -> None:
    """HB-08, Q-24: a new server knows them from the rows."""
    worker, waiting, running = await _wanting_a_slot(room)
    await room.dispatcher.stop()
    restarted = Dispatcher(room.store, room.clock)
    restarted.resume([await room.run(waiting.id)])
    restarted.add(worker)
    await room.finish(running)
    restarted.wake(room.prod.id)
    await restarted.stop()
    assert (await room.run(waiting.id)).execution_status == X.EXECUTING


# ---- the stop --------------------------------------------------------------------------------------


async def test_after_the_stop_nothing_is_claimed(room: Room) -> None:
    """LK-08: runs wait for the next start."""
    worker = room.connect(await room.register(), credits=5)
    await room.dispatcher.stop()
    run_id = await room.trigger()
    room.dispatcher.wake_all()
    await room.settle()
    assert ((await room.run(run_id)).execution_status, worker.pushed) == (X.QUEUED, [])


async def test_the_stop_waits_for_the_claim_under_way_and_delivers_it(room: Room) -> None:
    """LK-08: nothing is claimed and forgotten."""
    version = await room.register()
    run_id = await room.trigger()
    async with Busy(room):
        worker = room.connect(version)
        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(room.dispatcher.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
    async with asyncio.timeout(SECONDS):
        await stopping
    assert worker.pushed == [run_id]


async def test_a_claim_that_fails_is_told_and_the_next_event_tries_again(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """Q-29: a fault of the database stops no later dispatch."""
    worker = room.connect(await room.register(), credits=5)
    await room.store.write(lambda tx: tx.all(Query("UPDATE task SET retry = '{' RETURNING task_id", str)))
    await room.trigger()
    await room.settle()
    assert "dispatching failed" in caplog.text and worker.pushed == []
    name, at = room.clock.wakes[-1]
    assert name == "dispatch" and at is not None  # and the clock, should no event come
    await room.store.write(lambda tx: tx.all(Query("UPDATE task SET retry = NULL RETURNING task_id", str)))
    await room.trigger()
    await worker.receive()
    await worker.receive()
