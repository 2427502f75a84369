"""How many runs may hold slots: queues, keys, environments, pauses (Q-10…18, Q-21…25, Q-33, Q-34)."""

from typing import Any

import pytest

from tests.support.builders import (
    WORKER,
    a_queue,
    a_run,
    a_started_run,
    a_task,
    a_version,
    claim,
    claim_one,
    fail,
    newest,
    start,
    succeed,
)
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.deliveries import hand_back
from trigger_lite.engine.events import QueueChanged
from trigger_lite.engine.expiry import expire_lapsed
from trigger_lite.engine.queues import set_environment_limit, set_environment_paused, set_paused
from trigger_lite.protocol.errors import NotFound
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.protocol.tasks import QueueOption
from trigger_lite.store.queues import find_queue


def _runs(engine: Harness, count: int, **options: Any) -> None:
    for _ in range(count):
        a_run(engine, **options)


def _lanes(engine: Harness) -> list[str]:
    return engine.ask("SELECT lane_key FROM lane ORDER BY lane_key")


# ---- queues and keys ---------------------------------------------------------------------------------


def test_a_queue_never_holds_more_than_its_limit(engine: Harness) -> None:
    """Q-10: however much is asked for."""
    a_version(engine, a_task(queue={"concurrencyLimit": 2}))
    _runs(engine, 5)
    assert len(claim(engine, 10)) == 2
    assert claim(engine, 10) == []


def test_a_limit_of_zero_starts_nothing(engine: Harness) -> None:
    """Q-10: until it is raised."""
    a_version(engine, a_task(queue={"concurrencyLimit": 0}))
    _runs(engine, 1)
    assert claim(engine) == []
    a_version(engine, a_task(queue={"concurrencyLimit": 1}), content="two")
    assert len(claim(engine)) == 1


def test_each_key_has_the_whole_limit_for_itself(engine: Harness) -> None:
    """Q-11: there is no cap over all keys but the environment's."""
    a_version(engine, a_task(queue={"concurrencyLimit": 2}))
    for key in ("a", "b", "c"):
        _runs(engine, 3, concurrency_key=key)
    claimed = claim(engine, 10)
    assert sorted(run.concurrency_key or "" for run in claimed) == ["a", "a", "b", "b", "c", "c"]


def test_runs_with_and_without_a_key_do_not_disturb_each_other(engine: Harness) -> None:
    """Q-13: in one queue."""
    a_version(engine, a_task(queue={"concurrencyLimit": 1}))
    _runs(engine, 2)
    _runs(engine, 2, concurrency_key="a")
    assert [run.concurrency_key for run in claim(engine, 10)] == [None, "a"]


@pytest.mark.parametrize("key", ["*", ":", "", "=", " ", "a:ck:b", "'; --", "é…\U0001f600", "x" * 2_048])
def test_any_text_is_a_key(engine: Harness, key: str) -> None:
    """Q-14: also one that looks empty; none is the lane without key, or another's."""
    a_version(engine, a_task(queue={"concurrencyLimit": 1}))
    for chosen in (None, "other", key):
        _runs(engine, 2, concurrency_key=chosen)
    assert {run.concurrency_key for run in claim(engine, 10)} == {None, "other", key}


def test_the_lane_of_a_key_disappears_when_it_is_empty(engine: Harness) -> None:
    """Q-13: by completion, cancel or expiry; the lane without key stays."""
    a_version(engine)
    _runs(engine, 1)
    done = a_run(engine, concurrency_key="done", priority=60)
    canceled = a_run(engine, concurrency_key="canceled")
    a_run(engine, concurrency_key="expired", ttl=1)
    assert _lanes(engine) == ["", "=canceled", "=done", "=expired"]
    succeed(engine, start(engine, claim_one(engine)))
    assert engine.run(done).status == R.COMPLETED_SUCCESSFULLY
    engine.do(cancel_run, engine.prod.id, canceled.id)
    engine.pass_time(1)
    engine.do(expire_lapsed, 10)
    assert _lanes(engine) == [""]


def test_the_lane_of_a_key_stays_while_a_run_of_it_holds_a_slot(engine: Harness) -> None:
    """Q-13: a lane is empty when nobody waits in it and nobody runs from it."""
    a_version(engine)
    run = a_run(engine, concurrency_key="a")
    claimed = claim_one(engine)
    assert _lanes(engine) == ["=a"]
    engine.do(hand_back, engine.prod.id, run.id, newest(claimed), WORKER)
    assert _lanes(engine) == ["=a"]
    running = start(engine, claim_one(engine))
    fail(engine, running, retry_ms=60_000)
    assert _lanes(engine) == ["=a"]


