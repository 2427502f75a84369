"""What the pages of batches show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from trigger_lite.protocol.batches import BatchStatus
from trigger_lite.store.batch_lists import BatchRows
from trigger_lite.store.batches import BatchRow, ItemRow
from trigger_lite.store.runs import RunRow
from trigger_lite.web.dashboard.list_views import cause_of
from trigger_lite.web.dashboard.run_views import FactView
from trigger_lite.web.dashboard.statuses import StatusView, status_view
from trigger_lite.web.dashboard.texts import absolute, ago, short_id, shown

_RECEIVING: Final = StatusView("queued", "ring", "Receiving")
_STATUSES: Final = {
    BatchStatus.PENDING: StatusView("executing", "dot", "Running"),
    BatchStatus.PROCESSING: StatusView("executing", "dot", "Running"),
    BatchStatus.PARTIAL_FAILED: StatusView("failed", "warn", "Partly failed"),
    BatchStatus.COMPLETED: StatusView("completed", "check", "Completed"),
    BatchStatus.ABORTED: StatusView("failed", "cross", "Aborted"),
}
_REFUSED: Final = StatusView("failed", "cross", "Not triggered")


class BatchFacts(NamedTuple):
    """What one read of the database gives the page of a batch: some items, their runs, the runs' errors."""

    batch: BatchRow
    items: Sequence[ItemRow]
    runs: Mapping[str, RunRow]
    errors: Mapping[str, str]


@dataclass(frozen=True)
class BatchItemView:
    """One item; `href` is empty for one that never became a run, `cause` says why one failed."""

    index: str
    short: str
    href: str
    task: str
    status: StatusView
    cause: str


@dataclass(frozen=True)
class BatchView:
    """One batch; it refreshes itself while `is_live`. `abort_href` is empty once all its items came."""

    template: ClassVar[str] = "batch.html"

    title: str
    status: StatusView
    is_live: bool
    done: int
    total: int
    counts: str
    facts: tuple[FactView, ...]
    items: tuple[BatchItemView, ...]
    href: str
    list_href: str
    runs_href: str
    cancel_href: str
    replay_href: str
    abort_href: str
    previous_href: str
    next_href: str


@dataclass(frozen=True)
class BatchRowView:
    short: str
    href: str
    status: StatusView
    done: int
    total: int
    counts: str
    created_at: int
    created: str


@dataclass(frozen=True)
class BatchListView:
    """The list of batches; `live_href` is empty where nothing new can appear."""

    template: ClassVar[str] = "batches.html"

    rows: tuple[BatchRowView, ...]
    live_href: str
    newer_href: str
    older_href: str


def batch_list_view(found: BatchRows, *, slug: str, now: int, is_newest: bool) -> BatchListView:
    base = f"/{slug}/batches"
    return BatchListView(
        rows=tuple(_row(batch, base, now) for batch in found.rows),
        live_href=base if is_newest else "",
        newer_href=f"{base}?before={found.previous}" if found.previous else "",
        older_href=f"{base}?after={found.next}" if found.next else "",
    )


def _row(batch: BatchRow, base: str, now: int) -> BatchRowView:
    return BatchRowView(
        short=short_id(batch.id),
        href=f"{base}/{batch.id}",
        status=_status(batch),
        done=batch.finished + batch.failed,
        total=batch.run_count,
        counts=_counts(batch),
        created_at=batch.created_at,
        created=ago(batch.created_at, now),
    )


def batch_view(facts: BatchFacts, *, slug: str, start: int, most: int) -> BatchView:
    """`facts` hold up to one more than `most` items, from the index `start` on."""
    batch = facts.batch
    base = f"/{slug}/batches"
    href = f"{base}/{batch.id}"
    runs = f"/{slug}/runs?batch={batch.id}"
    bulk = f"/{slug}/bulk/new?batch={batch.id}"
    is_over = batch.completed_at is not None
    shown_items = facts.items[:most]
    return BatchView(
        title=f"Batch of {batch.run_count:,}",
        status=_status(batch),
        is_live=not is_over,
        done=batch.finished + batch.failed,
        total=batch.run_count,
        counts=_counts(batch),
        facts=tuple(_facts(batch, slug)),
        items=tuple(_item(item, facts, slug) for item in shown_items),
        href=f"{href}?from={start}" if start else href,
        list_href=base,
        runs_href=runs,
        cancel_href="" if is_over else f"{bulk}&kind=cancel",
        replay_href=f"{bulk}&kind=replay&status=failed"
        if any(r.is_failed for r in facts.runs.values())
        else "",
        abort_href="" if is_over or batch.is_sealed else f"{href}/abort",
        previous_href=f"{href}?from={max(0, start - most)}" if start else "",
        next_href=f"{href}?from={facts.items[most].idx}" if len(facts.items) > most else "",
    )


def _status(batch: BatchRow) -> StatusView:
    is_receiving = not batch.is_sealed and batch.completed_at is None
    return _RECEIVING if is_receiving else _STATUSES[BatchStatus(batch.status)]


def _counts(batch: BatchRow) -> str:
    """Return `350 of 1,000 over, 3 not triggered`, or how many items came while they come."""
    if not batch.is_sealed:
        return f"{batch.received:,} of {batch.run_count:,} received"
    missed = f", {batch.failed:,} not triggered" if batch.failed else ""
    return f"{batch.finished + batch.failed:,} of {batch.run_count:,} over{missed}"


def _facts(batch: BatchRow, slug: str) -> Iterator[FactView]:
    yield FactView("Batch", batch.id, is_code=True)
    if batch.parent_id is not None:
        role = "Waited for by" if batch.resume_parent else "Triggered by"
        yield FactView(role, batch.parent_id, href=f"/{slug}/runs/{batch.parent_id}", is_code=True)
    if batch.idempotency_key is not None:
        yield FactView("Idempotency key", shown(batch.idempotency_key, 256), is_code=True)
    yield FactView("Announced", absolute(batch.created_at))
    if batch.processing_completed_at is not None:
        yield FactView("All items came", absolute(batch.processing_completed_at))
    elif batch.completed_at is None:
        yield FactView("Aborted unless all items come by", absolute(batch.seal_by))
    if batch.completed_at is not None:
        yield FactView("Ended", absolute(batch.completed_at))


def _item(item: ItemRow, facts: BatchFacts, slug: str) -> BatchItemView:
    run = facts.runs.get(item.run_id or "")
    cause = item.error or cause_of(facts.errors.get(item.run_id or ""))
    return BatchItemView(
        index=f"{item.idx:,}",
        short="" if run is None else short_id(run.id),
        href="" if run is None else f"/{slug}/runs/{run.id}",
        task=shown(item.task_id, 256),
        status=_REFUSED if run is None or item.error_code is not None else status_view(run),
        cause=shown(cause, 300),
    )
