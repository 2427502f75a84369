"""Waiting and going on (WP), and what a wait means for slots (Q-22, Q-24)."""

import itertools
from typing import Any

import msgspec
import pytest

from tests.support.builders import (
    WORKER,
    a_queue,
    a_run,
    a_started_run,
    a_task,
    a_token,
    a_version,
    claim,
    claim_one,
    complete_with,
    fail,
    start,
    succeed,
    told,
    trigger,
    wait_for,
    wait_seconds,
)
from tests.support.harness import NOW, Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.deliveries import time_out
from trigger_lite.engine.events import WaitPlanned
from trigger_lite.engine.expiry import expire_lapsed
from trigger_lite.engine.queues import (
    Offer,
    claim_runs,
    set_environment_limit,
    set_environment_paused,
    set_paused,
)
from trigger_lite.engine.wait_state import read_wait_state
from trigger_lite.engine.waitpoints import (
    Edge,
    block,
    complete,
    complete_due,
    waitpoint_of_batch,
    waitpoint_of_run,
)
from trigger_lite.engine.waits import check_token, check_wait, complete_token, wait_for_token
from trigger_lite.protocol.errors import (
    BadRequest,
    RunNotFound,
    StaleSnapshot,
    Unprocessable,
    WaitpointNotFound,
)
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.waitpoints import TIMEOUT_CODE, CompletedWaitpoint, CreateToken, WaitFor
from trigger_lite.store import waitpoints
from trigger_lite.store.runs import RunRow
from trigger_lite.store.waitpoints import WaitpointRow

WAITED = ["QUEUED", "PENDING_EXECUTING", "EXECUTING", "EXECUTING_WITH_WAITPOINTS", "EXECUTING"]


def _edges(engine: Harness, run: RunRow) -> list[str]:
    return [edge.waitpoint_id for edge in engine.do(waitpoints.list_edges, run.id)]


def _stored(engine: Harness, token: WaitpointRow) -> WaitpointRow:
    found = engine.do(waitpoints.find_waitpoint, token.id)
    assert found is not None
    return found


def _child(engine: Harness, parent: RunRow, **options: Any) -> RunRow:
    """A child that its parent waits for."""
    return a_run(engine, parent_run_id=parent.id, resume_parent_on_completion=True, **options)


def _run(engine: Harness, run: RunRow) -> RunRow:
    """Hand a waiting run to the worker and start it."""
    (claimed,) = [r for r in claim(engine, 100) if r.id == run.id]
    return start(engine, claimed)


# ---- tokens ------------------------------------------------------------------------------------------


def test_a_run_waits_for_a_token_and_goes_on_with_its_data(engine: Harness) -> None:
    """CP-01, WP-01, WP-02, WP-07, WP-08: blocked while executing, continued once, never suspended."""
    a_version(engine)
    run = a_started_run(engine)
    token = a_token(engine)
    waiting = wait_for(engine, run, token)
    assert waiting.execution_status == X.EXECUTING_WITH_WAITPOINTS
    assert waiting.status == "EXECUTING"
    complete_with(engine, token, '{"approved":true}')
    assert engine.path(run) == WAITED
    [waited] = told(engine, run).waitpoints
    assert (waited.id, waited.type, waited.output_is_error) == (token.id, "MANUAL", False)
    assert (waited.output, waited.output_type) == ('{"approved":true}', "application/json")
    assert _edges(engine, run) == []


def test_the_first_completion_wins(engine: Harness) -> None:
    """WP-02: a later one succeeds and changes nothing."""
    token = a_token(engine)
    complete_with(engine, token, '"first"')
    engine.pass_time(5)
    complete_with(engine, token, '"second"')
    assert engine.do(waitpoints.find_output, token.id) == '"first"'
    assert _stored(engine, token).completed_at == NOW


def test_a_token_that_is_complete_ends_the_wait_at_once(engine: Harness) -> None:
    """WP-04, WP-13: completed before the run blocks."""
    a_version(engine)
    run = a_started_run(engine)
    token = a_token(engine)
    complete_with(engine, token)
    wait_for(engine, run, token)
    assert engine.path(run) == WAITED
    assert len(told(engine, run).waitpoints) == 1


