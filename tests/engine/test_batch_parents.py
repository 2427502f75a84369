"""Parents that wait for batches: what they are told, and that they always go on (BA-10, BA-13, BA-16)."""

import msgspec
import orjson
import pytest

from tests.support.batching import (
    PARENT,
    a_batch,
    a_parent,
    add,
    announce,
    fill,
    finish_all,
    items_of,
    now,
    refuse,
    sealed,
    told,
    waitpoint_of,
)
from tests.support.builders import (
    WORKER,
    a_queue,
    a_run,
    a_started_run,
    a_task,
    a_version,
    claim,
    fail,
    newest,
    start,
    succeed,
    trigger,
)
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run, finish_cancel
from trigger_lite.engine.wait_state import read_wait_state
from trigger_lite.protocol.errors import Unprocessable
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.protocol.tasks import QueueOption
from trigger_lite.protocol.worker import MAX_FRAME_BYTES, Moved
from trigger_lite.store.runs import RunRow

# ---- a parent that waits -----------------------------------------------------------------------------------


def test_a_parent_waits_before_any_item_exists(engine: Harness) -> None:
    """BA-10: from the announcement on, its slot free."""
    parent = a_parent(engine)
    batch = a_batch(engine, 2, parent=parent)
    assert engine.run(parent).execution_status == X.EXECUTING_WITH_WAITPOINTS
    assert engine.load().held == 0
    assert engine.snapshots(parent)[-1].batch_id == batch.id
    waitpoint = waitpoint_of(engine, batch)
    assert waitpoint is not None and (waitpoint.kind, waitpoint.status) == ("BATCH", "PENDING")


def test_a_parent_goes_on_with_the_run_of_every_index_and_the_batch(engine: Harness) -> None:
    """BA-16, BA-17, ST-13: once, when all are over, told in the order of the items."""
    parent = a_parent(engine)
    batch = a_batch(engine, 3, parent=parent)
    runs = fill(engine, batch)
    assert {(run.parent_id, run.root_id, run.resume_parent) for run in runs} == {(parent.id, parent.id, 1)}
    assert engine.path(parent)[-1] == X.EXECUTING_WITH_WAITPOINTS
    finish_all(engine)
    assert engine.path(parent)[-2:] == [X.EXECUTING_WITH_WAITPOINTS, X.EXECUTING]
    assert told(engine, parent) == [(batch.id, None), *((run.id, run.batch_index) for run in runs)]
    assert engine.snapshots(parent)[-1].batch_id == batch.id
    assert engine.ask("SELECT count(*) FROM run_waitpoint") == [0]
    succeed(engine, engine.run(parent))
    assert engine.run(parent).status == R.COMPLETED_SUCCESSFULLY


def test_two_items_with_one_key_are_one_run_at_two_indexes(engine: Harness) -> None:
    """ST-13, ID-11: each index has its result."""
    parent = a_parent(engine)
    batch = a_batch(engine, 3, parent=parent)
    add(engine, batch, 0, idempotency_key="one")
    add(engine, batch, 1)
    add(engine, batch, 2, idempotency_key="one")
    sealed(engine, batch)
    first, second = finish_all(engine)
    assert told(engine, parent) == [(batch.id, None), (first, 0), (second, 1), (first, 2)]


def test_an_item_answered_by_a_run_that_others_wait_for_tells_both(engine: Harness) -> None:
    """BA-16, WP-03: its waitpoint is there already."""
    parent = a_parent(engine)
    other = a_started_run(engine, PARENT)
    trigger(engine, parent_run_id=other.id, resume_parent_on_completion=True, idempotency_key="one")
    batch = a_batch(engine, 1, parent=parent)
    (run,) = fill(engine, batch, idempotency_key="one")
    finish_all(engine)
    assert told(engine, parent) == [(batch.id, None), (run.id, 0)]
    assert told(engine, other) == [(run.id, None)]


def test_parent_and_children_in_one_queue_of_limit_one(engine: Harness) -> None:
    """BA-10, Q-22: the parent's slot is theirs while it waits."""
    a_version(engine, a_task(PARENT), a_task(), queues=[a_queue("one", 1)])
    queue = QueueOption("one")
    parent = a_started_run(engine, PARENT, queue=queue)
    batch = a_batch(engine, 3, parent=parent)
    fill(engine, batch, queue=queue)
    for _ in range(3):
        (run,) = claim(engine, 5)
        succeed(engine, start(engine, run))
    assert engine.run(parent).execution_status == X.EXECUTING


