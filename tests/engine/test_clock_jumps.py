"""The machine's clock is set back: what was reckoned from the wrong time is moved, what was named is not."""

from functools import partial

from tests.support.builders import a_run, a_started_run, a_version, claim, fail
from tests.support.harness import Harness
from trigger_lite.engine.clock_jumps import bring_back
from trigger_lite.engine.events import QueueChanged
from trigger_lite.store.clock_jumps import list_ahead
from trigger_lite.store.runs import RunRow

HOUR = 3_600


def set_back(engine: Harness) -> list[str]:
    """Set the clock back by an hour and do what is done then; returns the runs that were ahead."""
    engine.pass_time(-HOUR)
    ahead = engine.do(partial(list_ahead, count=10))
    engine.do(bring_back, ahead)
    return ahead


def order(engine: Harness) -> list[str]:
    return [run.id for run in claim(engine, 10)]


def test_runs_that_came_meanwhile_start_in_their_order(engine: Harness) -> None:
    a_version(engine)
    runs = [a_run(engine), a_run(engine, priority=5), a_run(engine)]
    engine.events.clear()
    assert sorted(set_back(engine)) == sorted(run.id for run in runs)
    assert [type(event) for event in engine.events] == [QueueChanged]
    assert order(engine) == [runs[1].id, runs[0].id, runs[2].id]


def test_a_retry_waits_no_longer_than_it_was_to(engine: Harness) -> None:
    """AT-18: forty seconds, not an hour and forty seconds."""
    a_version(engine)
    run = fail(engine, a_started_run(engine), retry_ms=40_000).run
    assert set_back(engine) == [run.id]
    assert engine.run(run).score == engine.now + 40_000
    assert order(engine) == []
    engine.pass_time(41)
    assert order(engine) == [run.id]


def test_a_ttl_ends_when_it_was_to(engine: Harness) -> None:
    """TR-12: reckoned from the first moment in line, by the time that is right."""
    a_version(engine)
    run = a_run(engine, ttl=60)
    set_back(engine)
    assert engine.run(run).ttl_at == engine.now + 60_000


def test_what_was_there_before_and_what_somebody_named_stays(engine: Harness) -> None:
    a_version(engine)
    engine.pass_time(-HOUR - 1)
    before = [a_run(engine), a_run(engine, priority=-600), a_run(engine, delay="3h")]
    engine.pass_time(HOUR + 1)
    before.append(a_run(engine, delay="2030-01-01T00:00:00Z"))
    assert set_back(engine) == []
    assert [_times(engine.run(run)) for run in before] == [_times(run) for run in before]


def _times(run: RunRow) -> tuple[int, int | None, int | None]:
    return run.score, run.delay_until, run.ttl_at


def test_a_run_that_moved_since_the_look_is_left_alone(engine: Harness) -> None:
    a_version(engine)
    run = a_run(engine)
    engine.pass_time(-HOUR)
    ahead = engine.do(partial(list_ahead, count=10))
    engine.pass_time(HOUR)
    claim(engine, 1)
    moved = engine.run(run)
    engine.do(bring_back, [*ahead, "run_gone"])
    assert engine.run(run) == moved
