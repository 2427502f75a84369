"""Debounced triggers (DB)."""

from typing import Any

import pytest

from tests.support.builders import (
    a_request,
    a_run,
    a_started_run,
    a_task,
    a_version,
    claim,
    claim_one,
    trigger,
)
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.delays import enqueue_delayed
from trigger_lite.engine.events import RunChanged
from trigger_lite.engine.run_json import decode_tags
from trigger_lite.protocol.errors import BadRequest, Unprocessable
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.tasks import DebounceOption
from trigger_lite.store.run_lists import RunFilter, list_runs
from trigger_lite.store.runs import RunRow


def _debounce(key: str = "user-1", delay: str = "30s", **options: Any) -> DebounceOption:
    return DebounceOption(key, delay, **options)


def _push(engine: Harness, payload: Any = None, **options: Any) -> RunRow:
    """Trigger with a debounce key, `user-1` unless another option says so."""
    options.setdefault("debounce", _debounce())
    return a_run(engine, payload=payload, **options)


def _trailing(engine: Harness, payload: Any = None, **options: Any) -> RunRow:
    return _push(engine, payload, debounce=_debounce(mode="trailing"), **options)


def _ids_of_tag(engine: Harness, tag: str) -> list[str]:
    wanted = RunFilter(environment_id=engine.prod.id, tags=(tag,))
    return [run.id for run in engine.do(list_runs, wanted, size=10).rows]


# ---- which triggers become one run --------------------------------------------------------------------


def test_triggers_of_one_key_become_one_run_that_starts_later(engine: Harness) -> None:
    """DB-01: the start moves to now + delay, and the run's id is returned."""
    first = _push(engine)
    assert (first.execution_status, first.delay_until) == (X.DELAYED, engine.now + 30_000)
    engine.pass_time(10)
    second = trigger(engine, debounce=_debounce())
    assert (second.run_id, second.is_cached) == (first.id, False)
    moved = engine.run(first)
    assert moved.delay_until == engine.now + 30_000
    assert engine.path(first) == [X.DELAYED, X.DELAYED]
    assert engine.ask("SELECT count(*) FROM run") == [1]


def test_another_key_task_or_environment_is_another_run(engine: Harness) -> None:
    """DB-02: keys are scoped to both."""
    made = {
        _push(engine).id,
        _push(engine, debounce=_debounce("user-2")).id,
        trigger(engine, "mail", debounce=_debounce()).run_id,
        trigger(engine, environment=engine.dev, debounce=_debounce()).run_id,
    }
    assert len(made) == 4


def test_the_run_executes_once_after_the_last_delay(engine: Harness) -> None:
    """DB-03: the start that was planned first does nothing any more."""
    a_version(engine)
    run = _push(engine)
    engine.pass_time(20)
    _push(engine)
    engine.pass_time(10)
    assert engine.do(enqueue_delayed, 10) == 0
    engine.pass_time(20)
    assert engine.do(enqueue_delayed, 10) == 1
    assert [claimed.id for claimed in claim(engine, 10)] == [run.id]


def test_once_queued_the_next_trigger_makes_a_new_run(engine: Harness) -> None:
    """DB-04: and so does one after a cancel."""
    first = _push(engine)
    engine.pass_time(30)
    engine.do(enqueue_delayed, 10)
    second = _push(engine)
    assert second.id != first.id
    engine.do(cancel_run, engine.prod.id, second.id)
    assert _push(engine).id not in (first.id, second.id)


def test_many_triggers_make_one_run(engine: Harness) -> None:
    """DB-10, DB-11: one transaction looks and makes; none fails."""
    assert len({_push(engine, number).id for number in range(50)}) == 1


def test_the_database_itself_allows_one_delayed_run_per_key(engine: Harness) -> None:
    """DB-10: a unique index, not only a look before."""
    _push(engine)
    other = _push(engine, debounce=_debounce("user-2"))
    with pytest.raises(Exception, match=r"(?i)unique"):
        engine.change("UPDATE run SET debounce_key = 'user-1' WHERE id = :id", id=other.id)


def test_a_run_delayed_anew_does_not_take_its_key_back(engine: Harness) -> None:
    """DB-04: its version came late, the clock went back, and another run has the key by then."""
    a_version(engine, a_task("mail"))
    first = _push(engine)
    engine.pass_time(30)
    engine.do(enqueue_delayed, 10)
    claim(engine)
    assert engine.run(first).execution_status == X.RUN_CREATED
    engine.pass_time(-60)
    second = _push(engine)
    a_version(engine, content="two")
    assert engine.run(first).execution_status == X.DELAYED
    assert _push(engine).id == second.id


# ---- when it starts -----------------------------------------------------------------------------------