def test_a_refused_item_of_a_waiting_parent_has_a_failed_run_in_its_place(engine: Harness) -> None:
    """BA-13, TR-26: SYSTEM_FAILURE, without snapshots, announced with attempt 0, its error the item's."""
    parent = a_parent(engine)
    batch = a_batch(engine, 2, parent=parent)
    add(engine, batch, 0)
    refuse(engine, batch, 1, "the queue is full")
    sealed(engine, batch)
    assert now(engine, batch).status == "PARTIAL_FAILED"
    good, bad = (engine.run(item.run_id) for item in items_of(engine, batch))
    assert (bad.status, bad.execution_status, bad.attempt) == ("SYSTEM_FAILURE", "FINISHED", 0)
    assert (bad.parent_id, bad.depth, bad.batch_index) == (parent.id, 1, 1)
    assert engine.snapshots(bad) == []
    (announced,) = engine.moves(bad)
    assert (announced.status, announced.attempt) == (R.SYSTEM_FAILURE, 0)
    assert orjson.loads(engine.data(bad).error or "") == {
        "type": "INTERNAL_ERROR",
        "code": "BATCH_ITEM_COULD_NOT_TRIGGER",
        "message": "the queue is full",
    }
    finish_all(engine)
    assert told(engine, parent) == [(batch.id, None), (good.id, 0), (bad.id, 1)]
    assert now(engine, batch).status == "COMPLETED"


def test_a_parent_goes_on_when_no_item_became_a_run(engine: Harness) -> None:
    """BA-19: with an error for every index."""
    parent = a_parent(engine)
    batch = a_batch(engine, 2, parent=parent)
    refuse(engine, batch, 0)
    refuse(engine, batch, 1)
    sealed(engine, batch)
    assert now(engine, batch).status == "ABORTED"
    assert engine.run(parent).execution_status == X.EXECUTING
    assert [index for _, index in told(engine, parent)] == [None, 0, 1]


def test_a_batch_with_one_failed_item_and_one_run_completes(engine: Harness) -> None:
    """BA-13, BA-18: with nobody who waits no run stands in."""
    a_version(engine)
    batch = a_batch(engine, 2)
    refuse(engine, batch, 0)
    add(engine, batch, 1)
    sealed(engine, batch)
    finish_all(engine)
    assert now(engine, batch).status == "COMPLETED"
    assert engine.ask("SELECT count(*) FROM run") == [1]


def test_a_parent_that_finds_its_batch_complete_does_not_wait(engine: Harness) -> None:
    """ID-11, BA-16: an attempt made again has all results at once."""
    parent = a_parent(engine)
    batch = a_batch(engine, 2, idempotency_key="mine")
    runs = fill(engine, batch)
    finish_all(engine)
    again = announce(engine, 2, parent=parent, idempotency_key="mine")
    assert again.is_cached and again.batch.id == batch.id
    assert engine.run(parent).execution_status == X.EXECUTING
    assert told(engine, parent) == [(batch.id, None), (runs[0].id, 0), (runs[1].id, 1)]


def test_a_parent_that_joins_late_is_told_of_items_that_failed_before(engine: Harness) -> None:
    """BA-13, BA-16: nobody waited when they did; also when the batch is over already."""
    parent, other = a_parent(engine), a_started_run(engine, PARENT)
    batch = a_batch(engine, 2, idempotency_key="mine")
    refuse(engine, batch, 0, "the queue is full")
    announce(engine, 2, parent=parent, idempotency_key="mine")
    add(engine, batch, 1)
    sealed(engine, batch)
    finish_all(engine)
    bad, good = (engine.run(item.run_id) for item in items_of(engine, batch))
    assert told(engine, parent) == [(batch.id, None), (bad.id, 0), (good.id, 1)]
    assert (bad.status, bad.parent_id) == ("SYSTEM_FAILURE", parent.id)
    assert "the queue is full" in (engine.data(bad).error or "")
    announce(engine, 2, parent=other, idempotency_key="mine")
    assert told(engine, other) == told(engine, parent)
    assert now(engine, batch).failed == 1


def test_a_run_that_is_no_longer_kept_is_an_error_at_its_index(engine: Harness) -> None:
    """BA-16: a key led to it long ago, and the batch took longer than runs are kept."""
    parent = a_parent(engine)
    earlier = a_run(engine, idempotency_key="one")
    finish_all(engine)
    batch = a_batch(engine, 2, parent=parent)
    add(engine, batch, 0, idempotency_key="one")
    add(engine, batch, 1)
    sealed(engine, batch)
    engine.change("DELETE FROM run WHERE id = :id", id=earlier.id)
    finish_all(engine)
    assert [index for _, index in told(engine, parent)] == [None, 0, 1]
    first, _ = items_of(engine, batch)
    assert "no longer kept" in (engine.data(first.run_id).error or "")


def test_a_single_wait_after_a_batch_is_none_of_the_batch(engine: Harness) -> None:
    """WP-21: a batch belongs to its own wait."""
    parent = a_parent(engine)
    fill(engine, a_batch(engine, 1, parent=parent))
    finish_all(engine)
    trigger(engine, parent_run_id=parent.id, resume_parent_on_completion=True)
    assert engine.snapshots(parent)[-1].batch_id is None
    (child,) = finish_all(engine)
    assert told(engine, parent) == [(child, None)]
    assert engine.snapshots(parent)[-1].batch_id is None


