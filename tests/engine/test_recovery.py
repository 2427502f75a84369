"""What is put right when the server starts (HB-08, HB-11)."""

from tests.support.builders import (
    WORKER,
    a_run,
    a_started_run,
    a_task,
    a_version,
    claim,
    claim_one,
    fail,
    succeed,
)
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.recovery import recover
from trigger_lite.protocol.statuses import ExecutionStatus as X

_LANES = "SELECT id, held, head_score, blocked FROM lane ORDER BY id"


def test_counters_that_went_wrong_are_counted_anew_from_the_runs(engine: Harness) -> None:
    """HB-11 ↯: slots, heads of lanes and what blocks them."""
    a_version(engine, a_task(queue={"concurrencyLimit": 2}))
    a_started_run(engine), a_started_run(engine, concurrency_key="a")
    a_run(engine), a_run(engine, concurrency_key="b", priority=5)
    right = engine.ask(_LANES)
    engine.change("UPDATE lane SET held = 77, head_score = NULL, blocked = 1")
    engine.change("UPDATE environment SET held = -3")
    engine.do(recover)
    assert engine.ask(_LANES) == right
    assert (engine.load().held, engine.load(engine.dev).held) == (2, 0)
    assert len(claim(engine, 10)) == 2


def test_recovery_changes_nothing_that_is_right_and_no_run(engine: Harness) -> None:
    """HB-08: a restart must not look like dead workers; every step may be repeated."""
    a_version(engine)
    a_started_run(engine), a_run(engine), a_run(engine, delay="1h")
    before = engine.ask(_LANES), engine.ask("SELECT * FROM run ORDER BY id"), engine.load()
    engine.events.clear()
    for _ in range(2):
        engine.do(recover)
    assert (engine.ask(_LANES), engine.ask("SELECT * FROM run ORDER BY id"), engine.load()) == before
    assert engine.events == []


def test_the_runs_that_workers_have_are_listed_for_fresh_timeouts(engine: Harness) -> None:
    """HB-08: claimed, executing, being cancelled; none that waits or is over."""
    a_version(engine)
    executing = a_started_run(engine)
    canceling = a_started_run(engine)
    engine.do(cancel_run, engine.prod.id, canceling.id)
    succeed(engine, a_started_run(engine))
    fail(engine, a_started_run(engine), retry_ms=60_000)
    a_run(engine)
    claimed = claim_one(engine)
    a_run(engine), a_run(engine, delay="1h")
    owned = {run.id: (run.execution_status, run.worker_id) for run in engine.do(recover).owned}
    assert owned == {
        executing.id: (X.EXECUTING, WORKER),
        canceling.id: (X.PENDING_CANCEL, WORKER),
        claimed.id: (X.PENDING_EXECUTING, WORKER),
    }


def test_a_cancelled_run_still_with_its_worker_holds_no_slot_after_a_restart(engine: Harness) -> None:
    """Q-21: it gave it back when it was cancelled."""
    a_version(engine)
    run = a_started_run(engine)
    engine.do(cancel_run, engine.prod.id, run.id)
    engine.do(recover)
    assert engine.load().held == 0


def test_a_result_is_taken_after_a_restart(engine: Harness) -> None:
    """HB-08: the worker went on while the server was gone."""
    a_version(engine)
    run = a_started_run(engine)
    engine.do(recover)
    assert succeed(engine, run).run.execution_status == X.FINISHED
    assert engine.load().held == 0
