"""What the pages of bulk actions show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec

from trigger_lite.protocol.bulk_actions import BulkStatus
from trigger_lite.protocol.statuses import RunStatus, api_status
from trigger_lite.store.bulk_actions import BulkActionRow, BulkItemRow, BulkRows
from trigger_lite.store.run_lists import RunFilter
from trigger_lite.web.dashboard.filters import TABS
from trigger_lite.web.dashboard.list_views import count_text
from trigger_lite.web.dashboard.run_views import FactView
from trigger_lite.web.dashboard.statuses import StatusView
from trigger_lite.web.dashboard.texts import absolute, ago, short_id, shown

VERBS: Final = {"cancel": "Cancel", "replay": "Replay"}
_DOING: Final = {"cancel": "Cancelling", "replay": "Replaying"}
_DONE: Final = {"cancel": "cancelled", "replay": "replayed"}
_STATUSES: Final = {
    BulkStatus.PENDING: StatusView("executing", "dot", "Running"),
    BulkStatus.COMPLETED: StatusView("completed", "check", "Completed"),
    BulkStatus.ABORTED: StatusView("canceled", "barred", "Aborted"),
}


@dataclass(frozen=True)
class NewBulkView:
    """Asks whether many runs are really meant; `query` is the filter in an address, `run_ids` the named."""

    template: ClassVar[str] = "bulk_new.html"

    kind: str
    verb: str
    meant: str
    facts: tuple[FactView, ...]
    query: str
    run_ids: str
    post_href: str
    back_href: str
    is_empty: bool


@dataclass(frozen=True)
class FailedItemView:
    short: str
    href: str
    error: str


@dataclass(frozen=True)
class BulkView:
    """One bulk action. `total` is 0 when nobody could count; it refreshes itself while `is_live`."""

    template: ClassVar[str] = "bulk.html"

    id: str
    title: str
    status: StatusView
    is_live: bool
    done: int
    total: int
    counts: str
    facts: tuple[FactView, ...]
    failed: tuple[FailedItemView, ...]
    more_failed: str
    href: str
    list_href: str
    runs_href: str
    abort_href: str


@dataclass(frozen=True)
class BulkRowView:
    short: str
    href: str
    verb: str
    status: StatusView
    counts: str
    created_at: int
    created: str
    name: str


@dataclass(frozen=True)
class BulkListView:
    """The list of bulk actions."""

    template: ClassVar[str] = "bulk_list.html"

    runs_href: str
    rows: tuple[BulkRowView, ...]
    newer_href: str
    older_href: str


def bulk_view(bulk: BulkActionRow, failed: Sequence[BulkItemRow], *, slug: str, most: int) -> BulkView:
    """`failed` are up to one more than `most` of the runs it could not be done to."""
    base = f"/{slug}/bulk"
    is_live = bulk.status == BulkStatus.PENDING
    doing = _DOING[bulk.kind] if is_live else VERBS[bulk.kind]
    items = [
        FailedItemView(short_id(item.run_id), f"/{slug}/runs/{item.run_id}", shown(item.error or "", 300))
        for item in failed[:most]
    ]
    return BulkView(
        id=bulk.id,
        title=f"{doing} runs" if not bulk.name else shown(bulk.name, 255),
        status=_STATUSES[BulkStatus(bulk.status)],
        is_live=is_live,
        done=bulk.success + bulk.failure,
        total=bulk.total or 0,
        counts=_counts(bulk),
        facts=tuple(_facts(bulk)),
        failed=tuple(items),
        more_failed=f"More than {most} could not be {_DONE[bulk.kind]}" if len(failed) > most else "",
        href=f"{base}/{bulk.id}",
        list_href=base,
        runs_href=f"/{slug}/runs?bulk={bulk.id}",
        abort_href=f"{base}/{bulk.id}/abort",
    )


def bulk_list_view(page: BulkRows, *, slug: str, now: int) -> BulkListView:
    base = f"/{slug}/bulk"
    return BulkListView(
        runs_href=f"/{slug}/runs",
        rows=tuple(
            BulkRowView(
                short=short_id(bulk.id),
                href=f"{base}/{bulk.id}",
                verb=VERBS[bulk.kind],
                status=_STATUSES[BulkStatus(bulk.status)],
                counts=_counts(bulk),
                created_at=bulk.created_at,
                created=ago(bulk.created_at, now),
                name=shown(bulk.name or "", 60),
            )
            for bulk in page.rows
        ),
        newer_href=f"{base}?before={page.previous}" if page.previous else "",
        older_href=f"{base}?after={page.next}" if page.next else "",
    )


def meant_text(kind: str, count: int, *, is_filter: bool) -> str:
    """Return the question: `Cancel all 4,120 runs of this filter?`."""
    runs = "run" if count == 1 else "runs"
    if is_filter:
        return f"{VERBS[kind]} all {count_text(count)} {runs} of this filter?"
    return f"{VERBS[kind]} {count_text(count)} {runs}?"


def filter_facts(wanted: RunFilter) -> Iterator[FactView]:
    """Say what a filter narrows to, label by label."""
    if wanted.statuses:
        yield FactView("Status", _statuses(wanted.statuses))
    for label, values in (
        ("Task", wanted.task_ids),
        ("Tag", wanted.tags),
        ("Version", wanted.versions),
        ("Queue", wanted.queues),
        ("Machine", wanted.machines),
    ):
        if values:
            yield FactView(label, ", ".join(shown(value, 256) for value in values))
    for label, value in (
        ("Batch", wanted.batch_id),
        ("Schedule", wanted.schedule_id),
        ("Bulk action", wanted.bulk_id),
        ("Id", wanted.id_begins and f"{wanted.id_begins}…"),
    ):
        if value:
            yield FactView(label, shown(value, 256), is_code=True)
    for label, at in (("Created from", wanted.created_from), ("Created to", wanted.created_to)):
        if at is not None:
            yield FactView(label, absolute(at))
    if wanted.is_test is not None:
        yield FactView("Test runs", "only" if wanted.is_test else "none")


def _statuses(statuses: tuple[RunStatus, ...]) -> str:
    """Return the word of the tab that has these statuses, else their names."""
    for tab in TABS:
        if tab.statuses == statuses:
            return tab.title
    return ", ".join(api_status(status).value for status in statuses)


def _facts(bulk: BulkActionRow) -> Iterator[FactView]:
    yield FactView("Bulk action", bulk.id, is_code=True)
    yield FactView("Action", VERBS[bulk.kind])
    if bulk.filter is None:
        yield FactView("Runs", f"{bulk.total:,} named")
    else:
        yield from filter_facts(msgspec.json.decode(bulk.filter, type=RunFilter))
    yield FactView("Begun", absolute(bulk.created_at))
    if bulk.completed_at is not None:
        yield FactView("Ended", absolute(bulk.completed_at))


def _counts(bulk: BulkActionRow) -> str:
    """Return `400 of 1,200 cancelled, 3 could not be`."""
    of = "" if bulk.total is None else f" of {bulk.total:,}"
    missed = f", {bulk.failure:,} could not be" if bulk.failure else ""
    return f"{bulk.success:,}{of} {_DONE[bulk.kind]}{missed}"