def test_a_parent_that_finds_its_batch_half_full_waits_for_the_rest(engine: Harness) -> None:
    """ID-11, BA-04: the runs to come are its children."""
    parent = a_parent(engine)
    batch = a_batch(engine, 2, idempotency_key="mine")
    add(engine, batch, 0)
    announce(engine, 2, parent=parent, idempotency_key="mine")
    runs = fill(engine, batch)
    assert [run.parent_id for run in runs] == [None, parent.id]
    finish_all(engine)
    assert told(engine, parent) == [(batch.id, None), (runs[0].id, 0), (runs[1].id, 1)]


def test_a_parent_that_is_tried_again_waits_for_its_new_batch_alone(engine: Harness) -> None:
    """BA-16, AT-19: the old one completes without it."""
    parent = a_parent(engine)
    old = a_batch(engine, 1, parent=parent)
    fill(engine, old)
    fail(engine, engine.run(parent), retry_ms=60_000)
    finish_all(engine)
    assert now(engine, old).status == "COMPLETED"
    assert engine.run(parent).execution_status == X.QUEUED


def test_a_parent_that_is_over_or_elsewhere_is_refused(engine: Harness) -> None:
    """TR-21: as for a single child."""
    parent = a_parent(engine)
    elsewhere = a_run(engine, environment=engine.dev)
    with pytest.raises(Unprocessable, match="not in this environment"):
        announce(engine, 1, parent=elsewhere)
    succeed(engine, parent)
    with pytest.raises(Unprocessable, match="cannot wait for a batch"):
        announce(engine, 1, parent=parent)
    assert announce(engine, 1, parent=parent, resume=False).batch.parent_id == parent.id


def test_a_canceled_parent_takes_the_runs_of_its_batch_along(engine: Harness) -> None:
    """CN-04, BA-15: and the batch is complete."""
    parent = a_parent(engine)
    batch = a_batch(engine, 2, parent=parent)
    runs = fill(engine, batch)
    engine.do(cancel_run, engine.prod.id, parent.id)
    assert engine.run(parent).status == R.CANCELED
    engine.do(finish_cancel, engine.run(parent))
    assert {engine.run(run).status for run in runs} == {"CANCELED"}
    assert now(engine, batch).status == "COMPLETED"


# ---- much that was waited for ------------------------------------------------------------------------------


def a_parent_told_of(engine: Harness, count: int, output: str) -> tuple[RunRow, list[RunRow]]:
    """A parent that waited for so many runs, each with this output."""
    parent = a_parent(engine)
    runs = fill(engine, a_batch(engine, count, parent=parent))
    for run in runs:
        (claimed,) = claim(engine, 1)
        succeed(engine, start(engine, claimed), output=output)
        assert claimed.id == run.id
    return parent, runs


def parts_told(engine: Harness, run: RunRow) -> list[Moved]:
    """What the worker of a run is told, message by message."""
    parts: list[Moved] = []
    while not parts or parts[-1].more:
        told = sum(len(part.waitpoints) for part in parts)
        step = engine.do(read_wait_state, run.environment_id, WORKER, run.id, told)
        assert step is not None
        parts.append(step)
    return parts


def test_five_hundred_results_are_told_whole(engine: Harness) -> None:
    """ST-12, ST-13: in one message while they are small, in the order of the items."""
    parent, runs = a_parent_told_of(engine, 500, '"done"')
    (step,) = parts_told(engine, parent)
    batch_waitpoint, *results = step.waitpoints
    assert batch_waitpoint.type == "BATCH" and batch_waitpoint.completed_by_batch is not None
    assert [result.index for result in results] == list(range(500))
    assert [r.completed_by_task_run and r.completed_by_task_run.id for r in results] == [r.id for r in runs]
    assert {r.completed_by_task_run and r.completed_by_task_run.batch for r in results} == {
        batch_waitpoint.completed_by_batch
    }
    assert {result.output for result in results} == {'"done"'}


def test_large_results_are_told_in_several_messages(engine: Harness) -> None:
    """ST-12: 236 outputs of 100 KB; none is left out, none told twice, no message is too much for a frame."""
    parent, _ = a_parent_told_of(engine, 236, orjson.dumps("x" * 100_000).decode())
    parts = parts_told(engine, parent)
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert {(part.snapshot, part.execution_status) for part in parts} == {
        (newest(engine.run(parent)), X.EXECUTING)
    }
    results = [waitpoint for part in parts for waitpoint in part.waitpoints]
    assert [result.index for result in results] == [None, *range(236)]
    assert sum(len(result.output or "") for result in results) == 236 * 100_002
    assert max(len(msgspec.json.encode(part)) for part in parts) < MAX_FRAME_BYTES / 4
