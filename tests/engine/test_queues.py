"""Order, fairness and hand-over (Q-01…08, Q-26…30)."""

import pytest

from tests.support.builders import (
    TASK,
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
    trigger,
)
from tests.support.harness import NOW, Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.deliveries import hand_back
from trigger_lite.engine.queues import Claims, Offer, claim_runs, set_environment_limit
from trigger_lite.protocol.errors import StaleSnapshot
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.protocol.tasks import QueueOption
from trigger_lite.store.queues import count_ahead, count_waiting, get_queue


def _names(engine: Harness, count: int) -> list[str]:
    return [run.task_id for run in claim(engine, count)]


# ---- order -----------------------------------------------------------------------------------------


def test_runs_of_a_queue_leave_in_the_order_of_their_keys_ties_by_id(engine: Harness) -> None:
    """Q-01: oldest first."""
    a_version(engine)
    made = [a_run(engine).id for _ in range(3)]
    engine.pass_time(1)
    made.append(a_run(engine).id)
    made.insert(0, a_run(engine, priority=60).id)
    assert [run.id for run in claim(engine, 10)] == made


def test_a_run_that_is_not_due_stops_none_behind_it(engine: Harness) -> None:
    """Q-02: a future order key, of a retry or a negative priority, waits by itself."""
    a_version(engine)
    later = a_run(engine, priority=-60)
    due = a_run(engine)
    assert [run.id for run in claim(engine, 10)] == [due.id]
    engine.pass_time(60)
    assert [run.id for run in claim(engine, 10)] == [later.id]


def test_the_queue_with_the_oldest_head_goes_first(engine: Harness) -> None:
    """Q-03: a busy queue does not starve another."""
    a_version(engine, a_task("busy"), a_task("quiet"))
    for _ in range(5):
        a_run(engine, "busy")
    engine.pass_time(1)
    a_run(engine, "quiet")
    for _ in range(5):
        a_run(engine, "busy")
    assert [_names(engine, 1) for _ in range(2)] == [["busy"], ["busy"]]
    assert _names(engine, 2) == ["busy", "quiet"]


def test_a_claim_of_many_takes_one_of_each_lane_in_turn(engine: Harness) -> None:
    """Q-12: lanes of one queue are served round by oldest head, one run per lane per pass."""
    a_version(engine)
    for key in ("a", "a", "a", "b", "b"):
        a_run(engine, concurrency_key=key)
        engine.pass_time(1)
    assert [run.concurrency_key for run in claim(engine, 5)] == ["a", "b", "a", "b", "a"]


def test_environments_do_not_see_each_others_runs(engine: Harness) -> None:
    """Q-05: a priority in one moves nothing in another."""
    a_version(engine)
    a_version(engine, environment=engine.dev)
    a_run(engine, environment=engine.dev, priority=1_000_000)
    mine = a_run(engine)
    assert [run.id for run in claim(engine, 10)] == [mine.id]
    assert len(claim(engine, 10, environment=engine.dev)) == 1


def test_one_claim_returns_what_was_asked_for_or_less(engine: Harness) -> None:
    """Q-08: without error."""
    a_version(engine)
    assert claim(engine, 10) == []
    for _ in range(5):
        a_run(engine)
    assert len(claim(engine, 3)) == 3
    assert len(claim(engine, 10)) == 2


def test_nothing_is_claimed_without_credits_or_workers(engine: Harness) -> None:
    """Q-08: and nothing changes."""
    version = a_version(engine)
    run = a_run(engine)
    for offers in ([], [Offer(WORKER, version.id, 0)]):
        assert engine.do(claim_runs, engine.prod.id, offers).runs == []
    assert engine.run(run) == run


def test_a_claim_tells_when_the_next_run_will_be_due(engine: Harness) -> None:
    """Q-07 ↯: the dispatcher is woken at that time instead of polling."""
    version = a_version(engine)
    assert engine.do(claim_runs, engine.prod.id, [Offer(WORKER, version.id, 1)]) == Claims([])
    a_run(engine, priority=-60)
    a_run(engine, priority=-30)
    claims = engine.do(claim_runs, engine.prod.id, [Offer(WORKER, version.id, 1)])
    assert claims.next_due == NOW + 30_000


