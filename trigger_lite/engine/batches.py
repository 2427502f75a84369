"""Batches (engine-behaviours 7): announced, filled (`batch_items`), sealed when all items have come.

A parent that waits does so from the announcement on (BA-10), for the batch alone; what it is told in the end
names the run of every item (`batch_progress`).
"""

from typing import Final

import msgspec

from trigger_lite.engine import batch_progress, waitpoints
from trigger_lite.engine.batch_items import open_batch
from trigger_lite.engine.batch_requests import BatchRequest
from trigger_lite.engine.requests import DEFAULT_KEY_LIFE_MS
from trigger_lite.protocol.batches import BatchStatus, TakenItems
from trigger_lite.protocol.errors import Unprocessable
from trigger_lite.protocol.run_errors import StringError
from trigger_lite.protocol.statuses import TERMINAL, RunStatus
from trigger_lite.store import batches, requests, runs
from trigger_lite.store.batches import BatchRow
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx

SEAL_WITHIN_MS: Final = 30 * 60_000
"""How long the items of a batch may take to come (BA-09)."""


class Opened(msgspec.Struct, frozen=True):
    """The batch that answers an announcement; `is_cached` when an idempotency key found it (ID-11)."""

    batch: BatchRow
    is_cached: bool


# ---- announced -----------------------------------------------------------------------------


def create_batch(tx: Tx, environment: EnvironmentRow, request: BatchRequest) -> Opened:
    """Announce a batch, or find the one that its key or this very request made before.

    A parent that is to be resumed waits from here on (BA-10). Raises Unprocessable when it is finished, in no
    state to wait, or of another environment.
    """
    earlier = _requested_before(tx, environment, request)
    if earlier is not None:
        return Opened(earlier, is_cached=False)
    parent = _parent(tx, environment, request)
    known = _holder_of_key(tx, environment, request)
    batch = known or _new_batch(tx, environment, request)
    if request.request_key is not None:
        requests.insert_request(tx, _request_scope(environment, request.request_key), batch.id)
    if parent is not None and request.resume_parent:
        _let_wait(tx, parent, batch)
    return Opened(batch, is_cached=known is not None)


def _request_scope(environment: EnvironmentRow, request_key: str) -> str:
    return f"{environment.id}:/batches:{request_key}"


def _requested_before(tx: Tx, environment: EnvironmentRow, request: BatchRequest) -> BatchRow | None:
    """Return the batch of this very request: its answer was lost, and the parent waits already."""
    if request.request_key is None:
        return None
    batch_id = requests.find_request(tx, _request_scope(environment, request.request_key))
    return None if batch_id is None else batches.find_batch(tx, batch_id)


def _holder_of_key(tx: Tx, environment: EnvironmentRow, request: BatchRequest) -> BatchRow | None:
    """Return the batch that has the key; one that was aborted gives it up, as failed runs do (ID-04)."""
    if request.idempotency_key is None:
        return None
    holder = batches.find_by_key(tx, environment.id, request.idempotency_key)
    if holder is None:
        return None
    lapsed = holder.idempotency_expires_at is not None and holder.idempotency_expires_at <= tx.now
    if lapsed or holder.status == BatchStatus.ABORTED:
        batches.release_key(tx, holder.id)
        return None
    return holder


def _parent(tx: Tx, environment: EnvironmentRow, request: BatchRequest) -> RunRow | None:
    if request.parent_id is None:
        return None
    parent = runs.find_run_in(tx, environment.id, request.parent_id)
    if parent is None:
        raise Unprocessable(f"The parent run {request.parent_id!r} is not in this environment")
    if request.resume_parent and RunStatus(parent.status) in TERMINAL:
        raise Unprocessable(
            f"The parent run {parent.id} is already {parent.status}; it cannot wait for a batch"
        )
    return parent