def test_one_waitpoint_lets_many_runs_go_on(engine: Harness) -> None:
    """WP-03: each exactly once."""
    a_version(engine)
    waiting = [a_started_run(engine) for _ in range(4)]
    token = a_token(engine)
    for run in waiting:
        wait_for(engine, run, token)
    complete_with(engine, token)
    complete_with(engine, token)
    assert [engine.path(run) for run in waiting] == [WAITED] * 4


def test_a_run_goes_on_when_all_it_waits_for_is_complete(engine: Harness) -> None:
    """WP-03, WP-05, WP-06: in whatever order they complete, it goes on once, with all of them."""
    a_version(engine)
    for order in itertools.permutations(range(3)):
        run = a_started_run(engine)
        tokens = [a_token(engine) for _ in range(3)]
        for token in tokens:
            wait_for(engine, run, token)
        assert engine.path(run) == WAITED[:4]
        for index in order:
            assert engine.run(run).execution_status == X.EXECUTING_WITH_WAITPOINTS
            complete_with(engine, tokens[index], str(index))
        assert engine.path(run) == WAITED
        assert sorted(w.output or "" for w in told(engine, run).waitpoints) == ["0", "1", "2"]
        succeed(engine, engine.run(run))


def test_the_same_wait_twice_is_one(engine: Harness) -> None:
    """WP-07, WP-09: no second edge, no second snapshot."""
    a_version(engine)
    run = a_started_run(engine)
    token = a_token(engine)
    wait_for(engine, run, token)
    wait_for(engine, run, token)
    assert _edges(engine, run) == [token.id]
    assert engine.path(run) == WAITED[:4]


def test_only_a_run_that_executes_can_wait(engine: Harness) -> None:
    """WP-07: one in line, delayed, cancelled or over is refused, and nothing changes."""
    a_version(engine)
    token = a_token(engine)
    ended, stopped = a_started_run(engine), a_started_run(engine)
    succeed(engine, ended)
    engine.do(cancel_run, engine.prod.id, stopped.id)
    for run in (a_run(engine), a_run(engine, delay="1h"), ended, stopped):
        before = engine.run(run)
        with pytest.raises(Unprocessable, match="only a run that executes"):
            wait_for(engine, run, token)
        assert engine.run(run) == before
        assert _edges(engine, run) == []


def test_code_may_wait_before_the_report_of_its_start_has_come(engine: Harness) -> None:
    """AT-03, WP-07: both are on their way; the attempt counts once, and the late report is answered."""
    a_version(engine)
    a_run(engine)
    claimed = claim_one(engine)
    waiting = wait_for(engine, claimed, a_token(engine))
    assert engine.path(waiting) == WAITED[:4]
    assert start(engine, claimed).attempt == 1
    assert engine.run(claimed) == waiting


def test_code_of_the_next_attempt_may_wait_before_its_start_has_come(engine: Harness) -> None:
    """AT-03, AT-18: also when the same worker tries again."""
    a_version(engine)
    run = a_started_run(engine)
    retrying = fail(engine, run, retry_ms=1_000).run
    waiting = wait_for(engine, retrying, a_token(engine))
    assert (waiting.execution_status, waiting.attempt) == (X.EXECUTING_WITH_WAITPOINTS, 2)
    assert start(engine, retrying) == waiting
    with pytest.raises(StaleSnapshot):
        start(engine, retrying._replace(snapshot_seq=1))
    assert engine.run(run) == waiting


def test_a_start_reported_again_after_a_wait_is_answered(engine: Harness) -> None:
    """AT-01: its first answer was lost; another worker is refused still."""
    a_version(engine)
    a_run(engine)
    claimed = claim_one(engine)
    token = a_token(engine)
    wait_for(engine, start(engine, claimed), token)
    complete_with(engine, token)
    now = engine.run(claimed)
    assert start(engine, claimed) == now
    with pytest.raises(StaleSnapshot):
        start(engine, claimed, worker="worker_2")
    assert engine.run(claimed) == now


def test_a_late_completion_does_nothing_to_a_run_that_stopped_waiting(engine: Harness) -> None:
    """WP-08: finished, cancelled or queued again meanwhile."""
    a_version(engine)
    token = a_token(engine)
    succeeded, cancelled, stalled = (wait_for(engine, a_started_run(engine), token) for _ in range(3))
    succeed(engine, succeeded)
    engine.do(cancel_run, engine.prod.id, cancelled.id)
    engine.do(time_out, stalled.id, stalled.snapshot_seq)
    before = [engine.run(run) for run in (succeeded, cancelled, stalled)]
    complete_with(engine, token)
    assert [engine.run(run) for run in (succeeded, cancelled, stalled)] == before