def test_a_run_that_cannot_start_yet_does_not_hide_when_the_next_is_due(engine: Harness) -> None:
    """Q-02: what is due and must wait for a worker is woken by that worker, not by the time."""
    old = a_version(engine)
    a_run(engine, lock_to_version=old.version)
    new = a_version(engine, a_task(), a_task("mail"), content="two")
    a_run(engine, "mail", priority=-30)
    offers = [Offer("busy", old.id, 0), Offer("free", new.id, 1)]
    claims = engine.do(claim_runs, engine.prod.id, offers)
    assert (claims.runs, claims.next_due) == ([], NOW + 30_000)


# ---- who gets it -----------------------------------------------------------------------------------


def test_claim_slot_status_and_snapshot_change_together(engine: Harness) -> None:
    """Q-26: the run has one worker, and everything says so."""
    version = a_version(engine)
    run = a_run(engine)
    claimed = claim_one(engine, worker="worker_7")
    assert engine.run(run) == claimed
    assert (claimed.execution_status, claimed.status) == (X.PENDING_EXECUTING, R.DEQUEUED)
    assert (claimed.worker_id, claimed.holds_slot, claimed.queued) == ("worker_7", 1, 0)
    assert claimed.version_id == version.id
    lane = engine.lane(run)
    assert lane is not None and lane.held == 1
    assert engine.load().held == 1
    assert engine.snapshots(run)[-1].worker_id == "worker_7"


def test_no_run_is_handed_out_twice(engine: Harness) -> None:
    """Q-26: to no two workers, in no two calls."""
    version = a_version(engine)
    for _ in range(6):
        a_run(engine)
    both = [Offer("worker_1", version.id, 2), Offer("worker_2", version.id, 2)]
    claims = engine.do(claim_runs, engine.prod.id, both).runs
    assert sorted(c.worker_id for c in claims) == ["worker_1", "worker_1", "worker_2", "worker_2"]
    rest = claim(engine, 10, worker="worker_3")
    assert len({c.run.id for c in claims} | {run.id for run in rest}) == 6


def test_the_worker_with_the_most_room_gets_the_run(engine: Harness) -> None:
    """Q-26: load spreads by itself."""
    version = a_version(engine)
    for _ in range(4):
        a_run(engine)
    both = [Offer("small", version.id, 1), Offer("large", version.id, 4)]
    claims = engine.do(claim_runs, engine.prod.id, both).runs
    assert [c.worker_id for c in claims] == ["large", "large", "large", "small"] or (
        sorted(c.worker_id for c in claims) == ["large", "large", "large", "small"]
    )


def test_the_claim_fixes_what_the_run_will_be_run_with(engine: Harness) -> None:
    """Q-27: version, retry settings, machine, maxDuration, maxAttempts, first start."""
    task = a_task(maxDuration=30, machine={"preset": "medium-1x"})
    version = a_version(engine, task)
    a_run(engine)
    engine.pass_time(5)
    run = claim_one(engine)
    fixed = (run.version_id, run.machine, run.max_duration, run.max_attempts, run.started_at)
    assert fixed == (version.id, "medium-1x", 30, 3, NOW + 5_000)
    assert run.retry is not None and '"maxAttempts":3' in run.retry


def test_what_the_first_claim_fixed_a_later_version_does_not_change(engine: Harness) -> None:
    """Q-27: retry settings only if not already locked."""
    a_version(engine)
    run = a_started_run(engine)
    fail(engine, run, retry_ms=60_000)
    new = a_version(engine, a_task(retry={"maxAttempts": 9}, maxDuration=7), content="two")
    engine.pass_time(60)
    again = claim_one(engine)
    assert again.version_id == new.id
    assert (again.max_attempts, again.max_duration, again.retry) == (3, None, run.retry)
    assert again.started_at == run.started_at


def test_the_claim_brings_the_whole_payload_and_the_task(engine: Harness) -> None:
    """AT-05: what the worker's first message needs."""
    version = a_version(engine)
    large = "x" * 100_000
    a_run(engine, payload=large, metadata={"a": 1})
    (claimed,) = engine.do(claim_runs, engine.prod.id, [Offer(WORKER, version.id, 1)]).runs
    assert (claimed.data.payload, claimed.data.metadata) == (f'"{large}"', '{"a":1}')
    assert (claimed.task.task_id, claimed.version.version) == (TASK, version.version)


def test_a_run_cancelled_while_waiting_is_never_handed_out(engine: Harness) -> None:
    """Q-28: and the one behind it is."""
    a_version(engine)
    first, second = a_run(engine), a_run(engine)
    engine.do(cancel_run, engine.prod.id, first.id)
    assert [run.id for run in claim(engine, 10)] == [second.id]