def test_a_claim_and_an_expiry_in_one_pass_keep_the_lane_of_the_run_that_holds(engine: Harness) -> None:
    """Q-13: the slot is counted before the lane looks empty."""
    a_version(engine)
    lapsed = a_run(engine, concurrency_key="a", ttl=1)
    engine.pass_time(1)
    good = a_run(engine, concurrency_key="a")
    assert [run.id for run in claim(engine, 2)] == [good.id]
    assert engine.run(lapsed).status == R.EXPIRED
    lane = engine.lane(good)
    assert lane is not None and lane.held == 1
    succeed(engine, start(engine, engine.run(good)))
    assert _lanes(engine) == []
    assert engine.load().held == 0


def test_a_key_that_comes_back_gets_a_lane_again(engine: Harness) -> None:
    """Q-13: forgetting a lane forgets no limit."""
    a_version(engine, a_task(queue={"concurrencyLimit": 1}))
    _runs(engine, 1, concurrency_key="a")
    succeed(engine, start(engine, claim_one(engine)))
    assert _lanes(engine) == []
    _runs(engine, 2, concurrency_key="a")
    assert len(claim(engine, 10)) == 1


# ---- environments ------------------------------------------------------------------------------------


def test_an_environment_never_holds_more_than_its_limit(engine: Harness) -> None:
    """Q-15, Q-04: over all its queues; a full one is left out."""
    a_version(engine, a_task("a"), a_task("b"))
    for task in ("a", "b"):
        for _ in range(8):
            a_run(engine, task)
    assert len(claim(engine, 100)) == 10
    assert claim(engine, 100) == []
    assert engine.load().held == 10


@pytest.mark.parametrize(("limit", "burst", "slots"), [(3, 150, 4), (5, 200, 10), (1, 199, 1), (7, 100, 7)])
def test_the_burst_is_rounded_down(engine: Harness, limit: int, burst: int, slots: int) -> None:
    """Q-15: floor(limit x burst)."""
    a_version(engine, *(a_task(str(n)) for n in range(4)))
    engine.do(set_environment_limit, engine.prod.id, limit)
    engine.change("UPDATE environment SET burst_percent = :p WHERE id = :id", p=burst, id=engine.prod.id)
    for n in range(20):
        a_run(engine, str(n % 4))
    assert len(claim(engine, 100)) == slots


def test_one_lane_alone_has_no_burst(engine: Harness) -> None:
    """Q-16: at most min(its limit, the environment's limit)."""
    a_version(engine, a_task("greedy", queue={"concurrencyLimit": 50}), a_task("modest"))
    engine.do(set_environment_limit, engine.prod.id, 3)
    engine.change("UPDATE environment SET burst_percent = 200 WHERE id = :id", id=engine.prod.id)
    for _ in range(10):
        a_run(engine, "greedy")
    assert len(claim(engine, 100)) == 3
    for _ in range(10):
        a_run(engine, "modest")
    assert [run.task_id for run in claim(engine, 100)] == ["modest"] * 3


def test_a_queue_without_limit_is_bounded_by_the_environment(engine: Harness) -> None:
    """Q-17: and by nothing else."""
    a_version(engine)
    _runs(engine, 15)
    assert len(claim(engine, 100)) == 10


def test_a_lowered_limit_stops_new_starts_only_and_a_raised_one_starts_what_waits(engine: Harness) -> None:
    """Q-18: nothing running is stopped; nothing needs to be triggered."""
    a_version(engine, a_task(queue={"concurrencyLimit": 3}))
    _runs(engine, 6)
    running = [start(engine, run) for run in claim(engine, 10)]
    a_version(engine, a_task(queue={"concurrencyLimit": 1}), content="two")
    assert [engine.run(run).status for run in running] == [R.EXECUTING] * 3
    succeed(engine, running[0]), succeed(engine, running[1])
    assert claim(engine, 10) == []
    engine.events.clear()
    a_version(engine, a_task(queue={"concurrencyLimit": 3}), content="three")
    assert any(isinstance(event, QueueChanged) for event in engine.events)
    assert len(claim(engine, 10)) == 2


def test_the_limit_of_an_environment_can_change_too(engine: Harness) -> None:
    """Q-18: and every lane hears of it."""
    a_version(engine)
    _runs(engine, 6)
    claim(engine, 4)
    engine.do(set_environment_limit, engine.prod.id, 2)
    assert claim(engine, 10) == []
    assert engine.load().held == 4
    engine.do(set_environment_limit, engine.prod.id, 5)
    assert len(claim(engine, 10)) == 1


# ---- what holds a slot -------------------------------------------------------------------------------


def _held(engine: Harness) -> tuple[int, int]:
    (lanes,) = engine.ask("SELECT coalesce(sum(held), 0) FROM lane")
    return engine.load().held, int(lanes)


