"""The timeline and the attempts, as the snapshots of a run tell them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builders import a_run, a_started_run, a_version, claim, claim_one, fail, start, succeed
from tests.support.harness import Harness, database_at, harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.delays import enqueue_delayed
from trigger_lite.engine.deliveries import time_out
from trigger_lite.protocol.run_errors import ErrorCode
from trigger_lite.store.runs import RunRow
from trigger_lite.web.dashboard.steps import Attempt, attempts_of, steps_of


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Harness]:
    with harness(database_at("sqlite://", tmp_path)) as made:
        a_version(made)
        yield made


def _words(engine: Harness, run: RunRow) -> list[str]:
    return [step.word for step in steps_of(engine.run(run), engine.snapshots(run), final=None)]


def _attempts(engine: Harness, run: RunRow) -> list[Attempt]:
    return attempts_of(engine.run(run), engine.snapshots(run))


def test_a_run_that_succeeds_at_once(engine: Harness) -> None:
    run = a_started_run(engine)
    engine.pass_time(2)
    succeed(engine, run)
    assert _words(engine, run) == ["Triggered", "Try 1"]
    (attempt,) = _attempts(engine, run)
    assert (attempt.outcome, attempt.ended_at) == ("succeeded", engine.now)


def test_retries_in_the_worker_and_through_the_queue(engine: Harness) -> None:
    run = a_started_run(engine)
    again = start(engine, fail(engine, run, retry_ms=1_000).run)
    fail(engine, again, retry_ms=60_000)
    engine.pass_time(60)
    succeed(engine, start(engine, claim_one(engine)))
    assert _words(engine, run) == ["Triggered", "Try 1", "Try 1 failed", "Try 2", "Try 2 failed", "Try 3"]
    outcomes = [(attempt.number, attempt.outcome, attempt.retry_at) for attempt in _attempts(engine, run)]
    assert outcomes[0][:2] == (1, "failed") and outcomes[1][:2] == (2, "failed")
    assert outcomes[2] == (3, "succeeded", None)
    assert outcomes[0][2] is not None and outcomes[1][2] is not None


def test_an_attempt_that_runs_has_no_end(engine: Harness) -> None:
    run = a_started_run(engine)
    (attempt,) = _attempts(engine, run)
    assert (attempt.outcome, attempt.ended_at, attempt.worker_id) == ("running", None, "worker_1")


def test_waits_before_the_start_are_steps(engine: Harness) -> None:
    delayed, parked = a_run(engine, delay="1h"), a_run(engine, "unheard-of")
    claim(engine)
    engine.pass_time(3_600)
    engine.do(enqueue_delayed, 10)
    assert _words(engine, delayed) == ["Triggered", "Delay ended"]
    assert _words(engine, parked) == ["Triggered", "Parked"]


def test_a_run_that_comes_back_unstarted_says_so(engine: Harness) -> None:
    a_run(engine)
    run = claim_one(engine)
    engine.do(time_out, run.id, run.snapshot_seq)
    assert _words(engine, run) == ["Triggered", "Handed back"]
    assert _attempts(engine, run) == []


def test_a_cancel_stops_the_attempt(engine: Harness) -> None:
    run = a_started_run(engine)
    engine.do(cancel_run, engine.prod.id, run.id)
    fail(engine, engine.run(run), ErrorCode.TASK_RUN_CANCELLED)
    assert _words(engine, run) == ["Triggered", "Try 1", "Cancel requested"]
    assert [attempt.outcome for attempt in _attempts(engine, run)] == ["stopped"]