def test_a_run_handed_back_frees_its_slot_and_keeps_its_place(engine: Harness) -> None:
    """Q-29: and counts as no failed delivery."""
    a_version(engine)
    first, second = a_run(engine), a_run(engine)
    claimed = claim_one(engine)
    engine.pass_time(1)
    back = engine.do(hand_back, engine.prod.id, first.id, newest(claimed), WORKER)
    assert (back.status, back.queued, back.deliveries, back.worker_id) == (R.PENDING, 1, 0, None)
    assert engine.load().held == 0
    assert [run.id for run in claim(engine, 2)] == [first.id, second.id]


def test_an_end_frees_the_slot_and_the_next_run_starts(engine: Harness) -> None:
    """Q-30: at once."""
    a_version(engine, a_task(queue={"concurrencyLimit": 1}))
    first, second = a_run(engine), a_run(engine)
    running = start(engine, claim_one(engine))
    assert claim(engine) == []
    succeed(engine, running)
    assert engine.moves(first)[-1].freed_slot
    assert claim_one(engine).id == second.id


def test_the_length_of_a_queue_is_the_sum_of_its_lanes(engine: Harness) -> None:
    """Q-20: whatever happened to the runs; counted as far as anybody wants to know."""
    a_version(engine)
    made = [a_run(engine, concurrency_key=key) for key in ("a", "a", "b", None)]
    queue_id = made[0].queue_id
    assert engine.do(count_waiting, queue_id, most=100) == 4
    assert engine.do(count_waiting, queue_id, most=2) >= 2
    claimed = claim_one(engine)
    assert engine.do(count_waiting, queue_id, most=100) == 3
    engine.do(hand_back, engine.prod.id, claimed.id, newest(claimed), WORKER)
    assert engine.do(count_waiting, queue_id, most=100) == 4
    with pytest.raises(StaleSnapshot):
        engine.do(hand_back, engine.prod.id, claimed.id, newest(claimed), WORKER)
    assert engine.do(count_waiting, queue_id, most=100) == 4


def test_a_run_knows_how_many_leave_before_it(engine: Harness) -> None:
    """Q-01: in its own lane."""
    made = [a_run(engine) for _ in range(3)]
    places = [
        engine.do(count_ahead, lane_id=run.lane_id, score=run.score, run_id=run.id, most=100) for run in made
    ]
    assert places == [0, 1, 2]


def test_a_queue_made_by_a_trigger_has_no_limit_of_its_own(engine: Harness) -> None:
    """Q-17: the environment's alone holds."""
    a_version(engine, queues=[a_queue("slow", 1)])
    run = a_run(engine, queue=QueueOption("new"))
    queue = engine.do(get_queue, run.queue_id)
    assert (queue.name, queue.kind, queue.limit) == ("new", "custom", None)


def test_a_machine_larger_than_any_host_is_no_reason_to_wait(engine: Harness) -> None:
    """MC-04: a preset says what a run may use, not what must be there."""
    a_version(engine)
    run = a_run(engine, machine="large-2x")
    assert claim_one(engine).id == run.id


def test_a_wait_that_ends_during_a_claim_takes_no_slot_twice(engine: Harness) -> None:
    """Q-15, Q-24, Q-40: a run expires on the way; its parent goes on, and the claim has a slot less."""
    a_version(engine, a_task(), a_task("mail"), a_task("other"))
    engine.do(set_environment_limit, engine.prod.id, 2, 100)
    parent = a_started_run(engine)
    trigger(engine, "mail", parent_run_id=parent.id, resume_parent_on_completion=True, ttl=1)
    first, second = a_run(engine, "other", priority=5000.0), a_run(engine, "other")
    engine.pass_time(2)
    assert [run.id for run in claim(engine, 3)] == [first.id]
    assert engine.run(parent).execution_status == X.EXECUTING
    assert engine.run(second).execution_status == X.QUEUED
    assert engine.load().held == 2


def test_a_wait_that_ends_during_a_claim_takes_no_slot_of_its_lane_twice(engine: Harness) -> None:
    """Q-10, Q-40: its lane was looked at before."""
    a_version(engine, a_task(queue={"concurrencyLimit": 1}), a_task("mail"))
    parent = a_started_run(engine)
    child = trigger(engine, "mail", parent_run_id=parent.id, resume_parent_on_completion=True, ttl=1)
    engine.pass_time(2)
    behind = a_run(engine)
    assert claim(engine, 3) == []
    assert engine.run(child.run_id).status == R.EXPIRED
    assert engine.run(parent).execution_status == X.EXECUTING
    assert engine.run(behind).execution_status == X.QUEUED