def test_a_token_times_out(engine: Harness) -> None:
    """WP-12: with an error that says so by a code."""
    a_version(engine)
    run = a_started_run(engine)
    token = a_token(engine, timeout="1m")
    assert token.due_at == NOW + 60_000
    wait_for(engine, run, token)
    engine.pass_time(59)
    assert engine.do(complete_due, 10) == 0
    engine.pass_time(1)
    assert engine.do(complete_due, 10) == 1
    [waited] = told(engine, run).waitpoints
    assert waited.output_is_error
    assert msgspec.json.decode(waited.output or "")["code"] == TIMEOUT_CODE
    complete_with(engine, token)
    assert _stored(engine, token).is_error == 1


def test_a_token_completed_in_time_does_not_time_out(engine: Harness) -> None:
    """WP-02, WP-12: the timeout comes second and changes nothing."""
    token = a_token(engine, timeout="1m")
    complete_with(engine, token, "1")
    engine.pass_time(61)
    assert engine.do(complete_due, 10) == 0
    assert _stored(engine, token).is_error == 0


def test_a_key_finds_its_token_again(engine: Harness) -> None:
    """WP-13, WP-17: in its environment, complete or not."""
    token = a_token(engine, key="order-7")
    assert a_token(engine, key="order-7").id == token.id
    assert a_token(engine, key="order-7", environment=engine.dev).id != token.id
    complete_with(engine, token)
    assert a_token(engine, key="order-7").id == token.id
    assert a_token(engine, key="order-8").id != token.id


def test_an_expired_key_makes_a_new_token(engine: Harness) -> None:
    """WP-14: the old one stays, without the key."""
    old = a_token(engine, key="order-7", key_ttl="1h")
    engine.pass_time(3600)
    new = a_token(engine, key="order-7", key_ttl="1h")
    assert new.id != old.id
    assert _stored(engine, old).idempotency_key is None
    assert a_token(engine, key="order-7").id == new.id


def test_a_token_of_another_environment_is_unknown(engine: Harness) -> None:
    a_version(engine)
    run = a_started_run(engine)
    foreign = a_token(engine, environment=engine.dev)
    with pytest.raises(WaitpointNotFound):
        wait_for(engine, run, foreign)
    with pytest.raises(WaitpointNotFound):
        engine.do(complete_token, engine.prod.id, foreign.id, "1", None)
    with pytest.raises(RunNotFound):
        engine.do(wait_for_token, engine.dev.id, run.id, foreign.id)
    assert _stored(engine, foreign).status == "PENDING"


def test_what_is_no_token_cannot_be_completed(engine: Harness) -> None:
    """The waitpoint of a run is completed by the run alone."""
    a_version(engine)
    parent = a_started_run(engine)
    child = _child(engine, parent)
    of_run = engine.do(waitpoint_of_run, engine.run(child))
    with pytest.raises(WaitpointNotFound):
        engine.do(complete_token, engine.prod.id, of_run.id, "1", None)


@pytest.mark.parametrize("timeout", ["soon", "", "-1h", "1.5h", "9999999w"])
def test_a_timeout_that_is_none_is_refused(timeout: str) -> None:
    with pytest.raises(BadRequest, match="timeout"):
        check_token(CreateToken(timeout=timeout), now=NOW)


def test_a_token_takes_ten_tags(engine: Harness) -> None:
    """WP-17, TR-05: an eleventh is refused."""
    ten = [f"tag-{number}" for number in range(10)]
    assert msgspec.json.decode(a_token(engine, tags=ten).tags) == ten
    with pytest.raises(Unprocessable):
        a_token(engine, tags=[*ten, "one more"])


# ---- dates --------------------------------------------------------------------------------------------


def test_a_date_completes_at_its_time(engine: Harness) -> None:
    """WP-10: with no output."""
    a_version(engine)
    run = a_started_run(engine)
    wait_seconds(engine, run, 60)
    assert [event.due_at for event in engine.events if isinstance(event, WaitPlanned)] == [NOW + 60_000]
    engine.pass_time(59)
    engine.do(complete_due, 10)
    assert engine.path(run) == WAITED[:4]
    engine.pass_time(1)
    engine.do(complete_due, 10)
    assert engine.path(run) == WAITED
    [waited] = told(engine, run).waitpoints
    assert (waited.type, waited.output, waited.output_is_error) == ("DATETIME", None, False)