def _new_batch(tx: Tx, environment: EnvironmentRow, request: BatchRequest) -> BatchRow:
    key = request.idempotency_key
    batch = BatchRow(
        id=tx.new_id("batch"),
        environment_id=environment.id,
        status=BatchStatus.PENDING.value,
        run_count=request.run_count,
        received=0,
        failed=0,
        finished=0,
        is_sealed=0,
        parent_id=request.parent_id,
        resume_parent=int(request.parent_id is not None and request.resume_parent),
        idempotency_key=key,
        idempotency_expires_at=None if key is None else tx.now + DEFAULT_KEY_LIFE_MS,
        seal_by=tx.now + SEAL_WITHIN_MS,
        created_at=tx.now,
        updated_at=tx.now,
    )
    batches.insert_batch(tx, batch)
    return batch


def _let_wait(tx: Tx, parent: RunRow, batch: BatchRow) -> None:
    """Let a run wait for a batch: a new one, or one that its key found, be it over or not."""
    if not batch.is_sealed and batch.parent_id != parent.id:
        batches.update_parent(tx, batch.id, parent.id)
    waitpoint = waitpoints.waitpoint_of_batch(tx, batch.environment_id, batch.id)
    edges = [waitpoints.Edge(waitpoint.id, batch.id)]
    if batch.completed_at is not None:
        results = batch_progress.results_of(tx, batch, parent.id)
        edges += [waitpoints.Edge(known, batch.id, index) for index, known in results]
        waitpoints.complete(tx, waitpoint.id)
    waitpoints.block(tx, parent, edges)


# ---- sealed, or given up --------------------------------------------------------------------------


def seal(tx: Tx, environment: EnvironmentRow, batch_id: str) -> TakenItems:
    """Seal a batch if all its items have come, and say so, or how many have (BA-05). Raises BatchRefused.

    The counts of what was accepted just now are the caller's to fill in.
    """
    batch = open_batch(tx, environment.id, batch_id)
    if batch.received < batch.run_count:
        return TakenItems(
            batch.id, 0, 0, sealed=False, enqueued_count=batch.received, expected_count=batch.run_count
        )
    if not batch.is_sealed:
        sealed = batches.seal_batch(tx, batch.id, _outcome(batch))
        assert sealed is not None  # it was not sealed above, in this transaction
        batch_progress.complete_if_over(tx, sealed)
    return TakenItems(batch.id, 0, 0, sealed=True, run_count=batch.run_count)


def _outcome(batch: BatchRow) -> BatchStatus:
    """Return how making runs of the items went (BA-14)."""
    if batch.failed == batch.run_count:
        return BatchStatus.ABORTED
    return BatchStatus.PARTIAL_FAILED if batch.failed else BatchStatus.PENDING


def abort_unsealed(tx: Tx, count: int) -> int:
    """Abort up to `count` batches whose items did not come in time; returns how many there were (BA-09)."""
    late = batches.list_unsealed(tx, count=count)
    for batch in late:
        minutes = SEAL_WITHIN_MS // 60_000
        _abort(tx, batch, f"{batch.received} of {batch.run_count} items came within {minutes} minutes")
    return len(late)


def abort_batch(tx: Tx, environment_id: str, batch_id: str) -> BatchRow:
    """Give up a batch that will not be filled, so that its parent need not wait for it.

    One that is sealed stays as it is. Raises BatchRefused when there is none, or it was aborted before.
    """
    batch = open_batch(tx, environment_id, batch_id)
    if batch.is_sealed:
        return batch
    return _abort(tx, batch, f"{batch.received} of {batch.run_count} items came before it was given up")


def _abort(tx: Tx, batch: BatchRow, why: str) -> BatchRow:
    """End a batch that is not sealed: who waits for it goes on with an error, its runs by themselves."""
    closed = batches.close_batch(tx, batch.id, BatchStatus.ABORTED)
    assert closed is not None  # an unsealed batch has not ended
    batch_progress.resume_waiting(tx, closed, error=StringError(f"The batch {batch.id} was aborted: {why}"))
    return closed
