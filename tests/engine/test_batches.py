"""Batches: announced, filled item by item, sealed, complete when every run is over (BA)."""

import msgspec
import orjson
import pytest

from tests.support.batching import (
    a_batch,
    add,
    announce,
    fill,
    items_of,
    now,
    refuse,
    sealed,
    waitpoint_of,
)
from tests.support.builders import (
    WORKER,
    a_queue,
    a_request,
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
from trigger_lite.engine.batch_items import add_item
from trigger_lite.engine.batch_progress import complete_if_over, item_ended
from trigger_lite.engine.batch_requests import check_batch
from trigger_lite.engine.batches import SEAL_WITHIN_MS, abort_batch, abort_unsealed, create_batch
from trigger_lite.engine.wait_state import read_wait_state
from trigger_lite.protocol.batches import CreateBatch, TakenItems
from trigger_lite.protocol.errors import BadRequest, BatchRefused, Unprocessable
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.protocol.tasks import QueueOption
from trigger_lite.protocol.worker import MAX_FRAME_BYTES, Moved
from trigger_lite.store import batches
from trigger_lite.store.runs import RunRow

PARENT = "parent"


def a_parent(engine: Harness) -> RunRow:
    """A run that executes, of a version that has the items' task too."""
    a_version(engine, a_task(PARENT), a_task())
    return a_started_run(engine, PARENT)


def finish_all(engine: Harness) -> list[str]:
    """Run what waits in line to its end; returns the ids in the order they were claimed."""
    ended = []
    while claimed := claim(engine, 5):
        for run in claimed:
            succeed(engine, start(engine, run), output=f'"{run.id}"')
            ended.append(run.id)
    return ended


def told(engine: Harness, run: RunRow) -> list[tuple[str, int | None]]:
    """What ended the wait of a run: the run or batch of each waitpoint, and its index."""
    newest = engine.snapshots(run)[-1]
    assert newest.completed is not None
    named = dict(engine.ask("SELECT id, coalesce(completes_run, completes_batch) FROM waitpoint"))
    return [(named[waitpoint], index) for waitpoint, index in orjson.loads(newest.completed)]


# ---- announced, filled, sealed -------------------------------------------------------------------------


def test_items_become_runs_while_they_arrive(engine: Harness) -> None:
    """BA-02, BA-14: announced first; each item is a run at once; with the last one it is sealed."""
    a_version(engine)
    batch = a_batch(engine, 2)
    assert (batch.status, batch.run_count, batch.is_sealed) == ("PENDING", 2, 0)
    assert add(engine, batch, 0, payload={"n": 0}, tags=["a"])
    (first,) = items_of(engine, batch)
    run = engine.run(first.run_id)
    assert (run.status, run.batch_id, run.batch_index, run.tags) == ("PENDING", batch.id, 0, '["a"]')
    assert add(engine, batch, 1)
    assert sealed(engine, batch) == TakenItems(batch.id, 0, 0, sealed=True, run_count=2)
    assert (now(engine, batch).status, now(engine, batch).processing_completed_at) == ("PENDING", engine.now)


def test_a_batch_with_items_missing_is_not_sealed(engine: Harness) -> None:
    """BA-05: the answer says how many came, and the client sends the rest."""
    batch = a_batch(engine, 3)
    add(engine, batch, 2)
    answer = sealed(engine, batch)
    assert (answer.sealed, answer.enqueued_count, answer.expected_count) == (False, 1, 3)
    add(engine, batch, 0)
    add(engine, batch, 1)
    assert sealed(engine, batch).sealed


def test_items_are_known_by_their_index(engine: Harness) -> None:
    """BA-04: the same index again makes nothing, before and after the batch is sealed."""
    batch = a_batch(engine, 2)
    assert add(engine, batch, 0)
    assert not add(engine, batch, 0)
    assert not refuse(engine, batch, 0)
    assert refuse(engine, batch, 1)
    assert not add(engine, batch, 1)
    assert sealed(engine, batch).sealed
    assert not add(engine, batch, 0)
    assert not add(engine, batch, 7)
    assert sealed(engine, batch).sealed
    assert engine.ask("SELECT count(*) FROM run") == [1]


def test_items_of_a_batch_that_does_not_take_them_are_refused(engine: Harness) -> None:
    """BA-03, BA-04, BA-06: an unknown batch, another environment's, an aborted one, an index beyond it."""
    batch = a_batch(engine, 2)
    with pytest.raises(BatchRefused, match="no batch 'batch_unknown'"):
        add(engine, batch._replace(id="batch_unknown"), 0)
    with pytest.raises(BatchRefused, match="There is no batch"):
        engine.do(add_item, engine.dev, batch.id, 0, a_request(engine))
    with pytest.raises(BatchRefused, match="has 2 items; there is no index 2"):
        add(engine, batch, 2)
    engine.do(abort_batch, engine.prod.id, batch.id)
    with pytest.raises(BatchRefused, match="was aborted"):
        add(engine, batch, 0)
    with pytest.raises(BatchRefused, match="was aborted"):
        sealed(engine, batch)
    assert engine.ask("SELECT count(*) FROM run") == [0]


@pytest.mark.parametrize("count", [-1, 0, 1_001])
def test_a_batch_has_one_to_a_thousand_items(count: int) -> None:
    """BA-08: 1,000 items when streamed."""
    with pytest.raises(BadRequest, match=f"1 to 1000 items, not {count}"):
        check_batch(CreateBatch(count), request_key=None)


# ---- keys ------------------------------------------------------------------------------------------------


def test_a_key_on_the_batch_finds_the_batch(engine: Harness) -> None:
    """ID-11: unique per environment, for as long as the key lives."""
    first = announce(engine, 2, idempotency_key="night")
    again = announce(engine, 5, idempotency_key="night")
    assert (first.is_cached, again.is_cached) == (False, True)
    assert (again.batch.id, again.batch.run_count) == (first.batch.id, 2)
    other = engine.do(
        create_batch, engine.dev, check_batch(CreateBatch(2, idempotency_key="night"), request_key=None)
    )
    assert other.batch.id != first.batch.id
    engine.pass_time(31 * 86_400)
    assert announce(engine, 2, idempotency_key="night").batch.id != first.batch.id


def test_an_aborted_batch_gives_its_key_up(engine: Harness) -> None:
    """ID-11: like a run that failed (ID-04), for what it was made for did not happen."""
    first = a_batch(engine, 1, idempotency_key="night")
    engine.do(abort_batch, engine.prod.id, first.id)
    again = announce(engine, 1, idempotency_key="night")
    assert again.batch.id != first.id and not again.is_cached


def test_an_announcement_that_comes_twice_makes_one_batch(engine: Harness) -> None:
    """BA-10: or the parent would wait for a batch that nobody fills."""
    parent = a_parent(engine)
    first = announce(engine, 1, parent=parent, request_key="request-1")
    again = announce(engine, 1, parent=parent, request_key="request-1")
    assert (again.batch.id, again.is_cached) == (first.batch.id, False)
    assert engine.ask("SELECT count(*) FROM run_waitpoint") == [1]


def test_keys_on_items_work_item_by_item(engine: Harness) -> None:
    """ID-11: an item whose key is taken is answered by the run that has it, whatever batch that is of."""
    a_version(engine)
    earlier = a_run(engine, idempotency_key="one")
    batch = a_batch(engine, 2)
    runs = fill(engine, batch, idempotency_key="one")
    assert [run.id for run in runs] == [earlier.id, earlier.id]
    assert [item.is_cached for item in items_of(engine, batch)] == [1, 1]
    finish_all(engine)
    assert (now(engine, batch).status, now(engine, batch).finished) == ("COMPLETED", 2)


def test_an_item_answered_by_a_finished_run_is_done_at_once(engine: Harness) -> None:
    """ID-05, BA-15: its key led to a run that is over."""
    a_version(engine)
    earlier = a_run(engine, idempotency_key="one")
    finish_all(engine)
    batch = a_batch(engine, 1)
    assert [run.id for run in fill(engine, batch, idempotency_key="one")] == [earlier.id]
    assert now(engine, batch).status == "COMPLETED"


# ---- complete ----------------------------------------------------------------------------------------------


def test_a_batch_is_complete_when_every_run_is_over(engine: Harness) -> None:
    """BA-15, BA-18: whatever their outcome; without anybody who waits, too."""
    a_version(engine)
    batch = a_batch(engine, 3)
    first, second, third = fill(engine, batch)
    claimed = claim(engine, 2)
    succeed(engine, start(engine, claimed[0]))
    fail(engine, start(engine, claimed[1]))
    assert [engine.run(run).status for run in (first, second)] == [
        "COMPLETED_SUCCESSFULLY",
        "COMPLETED_WITH_ERRORS",
    ]
    assert (now(engine, batch).status, now(engine, batch).finished) == ("PENDING", 2)
    engine.do(cancel_run, engine.prod.id, third.id)
    assert (now(engine, batch).status, now(engine, batch).finished) == ("COMPLETED", 3)
    assert now(engine, batch).completed_at == engine.now
    assert waitpoint_of(engine, batch) is None


def test_a_batch_whose_runs_end_before_it_is_sealed_is_complete_with_its_last_item(engine: Harness) -> None:
    """BA-15: not before every item is processed."""
    a_version(engine)
    batch = a_batch(engine, 2)
    add(engine, batch, 0)
    finish_all(engine)
    add(engine, batch, 1)
    finish_all(engine)
    assert (now(engine, batch).status, now(engine, batch).finished) == ("PENDING", 2)
    sealed(engine, batch)
    assert now(engine, batch).status == "COMPLETED"


def test_looking_at_a_complete_batch_again_changes_nothing(engine: Harness) -> None:
    """BA-15: neither its times nor its counts."""
    a_version(engine)
    batch = a_batch(engine, 1)
    (run,) = fill(engine, batch)
    finish_all(engine)
    before = now(engine, batch)
    engine.pass_time(60)
    engine.do(item_ended, engine.run(run))
    engine.do(complete_if_over, before)
    assert now(engine, batch) == before
    assert sealed(engine, batch).sealed


def test_every_item_failed_some_failed_and_none(engine: Harness) -> None:
    """BA-14: ABORTED, PARTIAL_FAILED until the runs are over, PENDING until then."""
    a_version(engine)
    none, some, all_ = (a_batch(engine, 2) for _ in range(3))
    fill(engine, none)
    add(engine, some, 0)
    for batch, index in ((some, 1), (all_, 0), (all_, 1)):
        refuse(engine, batch, index, "the queue is full")
    assert sealed(engine, some).sealed and sealed(engine, all_).sealed
    assert [now(engine, b).status for b in (none, some, all_)] == ["PENDING", "PARTIAL_FAILED", "ABORTED"]
    finish_all(engine)
    assert [now(engine, b).status for b in (none, some, all_)] == ["COMPLETED", "COMPLETED", "ABORTED"]
    assert sealed(engine, all_).sealed  # sent again, it is no error: all its items came


def test_an_item_that_becomes_no_run_says_why(engine: Harness) -> None:
    """BA-13: index, task, code and message."""
    batch = a_batch(engine, 2)
    add(engine, batch, 0)
    refuse(engine, batch, 1, "the queue is full")
    (failed,) = engine.do(batches.list_failed_items, batch.id)
    assert (failed.idx, failed.task_id) == (1, "resize")
    assert (failed.error_code, failed.error) == ("BATCH_ITEM_COULD_NOT_TRIGGER", "the queue is full")
    assert failed.run_id is None
    assert len(items_of(engine, batch)) == 1


def test_runs_keep_the_order_of_their_index(engine: Harness) -> None:
    """BA-17: however they came."""
    batch = a_batch(engine, 3)
    for index in (2, 0, 1):
        add(engine, batch, index, tags=[str(index)])
    assert [item.idx for item in items_of(engine, batch)] == [0, 1, 2]
    tags = [engine.run(item.run_id).tags for item in items_of(engine, batch)]
    assert tags == ['["0"]', '["1"]', '["2"]']


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


# ---- not sealed in time ------------------------------------------------------------------------------------


def test_a_batch_that_is_not_sealed_in_time_is_aborted(engine: Harness) -> None:
    """BA-09: a parent that waits goes on with an error; the runs that were made go on, too."""
    parent = a_parent(engine)
    batch = a_batch(engine, 2, parent=parent)
    add(engine, batch, 0)
    engine.pass_time(SEAL_WITHIN_MS / 1000 - 1)
    assert engine.do(abort_unsealed, 100) == 0
    engine.pass_time(1)
    assert engine.do(abort_unsealed, 100) == 1
    assert (now(engine, batch).status, now(engine, batch).is_sealed) == ("ABORTED", 0)
    assert engine.run(parent).execution_status == X.EXECUTING
    assert told(engine, parent) == [(batch.id, None)]
    (waitpoint,) = engine.ask("SELECT is_error, output FROM waitpoint WHERE kind = 'BATCH'")
    assert waitpoint[0] == 1 and "1 of 2 items came within 30 minutes" in waitpoint[1]
    finish_all(engine)
    assert now(engine, batch).status == "ABORTED"


def test_aborting_what_is_aborted_changes_nothing(engine: Harness) -> None:
    """BA-09, LK-04: the reaper may look as often as it likes; batch and parent change together."""
    batch = a_batch(engine, 2)
    kept = a_batch(engine, 1)
    fill(engine, kept)
    engine.pass_time(SEAL_WITHIN_MS / 1000)
    assert engine.do(batches.find_next_seal_by) == batch.seal_by
    assert [engine.do(abort_unsealed, 1), engine.do(abort_unsealed, 1)] == [1, 0]
    assert engine.do(batches.find_next_seal_by) is None
    assert (now(engine, batch).status, now(engine, kept).status) == ("ABORTED", "PENDING")


def test_a_batch_can_be_given_up(engine: Harness) -> None:
    """BA-09: before its time, by who will not fill it; one that is sealed stays."""
    parent = a_parent(engine)
    batch = a_batch(engine, 2, parent=parent)
    assert engine.do(abort_batch, engine.prod.id, batch.id).status == "ABORTED"
    assert engine.run(parent).execution_status == X.EXECUTING
    full = a_batch(engine, 1)
    fill(engine, full)
    assert engine.do(abort_batch, engine.prod.id, full.id).status == "PENDING"