def test_a_past_date_ends_the_wait_at_once(engine: Harness) -> None:
    """WP-10"""
    a_version(engine)
    run = a_started_run(engine)
    wait_seconds(engine, run, -5)
    assert engine.path(run) == WAITED


def test_a_wait_asked_for_again_under_its_key_is_the_same(engine: Harness) -> None:
    """WP-13: a request repeated for want of an answer plans nothing twice, nor waits when it is over."""
    a_version(engine)
    run = a_started_run(engine)
    wait_seconds(engine, run, 60, key="first")
    wait_seconds(engine, run, 90, key="first")
    assert len(_edges(engine, run)) == 1
    engine.pass_time(60)
    assert engine.do(complete_due, 10) == 1
    wait_seconds(engine, engine.run(run), 60, key="first")
    assert engine.run(run).execution_status == X.EXECUTING


@pytest.mark.parametrize("date", ["tomorrow", "", "1h", "-0001-01-01", "99999-01-01T00:00:00Z"])
def test_a_date_that_is_none_is_refused(date: str) -> None:
    with pytest.raises(BadRequest, match="date"):
        check_wait(WaitFor(date=date), now=NOW)


# ---- runs ---------------------------------------------------------------------------------------------


def test_a_parent_goes_on_with_the_output_of_its_child(engine: Harness) -> None:
    """BA-01, WP-16: the child's success."""
    a_version(engine)
    parent = a_started_run(engine)
    child = _child(engine, parent)
    assert engine.run(parent).execution_status == X.EXECUTING_WITH_WAITPOINTS
    succeed(engine, _run(engine, child), output='{"size":3}')
    [waited] = told(engine, parent).waitpoints
    assert waited.completed_by_task_run is not None
    assert waited.completed_by_task_run.friendly_id == child.id
    assert (waited.output, waited.output_is_error, waited.index) == ('{"size":3}', False, None)


def test_a_parent_goes_on_with_the_error_of_its_child(engine: Harness) -> None:
    """AT-11, BA-01, WP-16: as a result, not as a failure of its own."""
    a_version(engine)
    parent = a_started_run(engine)
    child = _child(engine, parent)
    fail(engine, _run(engine, child))
    [waited] = told(engine, parent).waitpoints
    assert waited.output_is_error
    assert msgspec.json.decode(waited.output or "")["type"] == "BUILT_IN_ERROR"
    assert engine.run(parent).execution_status == X.EXECUTING


def test_a_child_that_expires_or_is_cancelled_wakes_its_parent(engine: Harness) -> None:
    """CN-02, Q-42, WP-16: with the reason as an error."""
    a_version(engine)
    expiring, cancelling = a_started_run(engine), a_started_run(engine)
    late = _child(engine, expiring, ttl="1s")
    stopped = _child(engine, cancelling)
    engine.pass_time(2)
    engine.do(expire_lapsed, 10)
    engine.do(cancel_run, engine.prod.id, stopped.id)
    for parent, child in ((expiring, late), (cancelling, stopped)):
        [waited] = told(engine, parent).waitpoints
        assert waited.output_is_error
        assert waited.completed_by_task_run is not None
        assert waited.completed_by_task_run.id == child.id


def test_two_parents_wait_for_one_child(engine: Harness) -> None:
    """ID-05, WP-03, WP-15: the second finds it by its key; both go on with its result."""
    a_version(engine)
    first, second = a_started_run(engine), a_started_run(engine)
    child = _child(engine, first, idempotency_key="shared")
    assert _child(engine, second, idempotency_key="shared").id == child.id
    succeed(engine, _run(engine, child), output="7")
    assert [told(engine, parent).waitpoints[0].output for parent in (first, second)] == ["7", "7"]


def test_a_child_that_is_over_answers_at_once(engine: Harness) -> None:
    """ID-05, WP-15: the parent blocks and continues with the stored result."""
    a_version(engine)
    done = a_started_run(engine, idempotency_key="done")
    succeed(engine, done, output="42")
    parent = a_started_run(engine)
    assert _child(engine, parent, idempotency_key="done").id == done.id
    assert engine.path(parent) == WAITED
    assert told(engine, parent).waitpoints[0].output == "42"


