"""Moving the start of a delayed run (CN-09, LK-03)."""

import pytest

from tests.support.builders import a_run, a_started_run, a_version, claim, succeed
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.delays import enqueue_delayed, reschedule
from trigger_lite.engine.requests import check_delay
from trigger_lite.protocol.errors import BadRequest, RunNotFound, Unprocessable
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.store.runs import RunRow


def _start_in(engine: Harness, run: RunRow, seconds: int) -> RunRow:
    return engine.do(reschedule, engine.prod.id, run.id, engine.now + seconds * 1000)


def test_a_delayed_run_is_moved_to_another_time(engine: Harness) -> None:
    """CN-09: start and queue time, with a snapshot of its own."""
    run = a_run(engine, delay="1h", priority=5)
    moved = _start_in(engine, run, 7200)
    assert (moved.delay_until, moved.queue_time) == (engine.now + 7_200_000,) * 2
    assert moved.score == moved.queue_time - 5_000
    assert engine.path(run) == [X.DELAYED, X.DELAYED]
    assert engine.run(run) == moved


def test_the_old_time_does_not_start_it(engine: Harness) -> None:
    """CN-09, LK-03: there is one start time, wherever it was before."""
    a_version(engine)
    run = a_run(engine, delay="1h")
    _start_in(engine, run, 7200)
    engine.pass_time(3600)
    assert engine.do(enqueue_delayed, 10) == 0
    engine.pass_time(3600)
    assert engine.do(enqueue_delayed, 10) == 1
    assert [claimed.id for claimed in claim(engine)] == [run.id]


def test_a_run_may_start_sooner_too(engine: Harness) -> None:
    """CN-09: unlike a debounce push."""
    run = a_run(engine, delay="1h")
    _start_in(engine, run, 1)
    assert [move.timer_at for move in engine.moves(run)][-1] == engine.now + 1_000
    engine.pass_time(1)
    assert engine.do(enqueue_delayed, 10) == 1


def test_a_start_that_is_looked_for_twice_happens_once(engine: Harness) -> None:
    """LK-03: the second look finds nothing."""
    run = a_run(engine, delay="1h")
    engine.pass_time(3600)
    assert [engine.do(enqueue_delayed, 10), engine.do(enqueue_delayed, 10)] == [1, 0]
    assert engine.path(run) == [X.DELAYED, X.QUEUED]


def test_a_run_that_is_delayed_no_more_stays_as_it_is(engine: Harness) -> None:
    """CN-09: queued, running, over or cancelled."""
    a_version(engine)
    running = a_started_run(engine)
    over = a_started_run(engine)
    succeed(engine, over)
    canceled = a_run(engine, delay="1h")
    engine.do(cancel_run, engine.prod.id, canceled.id)
    for run in (a_run(engine), running, over, canceled):
        before = engine.run(run)
        with pytest.raises(Unprocessable, match="only a DELAYED run can be rescheduled"):
            _start_in(engine, run, 60)
        assert engine.run(run) == before


def test_a_run_of_another_environment_is_not_moved(engine: Harness) -> None:
    """CN-09: it is not there."""
    run = a_run(engine, environment=engine.dev, delay="1h")
    with pytest.raises(RunNotFound):
        _start_in(engine, run, 60)


@pytest.mark.parametrize("delay", ["soon", "0s", "2001-01-01", ""])
def test_a_time_that_is_none_or_over_is_refused(engine: Harness, delay: str) -> None:
    """CN-09: nothing is moved to the past."""
    with pytest.raises(BadRequest, match="delay"):
        check_delay(delay, engine.now)


def test_a_child_keeps_the_place_of_its_parent(engine: Harness) -> None:
    """TR-15: its parent waits for it."""
    a_version(engine)
    parent = a_started_run(engine)
    child = a_run(engine, delay="1h", parent_run_id=parent.id, resume_parent_on_completion=True)
    assert _start_in(engine, child, 60).score == parent.queue_time