def test_the_start_only_moves_later(engine: Harness) -> None:
    """DB-07: a shorter delay leaves it where it is."""
    run = _push(engine)
    _push(engine, debounce=_debounce(delay="5s"))
    assert engine.run(run).delay_until == run.delay_until


def test_triggers_within_one_second_write_nothing(engine: Harness) -> None:
    """DB-07: starts are moved in whole seconds, rounded down."""
    run = _push(engine)
    engine.pass_time(0.9)
    _push(engine)
    engine.pass_time(0.05)
    assert _push(engine) == run
    engine.pass_time(1.3)
    _push(engine)
    moved = engine.run(run)
    assert moved.delay_until == (engine.now + 30_000) // 1000 * 1000
    assert moved.snapshot_seq == 2


def test_a_push_past_the_longest_delay_makes_a_new_run(engine: Harness) -> None:
    """DB-05: the first run gives its key up and keeps its time."""
    bounded = _debounce(max_delay="1m")
    first = _push(engine, debounce=bounded)
    engine.pass_time(30)
    assert _push(engine, debounce=bounded).id == first.id
    at_most = engine.run(first).delay_until
    assert at_most == first.created_at + 60_000
    engine.pass_time(1)
    second = _push(engine, debounce=bounded)
    assert second.id != first.id
    assert (engine.run(first).debounce_key, engine.run(first).delay_until) == (None, at_most)
    engine.pass_time(1)
    assert _push(engine, debounce=bounded).id == second.id


def test_the_shorter_of_two_bounds_holds(engine: Harness) -> None:
    """DB-05: what the first trigger promised, or this one wants, is kept."""
    first = _push(engine, debounce=_debounce(max_delay="1m"))
    engine.pass_time(31)
    assert _push(engine).id != first.id
    other = _push(engine, debounce=_debounce("other"))
    engine.pass_time(10)
    assert _push(engine, debounce=_debounce("other", max_delay="35s")).id != other.id


def test_without_a_bound_a_run_may_be_put_off_for_ever(engine: Harness) -> None:
    """DB-05: nobody asked for another."""
    run = _push(engine)
    for _ in range(100):
        engine.pass_time(29)
        assert _push(engine).id == run.id


def test_an_explicit_delay_is_where_the_start_is_first(engine: Harness) -> None:
    """DB-01: the debounce's own delay counts from the next trigger on."""
    run = _push(engine, delay="10s")
    assert run.delay_until == engine.now + 10_000
    _push(engine)
    assert engine.run(run).delay_until == engine.now + 30_000


@pytest.mark.parametrize("delay", ["2030-01-01", "soon", "0s", "", "-5s", "1.5s", "999999999w"])
def test_a_delay_must_be_a_duration(engine: Harness, delay: str) -> None:
    """DB-06: a date cannot be applied again and again."""
    with pytest.raises(Unprocessable, match=r"debounce\.delay"):
        a_request(engine, debounce=_debounce(delay=delay))


@pytest.mark.parametrize("longest", ["30s", "29s", "soon"])
def test_the_longest_delay_must_leave_room(engine: Harness, longest: str) -> None:
    """DB-06: or every trigger would make its own run."""
    with pytest.raises(Unprocessable, match=r"debounce\.maxDelay"):
        a_request(engine, debounce=_debounce(max_delay=longest))


def test_a_key_without_letters_is_refused(engine: Harness) -> None:
    """DB-06: null bytes are none."""
    with pytest.raises(BadRequest, match=r"debounce\.key"):
        a_request(engine, debounce=_debounce("\0"))


def test_a_push_moves_the_place_in_line(engine: Harness) -> None:
    """TR-14: the queue time is the start; priority counts from there."""
    run = _push(engine, priority=5)
    engine.pass_time(10)
    _push(engine)
    moved = engine.run(run)
    assert (moved.queue_time, moved.score) == (engine.now + 30_000, engine.now + 25_000)


def test_a_push_announces_the_new_start(engine: Harness) -> None:
    """LK-05: so that the loop looks then, and not only before."""
    run = _push(engine)
    engine.pass_time(10)
    _push(engine)
    assert [move.timer_at for move in engine.moves(run)] == [run.delay_until, engine.now + 30_000]


@pytest.mark.parametrize("late", [0.0, 0.5])
def test_a_push_at_the_moment_of_the_start_is_not_lost(engine: Harness, late: float) -> None:
    """LK-05: before the loop looked the push wins; after it there is a new run; never an early start."""
    run = _push(engine)
    engine.pass_time(30 + late)
    assert _push(engine).id == run.id
    assert engine.do(enqueue_delayed, 10) == 0
    engine.pass_time(31)
    assert engine.do(enqueue_delayed, 10) == 1
    assert _push(engine).id != run.id


