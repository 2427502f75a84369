"""Batches: announced, filled item by item, sealed, complete when every run is over (BA)."""

import pytest

from tests.support.batching import (
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
    a_request,
    a_run,
    a_version,
    claim,
    fail,
    start,
    succeed,
)
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.batch_items import add_item
from trigger_lite.engine.batch_progress import complete_if_over, item_ended
from trigger_lite.engine.batch_requests import check_batch
from trigger_lite.engine.batches import SEAL_WITHIN_MS, abort_batch, abort_unsealed, create_batch
from trigger_lite.protocol.batches import CreateBatch, TakenItems
from trigger_lite.protocol.errors import BadRequest, BatchRefused
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.store import batches

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