def test_a_slot_is_held_from_the_claim_to_the_end(engine: Harness) -> None:
    """Q-21: not while waiting, delayed, parked or over; Q-23: lane and environment together."""
    a_version(engine)
    a_run(engine, delay="1h")
    run = a_run(engine)
    assert _held(engine) == (0, 0)
    claimed = claim_one(engine)
    assert _held(engine) == (1, 1)
    started = start(engine, claimed)
    assert _held(engine) == (1, 1)
    soon = fail(engine, started, retry_ms=1_000).run
    assert _held(engine) == (1, 1)
    later = fail(engine, start(engine, soon), retry_ms=60_000).run
    assert _held(engine) == (0, 0)
    engine.pass_time(60)
    last = start(engine, claim_one(engine))
    assert (last.id, later.id) == (run.id, run.id)
    succeed(engine, last)
    assert _held(engine) == (0, 0)


def test_a_cancel_frees_the_slot_before_the_worker_confirms(engine: Harness) -> None:
    """Q-21: PENDING_CANCEL holds none."""
    a_version(engine)
    run = a_started_run(engine)
    engine.do(cancel_run, engine.prod.id, run.id)
    assert _held(engine) == (0, 0)
    fail(engine, engine.run(run))
    assert _held(engine) == (0, 0)


def test_releasing_what_was_never_taken_changes_nothing(engine: Harness) -> None:
    """Q-23: the counters never go below what runs hold."""
    a_version(engine)
    held = a_started_run(engine)
    waiting = a_run(engine)
    engine.do(cancel_run, engine.prod.id, waiting.id)
    engine.do(cancel_run, engine.prod.id, waiting.id)
    assert _held(engine) == (1, 1)
    succeed(engine, held)
    assert _held(engine) == (0, 0)


# ---- pause -----------------------------------------------------------------------------------------


def test_a_paused_queue_starts_nothing_and_lets_finish_what_runs(engine: Harness) -> None:
    """Q-33: triggers are accepted; resume restores the limit and starts work at once."""
    a_version(engine, a_task(queue={"concurrencyLimit": 2}))
    running = a_started_run(engine)
    engine.do(set_paused, engine.prod.id, "task/resize", paused=True)
    _runs(engine, 3)
    assert claim(engine, 10) == []
    succeed(engine, running)
    assert engine.run(running).status == R.COMPLETED_SUCCESSFULLY
    assert claim(engine, 10) == []
    engine.events.clear()
    engine.do(set_paused, engine.prod.id, "task/resize", paused=False)
    assert [type(event) for event in engine.events] == [QueueChanged]
    assert len(claim(engine, 10)) == 2


def test_a_new_version_does_not_unpause_a_queue(engine: Harness) -> None:
    """Q-33: not even one that changes its limit; nor does a new key escape the pause."""
    a_version(engine, a_task(queue={"concurrencyLimit": 2}))
    engine.do(set_paused, engine.prod.id, "task/resize", paused=True)
    _runs(engine, 1)
    a_version(engine, a_task(queue={"concurrencyLimit": 5}), content="two")
    _runs(engine, 1, concurrency_key="new")
    assert claim(engine, 10) == []


def test_pausing_one_queue_leaves_the_others(engine: Harness) -> None:
    """Q-33: by name; an unknown one is an error."""
    a_version(engine, a_task(), queues=[a_queue("slow")])
    engine.do(set_paused, engine.prod.id, "slow", paused=True)
    a_run(engine, queue=QueueOption("slow"))
    free = a_run(engine)
    assert [run.id for run in claim(engine, 10)] == [free.id]
    with pytest.raises(NotFound):
        engine.do(set_paused, engine.prod.id, "slwo", paused=True)


def test_a_paused_environment_starts_nothing_in_any_queue(engine: Harness) -> None:
    """Q-34: runs are made and wait; resume starts them."""
    a_version(engine, a_task("a"), a_task("b"))
    running = a_started_run(engine, "a")
    engine.do(set_environment_paused, engine.prod.id, paused=True)
    a_run(engine, "a"), a_run(engine, "b")
    assert claim(engine, 10) == []
    succeed(engine, running)
    engine.events.clear()
    engine.do(set_environment_paused, engine.prod.id, paused=False)
    assert {event.environment_id for event in engine.events} == {engine.prod.id}
    assert len(claim(engine, 10)) == 2


def test_a_queue_removed_from_the_code_keeps_its_row(engine: Harness) -> None:
    """Q-38: and its runs."""
    a_version(engine, a_task(), queues=[a_queue("slow", 1)])
    a_version(engine, a_task(), content="two")
    queue = engine.do(find_queue, engine.prod.id, "slow")
    assert queue is not None and queue.limit == 1