def test_a_run_that_nobody_waits_for_has_no_waitpoint(engine: Harness) -> None:
    """CN-07, WP-15: it ends all the same."""
    a_version(engine)
    run = a_started_run(engine)
    succeed(engine, run)
    assert engine.ask("SELECT count(*) FROM waitpoint") == [0]


def test_asking_twice_for_the_end_of_a_run_makes_one_waitpoint(engine: Harness) -> None:
    """WP-15"""
    a_version(engine)
    run = a_run(engine)
    one = engine.do(waitpoint_of_run, run)
    assert engine.do(waitpoint_of_run, engine.run(run)).id == one.id


def test_a_repeated_request_blocks_its_parent_once(engine: Harness) -> None:
    """ID-07: the same request answered again does not let the parent wait again."""
    a_version(engine)
    parent = a_started_run(engine)
    child = _child(engine, parent, idempotency_key=None)
    succeed(engine, _run(engine, child))
    assert engine.path(parent) == WAITED


def test_nothing_is_triggered_for_a_parent_that_cannot_wait(engine: Harness) -> None:
    """TR-21: the trigger is refused whole."""
    a_version(engine)
    parent = a_run(engine)
    count = engine.ask("SELECT count(*) FROM run")
    with pytest.raises(Unprocessable):
        trigger(engine, parent_run_id=parent.id, resume_parent_on_completion=True)
    assert engine.ask("SELECT count(*) FROM run") == count


def test_a_run_cannot_wait_for_itself_or_for_one_above_it(engine: Harness) -> None:
    """WP-03: an idempotency key may lead there; the circle is refused instead of waited out."""
    a_version(engine)
    top = a_started_run(engine, idempotency_key="top")
    with pytest.raises(Unprocessable, match="waits for it in turn"):
        _child(engine, top, idempotency_key="top")
    child = _run(engine, _child(engine, top))
    with pytest.raises(Unprocessable, match="waits for it in turn"):
        _child(engine, child, idempotency_key="top")
    assert engine.run(top).execution_status == X.EXECUTING_WITH_WAITPOINTS


def test_a_run_may_wait_for_one_above_it_that_does_not_wait(engine: Harness) -> None:
    """WP-03: that one goes on, so this is no circle."""
    a_version(engine)
    top = a_started_run(engine, idempotency_key="top")
    child = a_started_run(engine, parent_run_id=top.id)
    _child(engine, child, idempotency_key="top")
    succeed(engine, engine.run(top))
    assert engine.path(child) == WAITED


# ---- slots --------------------------------------------------------------------------------------------


def test_waiting_frees_the_slot(engine: Harness) -> None:
    """Q-21, Q-22: of queue and environment; it is taken again to go on."""
    a_version(engine, a_task(queue={"name": "one", "concurrencyLimit": 1}))
    run = a_started_run(engine)
    other = a_run(engine)
    assert claim(engine) == []
    token = a_token(engine)
    wait_for(engine, run, token)
    assert engine.load().held == 0
    assert claim_one(engine).id == other.id
    assert engine.load().held == 1


def test_a_parent_and_its_child_share_a_queue_of_one(engine: Harness) -> None:
    """Q-22: they do not wait for each other for ever."""
    a_version(engine, a_task(queue={"name": "one", "concurrencyLimit": 1}))
    parent = a_started_run(engine)
    child = _child(engine, parent)
    succeed(engine, _run(engine, child))
    assert engine.run(parent).execution_status == X.EXECUTING
    assert engine.load().held == 1


def test_a_run_that_finds_no_slot_waits_for_one(engine: Harness) -> None:
    """Q-24: QUEUED_EXECUTING until one is free, then before every new run, told what it waited for."""
    a_version(engine, a_task(queue={"name": "one", "concurrencyLimit": 1}))
    run = a_started_run(engine)
    token = a_token(engine)
    wait_for(engine, run, token)
    other = a_started_run(engine)
    behind = a_run(engine, priority=3600.0)
    complete_with(engine, token, '"yes"')
    assert engine.run(run).execution_status == X.QUEUED_EXECUTING
    assert engine.load().held == 1
    assert told(engine, run).waitpoints == []
    assert claim(engine) == []
    succeed(engine, other)
    assert claim(engine) == []
    assert engine.run(run).execution_status == X.EXECUTING
    assert told(engine, run).waitpoints[0].output == '"yes"'
    assert engine.run(behind).execution_status == X.QUEUED


