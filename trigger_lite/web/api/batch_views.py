"""Batches as the management API shows them: rows in, messages out (management-api 9.1)."""

from typing import Any

import msgspec

from trigger_lite.protocol.batches import BatchPage, BatchSummary, BatchView, ItemError, Processing
from trigger_lite.protocol.errors import BatchNotFound
from trigger_lite.protocol.pages import Pagination
from trigger_lite.protocol.runs import RunResult
from trigger_lite.protocol.times import iso
from trigger_lite.store import batches, runs
from trigger_lite.store.batch_lists import BatchRows
from trigger_lite.store.batches import BatchRow, ItemRow, ItemRunRow
from trigger_lite.store.transaction import Reader
from trigger_lite.web.api.run_views import run_result


class BatchFacts(msgspec.Struct, frozen=True):
    """A batch with its items, read at one moment."""

    batch: BatchRow
    runs: list[ItemRunRow]
    failed: list[ItemRow]


def read_batch(tx: Reader, environment_id: str, batch_id: str) -> BatchFacts:
    """Read a batch of an environment. Raises BatchNotFound."""
    batch = _batch(tx, environment_id, batch_id)
    return BatchFacts(batch, batches.list_item_runs(tx, batch_id), batches.list_failed_items(tx, batch_id))


def read_results(tx: Reader, environment_id: str, batch_id: str) -> list[RunResult]:
    """Read the results of those runs of a batch that are over, in the order of its items (BA-20).

    Raises BatchNotFound.
    """
    _batch(tx, environment_id, batch_id)
    results = []
    for item in batches.list_item_runs(tx, batch_id):
        run = runs.find_run(tx, item.run_id) if item.completed_at is not None else None
        result = None if run is None else run_result(run, runs.get_data(tx, run.id))
        if result is not None:
            results.append(result)
    return results


def _batch(tx: Reader, environment_id: str, batch_id: str) -> BatchRow:
    batch = batches.find_batch_in(tx, environment_id, batch_id)
    if batch is None:
        raise BatchNotFound
    return batch


def batch_view(facts: BatchFacts) -> BatchView:
    """Return what the retrieve endpoint answers; runs are shown once all of them are made."""
    batch = facts.batch
    made = facts.runs if batch.processing_completed_at is not None else []
    errors = [
        ItemError(item.idx, item.task_id, error=item.error or "", error_code=item.error_code)
        for item in facts.failed
    ]
    return BatchView(
        **_fields(batch),
        runs=[item.run_id for item in made],
        processing=Processing(errors, completed_at=_moment(batch.processing_completed_at)),
        cached_indexes=[item.idx for item in made if item.is_cached],
    )


def batch_page(found: BatchRows) -> BatchPage:
    rows = [BatchSummary(**_fields(batch)) for batch in found.rows]
    return BatchPage(rows, Pagination(next=found.next, previous=found.previous))


def _fields(batch: BatchRow) -> dict[str, Any]:
    """Return the fields that every shape of a batch shares."""
    return {
        "id": batch.id,
        "status": batch.status,
        "created_at": iso(batch.created_at),
        "updated_at": iso(batch.updated_at),
        "run_count": batch.run_count,
        "received": batch.received,
        "failed": batch.failed,
        "finished": batch.finished,
        "idempotency_key": batch.idempotency_key,
        "parent_run_id": batch.parent_id,
        "processing_completed_at": _moment(batch.processing_completed_at),
        "completed_at": _moment(batch.completed_at),
    }


def _moment(at: int | None) -> str | None:
    return None if at is None else iso(at)
