"""From a request to a run in its queue (TR)."""

import msgspec
import pytest

from tests.support.builders import (
    a_queue,
    a_request,
    a_run,
    a_started_run,
    a_task,
    a_version,
    claim,
    claim_one,
    newest,
    start,
    succeed,
    trigger,
)
from tests.support.harness import NOW, Harness
from trigger_lite.engine.delays import enqueue_delayed
from trigger_lite.engine.deliveries import hand_back
from trigger_lite.engine.queues import Offer, claim_runs, set_paused
from trigger_lite.engine.run_json import decode_tags
from trigger_lite.engine.trigger import DEV_TTL_SECONDS, trigger_run
from trigger_lite.protocol.errors import Unprocessable
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.protocol.tasks import QueueOption
from trigger_lite.store.queues import find_queue, list_queues


def test_a_run_can_be_read_as_soon_as_its_id_is_known(engine: Harness) -> None:
    """TR-01: and its id is public."""
    a_version(engine)
    answer = trigger(engine, payload={"width": 100})
    run = engine.run(answer.run_id)
    assert run.id.startswith("run_")
    assert (answer.is_cached, run.status, run.created_at) == (False, R.PENDING, NOW)
    assert engine.data(run).payload == '{"width":100}'


def test_a_task_that_nobody_knows_is_accepted(engine: Harness) -> None:
    """TR-02: tasks are often deployed after the first trigger."""
    run = a_run(engine, "not-deployed-yet")
    assert (run.status, run.queue_name) == (R.PENDING, "task/not-deployed-yet")


def test_what_was_given_comes_back_unchanged(engine: Harness) -> None:
    """TR-24: test flag, seed metadata, payload type."""
    run = a_run(engine, payload="2 + 2", payload_type="text/plain", test=True, metadata={"a": [1]})
    data = engine.data(run)
    assert (run.is_test, data.payload, data.payload_type) == (1, "2 + 2", "text/plain")
    assert (data.seed_metadata, data.metadata) == ('{"a":[1]}', '{"a":[1]}')


def test_the_tags_of_a_run_are_kept_and_found(engine: Harness) -> None:
    """TR-05: in the run and in the index of tags."""
    run = a_run(engine, tags=["org_1", " ", "nightly", "org_1"])
    assert decode_tags(run.tags) == ["org_1", "nightly"]
    found = engine.ask("SELECT tag FROM run_tag WHERE run_id = :id ORDER BY tag", id=run.id)
    assert found == ["nightly", "org_1"]


# ---- queue ------------------------------------------------------------------------------------------


def test_without_a_queue_option_the_run_goes_to_the_queue_of_its_task(engine: Harness) -> None:
    """TR-06: the one the task names, or the task's own."""
    a_version(engine, a_task(), a_task("mail", queue={"name": "emails"}))
    assert a_run(engine).queue_name == "task/resize"
    assert a_run(engine, "mail").queue_name == "emails"


def test_with_a_queue_option_it_goes_to_the_one_named(engine: Harness) -> None:
    """TR-06: a name of which nothing is left means the task's own queue."""
    a_version(engine, queues=[a_queue("slow", 1)])
    assert a_run(engine, queue=QueueOption("slow")).queue_name == "slow"
    assert a_run(engine, queue=QueueOption("…")).queue_name == "task/resize"


def test_a_run_of_a_version_needs_its_task_there(engine: Harness) -> None:
    """TR-08: the message names what is missing."""
    version = a_version(engine).version
    assert a_run(engine, lock_to_version=version).is_pinned == 1
    with pytest.raises(Unprocessable, match=f"{version} has no task 'mail'"):
        trigger(engine, "mail", lock_to_version=version)
    with pytest.raises(Unprocessable, match=r"20010101\.1"):
        trigger(engine, lock_to_version="20010101.1")


def test_a_run_of_a_version_needs_its_queue_there(engine: Harness) -> None:
    """TR-08: no queue comes into being by a misspelt name, and nothing else does."""
    version = a_version(engine, queues=[a_queue("slow")]).version
    assert a_run(engine, lock_to_version=version, queue=QueueOption("slow")).queue_name == "slow"
    with pytest.raises(Unprocessable, match="no queue 'slwo'"):
        trigger(engine, lock_to_version=version, queue=QueueOption("slwo"))
    assert engine.do(find_queue, engine.prod.id, "slwo") is None


# ---- time ------------------------------------------------------------------------------------------


def test_a_run_with_a_future_delay_waits_outside_its_queue(engine: Harness) -> None:
    """TR-09, ST-04: DELAYED first, QUEUED at its time."""
    a_version(engine)
    run = a_run(engine, delay="1h")
    assert (run.status, run.queued, run.queued_at, run.lane_id) == (R.DELAYED, 0, None, "")
    engine.pass_time(3_599)
    assert engine.do(enqueue_delayed, 100) == 0
    assert claim(engine) == []
    engine.pass_time(1)
    assert engine.do(enqueue_delayed, 100) == 1
    assert engine.run(run).queued_at == NOW + 3_600_000
    assert claim_one(engine).id == run.id
    assert engine.path(run) == [X.DELAYED, X.QUEUED, X.PENDING_EXECUTING]