def test_a_wait_asked_for_again_while_it_wants_a_slot_is_answered(engine: Harness) -> None:
    """Q-24, WP-13: the first answer was lost; another wait is refused still."""
    a_version(engine, a_task(queue={"name": "one", "concurrencyLimit": 1}))
    token, other = a_token(engine), a_token(engine)
    run = wait_for(engine, a_started_run(engine), token)
    a_started_run(engine)
    complete_with(engine, token)
    queued = engine.run(run)
    assert wait_for(engine, queued, token) == queued
    with pytest.raises(Unprocessable):
        wait_for(engine, queued, other)
    assert engine.run(run) == queued


def test_runs_whose_wait_is_over_keep_their_order(engine: Harness) -> None:
    """Q-06, Q-24: by the order key they first had."""
    a_version(engine, a_task(queue={"name": "one", "concurrencyLimit": 1}))
    token = a_token(engine)
    waiting = []
    for _ in range(3):
        waiting.append(wait_for(engine, a_started_run(engine), token))
        engine.pass_time(1)
    last = a_started_run(engine)
    complete_with(engine, token)
    running, went_on = last, []
    for _ in waiting:
        succeed(engine, engine.run(running))
        assert claim(engine) == []
        [running] = [r for r in map(engine.run, waiting) if r.execution_status == X.EXECUTING]
        went_on.append(running.id)
    assert went_on == [run.id for run in waiting]


def test_a_queue_without_slots_does_not_hold_back_another(engine: Harness) -> None:
    """Q-24: one whose limit became 0 while its lane was forgotten lets nobody go on, nor stand in the way."""
    a_version(engine, a_task(), a_task("mail", queue={"concurrencyLimit": 1}))
    engine.do(set_environment_limit, engine.prod.id, 1, 100)
    token = a_token(engine)
    stopped = wait_for(engine, a_started_run(engine, "mail", concurrency_key="a"), token)
    behind = wait_for(engine, a_started_run(engine), token)
    a_version(engine, a_task(), a_task("mail", queue={"concurrencyLimit": 0}), content="two")
    last = a_started_run(engine)
    complete_with(engine, token)
    succeed(engine, last)
    assert claim(engine) == []
    assert engine.run(stopped).execution_status == X.QUEUED_EXECUTING
    assert engine.run(behind).execution_status == X.EXECUTING


def test_a_run_whose_queue_lost_its_slots_goes_on_once_there_are_some(engine: Harness) -> None:
    """Q-10, Q-24: its lane was forgotten, and a new one would have no slot either."""
    mail = [a_task("mail", queue={"concurrencyLimit": limit}) for limit in (1, 0)]
    a_version(engine, mail[0])
    token = a_token(engine)
    run = wait_for(engine, a_started_run(engine, "mail", concurrency_key="a"), token)
    a_version(engine, mail[1], content="two")
    complete_with(engine, token)
    assert claim(engine) == []
    assert engine.run(run).execution_status == X.QUEUED_EXECUTING
    assert engine.load().held == 0
    a_version(engine, mail[0], content="three")
    assert claim(engine) == []
    assert engine.run(run).execution_status == X.EXECUTING


def test_many_go_on_in_their_order_before_a_new_run_over_several_claims(engine: Harness) -> None:
    """Q-24: a claim lets only so many go on; until the last of them no new run gets a slot."""
    a_version(engine)
    engine.do(set_environment_limit, engine.prod.id, 120, 100)
    token = a_token(engine)
    waiting = [wait_for(engine, run, token) for run in _started(engine, 105)]
    others = _started(engine, 120)
    complete_with(engine, token)
    new = a_run(engine)
    for run in others:
        succeed(engine, run)
    first = engine.do(claim_runs, engine.prod.id, [Offer(WORKER, others[0].version_id or "", 5)])
    assert first.has_more and first.runs == []
    assert [r.execution_status for r in map(engine.run, waiting)].count(X.QUEUED_EXECUTING) == 5
    assert [run.id for run in claim(engine, 5)] == [new.id]
    assert {r.execution_status for r in map(engine.run, waiting)} == {X.EXECUTING}


def _started(engine: Harness, count: int) -> list[RunRow]:
    for _ in range(count):
        a_run(engine)
    return [start(engine, run) for run in claim(engine, count)]