# ---- whose data it has ----------------------------------------------------------------------------------


def test_the_first_payload_is_kept(engine: Harness) -> None:
    """DB-08: leading is the default."""
    run = _push(engine, 1, metadata={"a": 1}, tags=["old"], machine="micro")
    engine.pass_time(5)
    _push(engine, 2, metadata={"a": 2}, tags=["new"], machine="large-1x", max_attempts=9, max_duration=99)
    data, after = engine.data(run), engine.run(run)
    assert (data.payload, data.metadata, decode_tags(after.tags)) == ("1", '{"a":1}', ["old"])
    assert (after.machine, after.max_attempts, after.max_duration) == ("micro", None, None)


def test_the_newest_payload_wins_in_trailing_mode(engine: Harness) -> None:
    """DB-08: payload, metadata, tags, maxAttempts, maxDuration and machine."""
    run = _trailing(engine, "x" * 20_000, metadata={"a": 1}, tags=["old", "both"], machine="micro")
    engine.pass_time(5)
    _trailing(
        engine,
        2,
        metadata={"a": 2},
        tags=["both", "new"],
        machine="large-1x",
        max_attempts=9,
        max_duration=99,
    )
    data, after = engine.data(run), engine.run(run)
    assert (data.payload, data.metadata, data.seed_metadata) == ("2", '{"a":2}', '{"a":2}')
    assert (after.machine, after.max_attempts, after.max_duration) == ("large-1x", 9, 99)
    assert decode_tags(after.tags) == ["both", "new"]
    found = {tag: _ids_of_tag(engine, tag) for tag in ("old", "both", "new")}
    assert found == {"old": [], "both": [run.id], "new": [run.id]}


def test_what_the_newest_trigger_does_not_name_stays(engine: Harness) -> None:
    """DB-08: but for the payload, which each trigger has or has not."""
    run = _trailing(engine, 1, metadata={"a": 1}, tags=["old"], machine="micro", max_attempts=2)
    engine.pass_time(5)
    _trailing(engine)
    data, after = engine.data(run), engine.run(run)
    assert (data.payload, data.metadata, decode_tags(after.tags)) == ("null", '{"a":1}', ["old"])
    assert (after.machine, after.max_attempts) == ("micro", 2)


def test_a_trailing_payload_is_taken_without_moving_the_start(engine: Harness) -> None:
    """DB-08, DB-07: within the same second the data change and the snapshot does not."""
    run = _trailing(engine, 1)
    engine.events.clear()
    _trailing(engine, 2)
    assert engine.data(run).payload == "2"
    assert engine.run(run).snapshot_seq == 1
    assert [event for event in engine.events if isinstance(event, RunChanged)]


# ---- beside the other options ---------------------------------------------------------------------------


def test_an_idempotency_key_is_looked_at_first(engine: Harness) -> None:
    """ID-10: an answer already given moves nothing."""
    run = _push(engine, idempotency_key="k")
    engine.pass_time(10)
    answer = trigger(engine, idempotency_key="k", debounce=_debounce())
    assert (answer.run_id, answer.is_cached) == (run.id, True)
    assert engine.run(run).delay_until == run.delay_until


def test_a_refused_parent_moves_nothing(engine: Harness) -> None:
    """TR-21: a debounced trigger is checked like every other."""
    run = _push(engine)
    engine.pass_time(10)
    with pytest.raises(Unprocessable, match="parent"):
        _push(engine, parent_run_id="run_of_nobody")
    assert engine.run(run).delay_until == run.delay_until


def test_every_parent_waits_for_the_one_child(engine: Harness) -> None:
    """DB-09: and goes on when it is over."""
    a_version(engine)
    parents = [a_started_run(engine), a_started_run(engine)]
    children = set()
    for parent in parents:
        engine.pass_time(1)
        children.add(_push(engine, parent_run_id=parent.id, resume_parent_on_completion=True).id)
    assert len(children) == 1
    assert {engine.run(parent).execution_status for parent in parents} == {X.EXECUTING_WITH_WAITPOINTS}
    engine.do(cancel_run, engine.prod.id, children.pop())
    assert {engine.run(parent).execution_status for parent in parents} == {X.EXECUTING}


def test_the_ttl_of_a_debounced_run_counts_from_its_start(engine: Harness) -> None:
    """TR-12: being put off costs none of it."""
    a_version(engine)
    run = _push(engine, ttl=60)
    engine.pass_time(29)
    _push(engine)
    engine.pass_time(30)
    engine.do(enqueue_delayed, 10)
    assert engine.run(run).ttl_at == engine.now + 60_000
    assert claim_one(engine).id == run.id
