"""What is put right when the server starts (HB-08, HB-11)."""

from typing import Any

import pytest

from tests.support.batching import a_batch, fill
from tests.support.builders import (
    WORKER,
    a_run,
    a_started_run,
    a_task,
    a_token,
    a_version,
    claim,
    claim_one,
    fail,
    start,
    succeed,
    wait_for,
)
from tests.support.harness import Harness
from tests.support.recovering import recover
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.checks import AT_BOOT, CHECKS, Check
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.store import schema
from trigger_lite.store.runs import RunRow

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
    owned = {run.id: (run.execution_status, run.worker_id) for run in engine.do(recover)}
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


# ---- damage by hand -----------------------------------------------------------------------------------


def _damaged(engine: Harness, name: str) -> RunRow:
    """Make what the engine never leaves; returns the run it concerns."""
    match name:
        case "slots of environments":
            run = a_started_run(engine)
            engine.change("UPDATE environment SET held = 7")
        case "lanes":
            run = a_run(engine)
            engine.change("UPDATE lane SET waiting = 9, head_score = NULL, held = 3, blocked = 1")
        case "places in line":
            run = a_run(engine, concurrency_key="a")
            engine.change("DELETE FROM lane")
        case "runs without a worker":
            run = a_started_run(engine)
            engine.change("UPDATE run SET worker_id = NULL, holds_slot = 0")
            engine.change("UPDATE lane SET held = 0")
            engine.change("UPDATE environment SET held = 0")
        case "waits of runs that do not wait":
            run = a_started_run(engine)
            _insert_edge(engine, run, a_token(engine).id)
        case "waits for runs":
            run = a_started_run(engine)
            child = a_run(engine, parent_run_id=run.id, resume_parent_on_completion=True)
            engine.change("UPDATE run SET is_awaited = 0 WHERE id = :id", id=child.id)
            engine.do(cancel_run, engine.prod.id, child.id)
        case "counts of batches" | "items of batches" | "ends of batches" | "waits for batches":
            run = _damaged_batch(engine, name)
        case "waits that are over":
            run = wait_for(engine, a_started_run(engine), a_token(engine))
            engine.change("UPDATE waitpoint SET status = 'COMPLETED', completed_at = 1")
        case _:
            raise LookupError(name)
    return run


def _damaged_batch(engine: Harness, name: str) -> RunRow:
    """Make a run wait for a batch of which nothing is missing but what was damaged."""
    run = a_started_run(engine)
    batch = a_batch(engine, 2, parent=run)
    one, two = fill(engine, batch)
    if name == "counts of batches":
        engine.change("UPDATE batch SET received = 1, failed = 5, finished = -7")
    if name == "items of batches":
        engine.change("UPDATE run SET is_awaited = 0")
    engine.do(cancel_run, engine.prod.id, one.id)
    if name == "ends of batches":
        engine.change("UPDATE batch SET run_count = 3")
    engine.do(cancel_run, engine.prod.id, two.id)
    if name == "ends of batches":
        engine.change("UPDATE batch SET run_count = 2")
    if name == "waits for batches":
        engine.change("UPDATE batch SET completed_at = NULL")
        _wait_again(engine, run)
        engine.change("UPDATE batch SET completed_at = :now", now=engine.now)
    return run


def _insert_edge(engine: Harness, run: RunRow, waitpoint_id: str) -> None:
    sql = "INSERT INTO run_waitpoint (run_id, waitpoint_id, batch_index) VALUES (:run_id, :waitpoint_id, -1)"
    engine.change(sql, run_id=run.id, waitpoint_id=waitpoint_id)


def _wait_again(engine: Harness, run: RunRow) -> None:
    """Take back that a run went on: it waits for its batch as before."""
    waitpoint_id = engine.ask("SELECT id FROM waitpoint WHERE kind = 'BATCH'")[0]
    engine.change("UPDATE waitpoint SET status = 'PENDING', completed_at = NULL WHERE kind = 'BATCH'")
    engine.change("DELETE FROM run_waitpoint")
    _insert_edge(engine, run, waitpoint_id)
    engine.change(
        "UPDATE run SET execution_status = 'EXECUTING_WITH_WAITPOINTS', holds_slot = 0 WHERE id = :id",
        id=run.id,
    )
    engine.change("UPDATE lane SET held = 0")
    engine.change("UPDATE environment SET held = 0")


def _everything(engine: Harness) -> dict[str, list[Any]]:
    return {name: sorted(engine.ask(f"SELECT * FROM {name}"), key=repr) for name in schema.STATE.tables}


@pytest.mark.parametrize("check", AT_BOOT, ids=lambda check: check.name)
def test_every_kind_of_damage_is_found_put_right_and_left_alone_afterwards(
    engine: Harness, check: Check
) -> None:
    """13c: the boot recipe; each step may be repeated."""
    a_version(engine, a_task(queue={"concurrencyLimit": 5}))
    run = _damaged(engine, check.name)
    assert engine.do(check.find, 10)
    engine.do(recover)
    assert [other.name for other in CHECKS if engine.do(other.find, 10)] == []
    right = _everything(engine)
    engine.events.clear()
    engine.do(recover)
    assert (_everything(engine), engine.events) == (right, [])
    _assert_goes_on(engine, run, check.name)


def _assert_goes_on(engine: Harness, run: RunRow, name: str) -> None:
    """The run that was damaged can be brought to its end."""
    run = engine.run(run)
    if name == "runs without a worker":
        assert engine.path(run)[-1] == X.QUEUED
        engine.pass_time(3_600)
    if run.execution_status == X.QUEUED:
        run = start(engine, claim_one(engine))
    assert succeed(engine, run).run.execution_status == X.FINISHED
    assert engine.load().held == 0
    assert [other.name for other in CHECKS if engine.do(other.find, 10)] == []


@pytest.mark.parametrize("check", AT_BOOT, ids=lambda check: check.name)
def test_a_repair_of_what_is_right_changes_nothing(engine: Harness, check: Check) -> None:
    """What a reader found may have changed before it is put right."""
    a_version(engine)
    waiting = wait_for(engine, a_started_run(engine), a_token(engine))
    executing, queued = a_started_run(engine), a_run(engine)
    batch = a_batch(engine, 1)
    (item,) = fill(engine, batch)
    before = _everything(engine)
    ids = [waiting.id, executing.id, queued.id, batch.id, item.id, queued.lane_id, "run_gone"]
    if check.name not in ("waits for runs", "items of batches", "waits for batches"):  # found when over
        engine.do(check.put_right, ids)
    assert _everything(engine) == before


def test_much_damage_is_put_right_in_chunks(engine: Harness) -> None:
    a_version(engine)
    runs = [a_run(engine, concurrency_key=str(n)) for n in range(7)]
    engine.change("DELETE FROM lane")
    engine.do(recover, chunk=2)
    assert {run.id for run in claim(engine, 10)} == {run.id for run in runs}