def test_a_full_lane_does_not_hold_back_those_of_another(engine: Harness) -> None:
    """Q-11, Q-24: each key has its own slots, forgotten lanes too."""
    a_version(engine, a_task(queue={"name": "one", "concurrencyLimit": 1}))
    token = a_token(engine)
    a = wait_for(engine, a_started_run(engine, concurrency_key="a"), token)
    b = wait_for(engine, a_started_run(engine, concurrency_key="b"), token)
    assert engine.lane(a) is None
    a_started_run(engine, concurrency_key="a")
    complete_with(engine, token)
    assert engine.run(a).execution_status == X.QUEUED_EXECUTING
    assert engine.run(b).execution_status == X.EXECUTING
    assert engine.load().held == 2


def test_a_pause_does_not_hold_back_a_run_whose_wait_is_over(engine: Harness) -> None:
    """Q-33: it is a running run; only new starts wait."""
    a_version(engine)
    token = a_token(engine)
    run = wait_for(engine, a_started_run(engine), token)
    engine.do(set_paused, engine.prod.id, "task/resize", paused=True)
    engine.do(set_environment_paused, engine.prod.id, paused=True)
    complete_with(engine, token)
    assert engine.run(run).execution_status == X.EXECUTING


def test_the_environments_limit_holds_for_runs_that_go_on(engine: Harness) -> None:
    """Q-15, Q-24"""
    a_version(engine, queues=[a_queue("other")])
    token = a_token(engine)
    waiting = [wait_for(engine, a_started_run(engine), token) for _ in range(12)]
    complete_with(engine, token)
    states = [engine.run(run).execution_status for run in waiting]
    assert states == [X.EXECUTING] * 10 + [X.QUEUED_EXECUTING] * 2
    assert engine.load().held == 10


# ---- ends while waiting ---------------------------------------------------------------------------------


def test_a_failed_attempt_forgets_what_it_waited_for(engine: Harness) -> None:
    """AT-19: the next starts unblocked."""
    a_version(engine)
    run = a_started_run(engine)
    token = a_token(engine)
    waiting = wait_for(engine, run, token)
    fail(engine, waiting, retry_ms=60_000)
    assert _edges(engine, run) == []
    engine.pass_time(60)
    again = start(engine, claim_one(engine))
    complete_with(engine, token)
    assert engine.run(again).execution_status == X.EXECUTING
    assert again.attempt == 2


def test_a_silent_worker_fails_the_attempt_that_waits(engine: Harness) -> None:
    """HB-03: with the code of a stall while waiting; it is tried again."""
    a_version(engine)
    token = a_token(engine)
    run = wait_for(engine, a_started_run(engine), token)
    engine.do(time_out, run.id, run.snapshot_seq)
    assert "TASK_RUN_STALLED_EXECUTING_WITH_WAITPOINTS" in (engine.snapshots(run)[-1].error or "")
    assert engine.run(run).execution_status == X.QUEUED
    assert _edges(engine, run) == []


@pytest.mark.parametrize("is_over", [False, True])
def test_a_run_is_cancelled_while_it_waits(engine: Harness, is_over: bool) -> None:
    """CN-03: whether or not it has its slot back."""
    a_version(engine, a_task(queue={"name": "one", "concurrencyLimit": 1}))
    token = a_token(engine)
    run = wait_for(engine, a_started_run(engine), token)
    other = a_started_run(engine)
    if is_over:
        complete_with(engine, token)
    engine.do(cancel_run, engine.prod.id, run.id)
    assert engine.run(run).execution_status == X.PENDING_CANCEL
    fail(engine, engine.run(run))
    assert engine.run(run).status == "CANCELED"
    assert _edges(engine, run) == []
    succeed(engine, other)
    assert engine.load().held == 0


def test_cancelling_a_parent_cancels_the_child_it_waits_for(engine: Harness) -> None:
    """CN-04"""
    a_version(engine)
    parent = a_started_run(engine)
    child = _child(engine, parent)
    engine.do(cancel_run, engine.prod.id, parent.id)
    fail(engine, engine.run(parent))
    assert engine.run(child).status == "CANCELED"
    assert engine.run(parent).status == "CANCELED"


# ---- what the worker is told ------------------------------------------------------------------------------