def test_a_past_delay_queues_at_once(engine: Harness) -> None:
    """TR-09: as if it were not there."""
    run = a_run(engine, delay="2020-01-01")
    assert (run.status, run.delay_until, run.queue_time) == (R.PENDING, None, NOW)


def test_a_delayed_run_announces_when_it_is_due(engine: Harness) -> None:
    """TR-10: so that the clock wakes in time."""
    run = a_run(engine, delay="5s")
    assert engine.moves(run)[0].timer_at == NOW + 5_000


def test_due_runs_are_queued_in_bounded_steps(engine: Harness) -> None:
    """TR-10: a tick does bounded work and says whether more is waiting."""
    for _ in range(5):
        a_run(engine, delay="1s")
    engine.pass_time(1)
    assert [engine.do(enqueue_delayed, 2) for _ in range(4)] == [2, 2, 1, 0]


def test_the_ttl_of_the_trigger_wins_over_the_tasks_which_wins_over_none(engine: Harness) -> None:
    """TR-11: and zero switches it off."""
    a_version(engine, a_task(ttl="1h"), a_task("plain"))
    assert a_run(engine, ttl=60).ttl == 60
    assert a_run(engine, ttl="2m").ttl == 120
    assert a_run(engine).ttl == 3_600
    assert a_run(engine, ttl=0).ttl is None
    assert a_run(engine, "plain").ttl is None


def test_a_run_of_a_dev_environment_waits_ten_minutes_at_most(engine: Harness) -> None:
    """TR-11: unless the trigger or the task says otherwise."""
    a_version(engine, a_task(), a_task("patient", ttl=0), environment=engine.dev)
    assert a_run(engine, environment=engine.dev).ttl == DEV_TTL_SECONDS == 600
    assert a_run(engine, environment=engine.dev, ttl=0).ttl is None
    assert a_run(engine, "patient", environment=engine.dev).ttl is None


def test_the_ttl_clock_starts_when_the_run_enters_its_queue(engine: Harness) -> None:
    """TR-12: at the trigger, or at the end of the delay."""
    assert a_run(engine, ttl=60).ttl_at == NOW + 60_000
    delayed = a_run(engine, ttl=60, delay="1h")
    assert delayed.ttl_at is None
    engine.pass_time(3_600)
    engine.do(enqueue_delayed, 1)
    assert engine.run(delayed).ttl_at == NOW + 3_660_000


def test_the_ttl_clock_does_not_start_anew_and_ends_with_the_first_attempt(engine: Harness) -> None:
    """TR-12: never on requeue, void once an attempt started."""
    a_version(engine)
    run = a_run(engine, ttl=60)
    claimed = claim_one(engine)
    engine.pass_time(30)
    engine.do(hand_back, engine.prod.id, run.id, newest(claimed), "worker_1")
    assert engine.run(run).ttl_at == NOW + 60_000
    assert start(engine, claim_one(engine)).ttl_at is None


# ---- order -----------------------------------------------------------------------------------------


def test_priority_moves_a_run_that_many_seconds_forward(engine: Harness) -> None:
    """TR-13: order key = queue time - priority; a negative one pushes back."""
    a_version(engine)
    late = a_run(engine, priority=-5)
    plain = a_run(engine)
    engine.pass_time(9)
    urgent = a_run(engine, priority=10)
    assert [run.score for run in (late, plain, urgent)] == [NOW + 5_000, NOW, NOW - 1_000]
    assert [run.id for run in claim(engine, 3)] == [urgent.id, plain.id, late.id]


def test_priority_stops_nothing_that_runs(engine: Harness) -> None:
    """TR-13: it never preempts."""
    a_version(engine, a_task(queue={"concurrencyLimit": 1}))
    running = a_started_run(engine)
    a_run(engine, priority=1_000_000)
    assert claim(engine) == []
    assert engine.run(running).status == R.EXECUTING


def test_order_follows_the_queue_time_not_the_creation(engine: Harness) -> None:
    """TR-14: a delayed run queues by its start time."""
    a_version(engine)
    delayed = a_run(engine, delay="10s")
    engine.pass_time(5)
    earlier = a_run(engine)
    engine.pass_time(10)
    later = a_run(engine)
    engine.do(enqueue_delayed, 10)
    assert engine.run(delayed).queue_time == NOW + 10_000
    assert [run.id for run in claim(engine, 3)] == [earlier.id, delayed.id, later.id]


def test_a_child_its_parent_waits_for_stands_where_the_parent_stood(engine: Harness) -> None:
    """TR-15: trees that already began finish before newer work."""
    a_version(engine)
    parent = a_started_run(engine)
    engine.pass_time(5)
    newer = a_run(engine)
    engine.pass_time(5)
    child = a_run(engine, parent_run_id=parent.id, resume_parent_on_completion=True)
    alone = a_run(engine, parent_run_id=parent.id)
    assert [run.id for run in claim(engine, 3)] == [child.id, newer.id, alone.id]