def test_only_the_worker_that_has_a_run_is_told_of_its_wait(engine: Harness) -> None:
    a_version(engine)
    run = wait_for(engine, a_started_run(engine), a_token(engine))
    assert engine.do(read_wait_state, engine.prod.id, "worker_2", run.id) is None
    assert engine.do(read_wait_state, engine.dev.id, "worker_1", run.id) is None
    assert told(engine, run).execution_status == X.EXECUTING_WITH_WAITPOINTS


def test_a_run_that_never_waited_has_no_wait_to_tell_of(engine: Harness) -> None:
    a_version(engine)
    run = a_started_run(engine)
    assert engine.do(read_wait_state, engine.prod.id, "worker_1", run.id) is None


def test_only_the_newest_snapshot_tells_what_was_waited_for(engine: Harness) -> None:
    """ST-10: a later wait tells its own alone."""
    a_version(engine)
    run = a_started_run(engine)
    for output in ("1", "2"):
        token = a_token(engine)
        wait_for(engine, engine.run(run), token)
        complete_with(engine, token, output)
        assert [waited.output for waited in told(engine, run).waitpoints] == [output]


def _wait_for_batch(engine: Harness, run: RunRow, batch_id: str, edges: list[Edge]) -> None:
    now, of_batch = engine.run(run), engine.do(waitpoint_of_batch, engine.prod.id, batch_id)
    engine.do(block, now, [Edge(of_batch.id, batch_id), *edges])


def test_waits_are_told_in_the_order_of_the_batch(engine: Harness) -> None:
    """BA-16, ST-13: one waitpoint at two indexes is told twice."""
    a_version(engine)
    run = a_started_run(engine)
    tokens = [a_token(engine) for _ in range(3)]
    at = [(2, tokens[0]), (0, tokens[1]), (3, tokens[1]), (1, tokens[2])]
    _wait_for_batch(engine, run, "batch_1", [Edge(token.id, "batch_1", index) for index, token in at])
    for token in tokens:
        complete_with(engine, token)
    of_batch = engine.do(waitpoint_of_batch, engine.prod.id, "batch_1")
    engine.do(lambda tx: complete(tx, of_batch.id))
    waited = told(engine, run).waitpoints
    assert [(w.index, w.id) for w in waited] == [
        (None, of_batch.id),
        *((index, token.id) for index, token in sorted(at, key=lambda pair: pair[0])),
    ]


def test_the_batch_of_a_wait_is_not_that_of_the_next(engine: Harness) -> None:
    """WP-21: a batch id belongs to the wait that set it."""
    a_version(engine)
    run = a_started_run(engine)
    _wait_for_batch(engine, run, "batch_1", [])
    engine.do(lambda tx: complete(tx, waitpoint_of_batch(tx, engine.prod.id, "batch_1").id))
    assert engine.snapshots(run)[-1].batch_id == "batch_1"
    child = _child(engine, engine.run(run))
    assert engine.snapshots(run)[-1].batch_id is None
    succeed(engine, _run(engine, child))
    [waited] = told(engine, run).waitpoints
    assert waited.completed_by_task_run is not None
    assert waited.completed_by_task_run.batch is None


def test_many_and_large_results_are_told_whole(engine: Harness) -> None:
    """ST-12: 500 waitpoints; 236 outputs of 100 KB."""
    a_version(engine)
    run = a_started_run(engine)
    tokens = [a_token(engine) for _ in range(500)]
    engine.do(lambda tx: block(tx, run, [Edge(token.id) for token in tokens]))
    for number, token in enumerate(tokens):
        complete_with(engine, token, "x" * 100_000 if number < 236 else "1")
    waited = told(engine, run).waitpoints
    assert len(waited) == 500
    assert sum(len(w.output or "") == 100_000 for w in waited) == 236


def test_a_large_output_of_a_child_is_told_whole(engine: Harness) -> None:
    """ST-12: also when it is kept beside its run."""
    a_version(engine)
    parent = a_started_run(engine)
    child = _child(engine, parent)
    output = '"' + "x" * 100_000 + '"'
    succeed(engine, _run(engine, child), output=output)
    assert told(engine, parent).waitpoints[0].output == output


def test_a_waitpoint_of_a_run_names_it() -> None:
    with pytest.raises(msgspec.ValidationError, match="names it"):
        msgspec.json.decode(
            b'{"id":"a","friendlyId":"a","type":"RUN","completedAt":"","outputIsError":false}',
            type=CompletedWaitpoint,
        )