# ---- what the trigger overrides ----------------------------------------------------------------------


def test_the_trigger_overrides_what_the_task_says(engine: Harness) -> None:
    """TR-16, TR-17, TR-18: maxAttempts, maxDuration and machine of this run alone."""
    a_version(engine, a_task(maxDuration=60, machine={"preset": "micro"}))
    chosen = a_run(engine, max_attempts=7, max_duration=30, machine="large-1x")
    plain = a_run(engine)
    claim(engine, 2)
    assert _limits(engine, chosen.id) == (7, 30, "large-1x")
    assert _limits(engine, plain.id) == (3, 60, "micro")


def _limits(engine: Harness, run_id: str) -> tuple[int | None, int | None, str | None]:
    run = engine.run(run_id)
    return run.max_attempts, run.max_duration, run.machine


# ---- family ----------------------------------------------------------------------------------------


def test_depth_and_root_follow_the_parent(engine: Harness) -> None:
    """TR-20: a run without parent has depth 0 and no root but itself."""
    top = a_run(engine)
    child = a_run(engine, parent_run_id=top.id)
    grandchild = a_run(engine, parent_run_id=child.id)
    family = [(run.depth, run.parent_id, run.root_id) for run in (top, child, grandchild)]
    assert family == [(0, None, None), (1, top.id, top.id), (2, child.id, top.id)]


def test_a_parent_of_another_environment_is_refused(engine: Harness) -> None:
    """TR-21: as is one that nobody knows."""
    stranger = a_run(engine, environment=engine.dev)
    for parent in (stranger.id, "run_unknown"):
        with pytest.raises(Unprocessable, match="parent"):
            trigger(engine, parent_run_id=parent)


def test_a_parent_that_is_over_cannot_wait_for_a_child(engine: Harness) -> None:
    """TR-21: but it may have started one that nobody waits for."""
    a_version(engine)
    parent = a_started_run(engine)
    succeed(engine, parent)
    assert a_run(engine, parent_run_id=parent.id).depth == 1
    with pytest.raises(Unprocessable, match="already COMPLETED_SUCCESSFULLY"):
        trigger(engine, parent_run_id=parent.id, resume_parent_on_completion=True)


def test_a_child_its_parent_waits_for_runs_on_the_parents_version(engine: Harness) -> None:
    """TR-22: a plain child takes the version that is current when it is claimed."""
    old = a_version(engine)
    parent = a_started_run(engine)
    new = a_version(engine, content="two")
    awaited = a_run(engine, parent_run_id=parent.id, resume_parent_on_completion=True)
    plain = a_run(engine, parent_run_id=parent.id)
    assert (awaited.version_id, plain.version_id) == (old.id, None)
    offers = [Offer("old", old.id, 2), Offer("new", new.id, 2)]
    claims = engine.do(claim_runs, engine.prod.id, offers).runs
    assert {c.run.id: c.run.version_id for c in claims} == {awaited.id: old.id, plain.id: new.id}


def test_a_child_whose_task_the_parents_version_lacks_takes_the_current_one(engine: Harness) -> None:
    """TR-22: a version can only run what it has."""
    a_version(engine)
    parent = a_started_run(engine)
    new = a_version(engine, a_task("mail"), content="two")
    child = a_run(engine, "mail", parent_run_id=parent.id, resume_parent_on_completion=True)
    assert child.version_id is None
    assert [run.version_id for run in claim(engine, version_id=new.id)] == [new.id]


# ---- all or nothing ----------------------------------------------------------------------------------


def test_a_refused_trigger_leaves_nothing(engine: Harness) -> None:
    """TR-08: no run, no queue, no event."""
    queues = engine.do(list_queues, engine.prod.id)
    with pytest.raises(Unprocessable):
        trigger(engine, queue=QueueOption("new"), parent_run_id="run_unknown")
    assert engine.ask("SELECT count(*) FROM run") == [0]
    assert engine.do(list_queues, engine.prod.id) == queues
    assert engine.events == []


def test_a_request_that_is_sent_again_is_answered_not_repeated(engine: Harness) -> None:
    """ID-07: the run keeps the id it was given first; another task or environment is another request."""
    request = a_request(engine)
    once = msgspec.structs.replace(request, request_key="try-1")
    first = engine.do(trigger_run, engine.prod, once)
    assert engine.do(trigger_run, engine.prod, once) == first
    assert engine.do(trigger_run, engine.dev, once).run_id != first.run_id
    other = msgspec.structs.replace(once, task_id="mail")
    assert engine.do(trigger_run, engine.prod, other).run_id != first.run_id


def test_a_paused_queue_accepts_triggers(engine: Harness) -> None:
    """Q-33: they wait."""
    a_version(engine)
    engine.do(set_paused, engine.prod.id, "task/resize", paused=True)
    assert a_run(engine).status == R.PENDING
    assert claim(engine) == []
