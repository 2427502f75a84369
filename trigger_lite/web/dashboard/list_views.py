"""What the list of runs shows: one frozen context for its template, and how it comes from rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, NamedTuple

from trigger_lite.engine.run_json import decode_error, decode_tags
from trigger_lite.protocol.run_errors import InternalError, api_error
from trigger_lite.protocol.statuses import ExecutionStatus, RunStatus
from trigger_lite.store.run_lists import MANY, RunPage
from trigger_lite.store.runs import RunRow
from trigger_lite.web.dashboard.filters import PERIODS, TABS, RunQuery
from trigger_lite.web.dashboard.statuses import StatusView, status_view
from trigger_lite.web.dashboard.texts import ago, duration, one_line, short_id, shown

_TAGS_SHOWN: Final = 2


class Timing(NamedTuple):
    """A span of time: `text` as of now; `since` or `until` (Unix ms) when a browser is to keep it current."""

    text: str
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class RowView:
    """One run of the list. Times in Unix ms; `cause` is the first line of its error."""

    id: str
    short: str
    href: str
    task: str
    status: StatusView
    tries: str
    tags: tuple[str, ...]
    hidden_tags: int
    queue: str
    created_at: int
    created: str
    wait: Timing
    took: Timing
    cause: str
    is_test: bool
    is_failed: bool


@dataclass(frozen=True)
class TabView:
    """A status tab; `count` is empty where counting would cost too much."""

    name: str
    title: str
    href: str
    count: str
    is_current: bool


@dataclass(frozen=True)
class ChipView:
    """A filter in force, and the address without it."""

    name: str
    value: str
    without: str


@dataclass(frozen=True)
class PeriodView:
    value: str
    href: str
    is_current: bool


@dataclass(frozen=True)
class NewRunsView:
    """The bar above the rows: how many matching runs came since the page was made, and how to load them."""

    text: str
    href: str
    loads_itself: bool


@dataclass(frozen=True)
class EmptyView:
    """Why there are no rows. `first_run` shows the commands that make one; `tasks` are there already."""

    text: str
    clear_href: str
    first_run: bool
    tasks: tuple[str, ...]
    has_worker: bool


@dataclass(frozen=True)
class ListView:
    """Everything the page of runs shows."""

    template: ClassVar[str] = "runs.html"

    environment: str
    base: str
    tabs: tuple[TabView, ...]
    chips: tuple[ChipView, ...]
    hidden: tuple[tuple[str, str], ...]
    periods: tuple[PeriodView, ...]
    suggestions: tuple[str, ...]
    problems: tuple[str, ...]
    rows: tuple[RowView, ...]
    empty: EmptyView | None
    new_runs: NewRunsView
    newer_href: str
    older_href: str
    json_href: str
    csv_href: str
    bulk_href: str
    live_href: str


class ListFacts(NamedTuple):
    """What one read of the database gives a list: a page, its errors, the known tasks."""

    page: RunPage
    errors: dict[str, str]
    tasks: list[str]
    is_unused: bool


def row_view(run: RunRow, error: str | None, *, slug: str, now: int) -> RowView:
    """Return one row; `error` is the run's stored error."""
    tags = decode_tags(run.tags)
    return RowView(
        id=run.id,
        short=short_id(run.id),
        href=f"/{slug}/runs/{run.id}",
        task=shown(run.task_id, 256),
        status=status_view(run),
        tries=tries_of(run),
        tags=tuple(shown(tag, 40) for tag in tags[:_TAGS_SHOWN]),
        hidden_tags=max(0, len(tags) - _TAGS_SHOWN),
        queue=shown(run.queue_name.removeprefix("task/"), 128),
        created_at=run.created_at,
        created=ago(run.created_at, now),
        wait=wait_of(run, now),
        took=took_of(run, now),
        cause=cause_of(error) if run.is_failed and run.status != RunStatus.CANCELED else "",
        is_test=bool(run.is_test),
        is_failed=run.status in _RED,
    )


def tries_of(run: RunRow) -> str:
    """Return attempts made and allowed; how many are allowed is known from the first claim on."""
    if run.max_attempts is None:
        return str(run.attempt) if run.attempt else "–"
    return f"{run.attempt}/{run.max_attempts}"


_RED: Final = frozenset(TABS[4].statuses)


def cause_of(error: str | None) -> str:
    """Return the one line that says why a run failed."""
    if error is None:
        return ""
    decoded = decode_error(error)
    if isinstance(decoded, InternalError):
        return one_line(f"{decoded.code}: {decoded.message}" if decoded.message else decoded.code)
    plain = api_error(decoded)
    return one_line(f"{plain.name}: {plain.message}" if plain.name else plain.message)


def wait_of(run: RunRow, now: int) -> Timing:
    """Return how long the run waited for its first start, or still waits."""
    if run.started_at is not None:
        return Timing(duration(run.started_at - (run.queued_at or run.created_at)))
    if run.completed_at is not None:
        return Timing("–")
    if run.execution_status == ExecutionStatus.DELAYED and run.delay_until is not None:
        return Timing(duration(run.delay_until - now), until=run.delay_until)
    since = run.queued_at or run.created_at
    return Timing(duration(now - since), since=since)


def took_of(run: RunRow, now: int) -> Timing:
    """Return the time from the first attempt's start to the end, or until now."""
    if run.executed_at is None:
        return Timing("–")
    if run.completed_at is not None:
        return Timing(duration(run.completed_at - run.executed_at))
    return Timing(duration(now - run.executed_at), since=run.executed_at)


def count_text(count: int) -> str:
    """Return a count as shown: what is more than can be counted cheaply is `10,000+`."""
    return f"{MANY:,}+" if count > MANY else f"{count:,}"


# ---- the page ---------------------------------------------------------------------------------------


def list_view(
    facts: ListFacts,
    query: RunQuery,
    *,
    slug: str,
    now: int,
    counts: Mapping[str, int],
    problems: Sequence[str],
    live_href: str,
    has_worker: bool,
) -> ListView:
    base = f"/{slug}/runs"
    page = facts.page
    rows = tuple(row_view(run, facts.errors.get(run.id), slug=slug, now=now) for run in page.rows)
    empty = None if rows else _empty(facts, query, base=base, has_worker=has_worker)
    text = query.query_string()
    return ListView(
        environment=slug,
        base=base,
        tabs=tuple(tab_views(query, counts, base)),
        chips=tuple(_chips(query, base)),
        hidden=tuple(query.pairs()),
        periods=tuple(_periods(query, base)),
        suggestions=tuple(f"task:{shown(task, 256)}" for task in facts.tasks),
        problems=tuple(problems),
        rows=rows,
        empty=empty,
        new_runs=new_runs_view(0, query, base, loads_itself=empty is not None),
        newer_href=_page_href(query, base, before=page.previous),
        older_href=_page_href(query, base, after=page.next),
        json_href=f"{base}.json{text}",
        csv_href=f"{base}.csv{text}",
        bulk_href=f"/{slug}/bulk",
        live_href=live_href,
    )


def tab_views(query: RunQuery, counts: Mapping[str, int], base: str) -> list[TabView]:
    views = []
    for tab in TABS:
        href = base + replace(query.first_page(), status=tab.name).query_string()
        count = counts.get(tab.name)
        text = "" if count is None else count_text(count)
        views.append(TabView(tab.name, tab.title, href, text, is_current=query.status == tab.name))
    return views


def new_runs_view(count: int, query: RunQuery, base: str, *, loads_itself: bool) -> NewRunsView:
    text = "" if count == 0 else "1 new run" if count == 1 else f"{count_text(count)} new runs"
    return NewRunsView(text, base + query.first_page().query_string(), loads_itself)


def _chips(query: RunQuery, base: str) -> list[ChipView]:
    tab_names = {tab.name for tab in TABS}
    return [
        ChipView(name, shown(value, 60), base + query.without(name, value).query_string())
        for name, value in query.pairs()
        if name != "last" and not (name == "status" and value in tab_names)
    ]


def _periods(query: RunQuery, base: str) -> list[PeriodView]:
    values = PERIODS if not query.last or query.last in PERIODS else (query.last, *PERIODS)
    bare = query.first_page()
    hrefs = [(value, base + replace(bare, last=value).query_string()) for value in ("", *values)]
    return [PeriodView(value, href, is_current=value == query.last) for value, href in hrefs]


def _page_href(query: RunQuery, base: str, *, after: str | None = None, before: str | None = None) -> str:
    if after is None and before is None:
        return ""
    return base + replace(query, after=after or "", before=before or "").query_string()


def _empty(facts: ListFacts, query: RunQuery, *, base: str, has_worker: bool) -> EmptyView:
    kind = next((tab.title.lower() for tab in TABS if tab.name == query.status and tab.name), "")
    words = ["No", kind, "runs"] if kind else ["No runs"]
    if query.last:
        words.append(f"in the last {query.last}")
    if any((query.tasks, query.tags, query.queues, query.run, query.bulk, query.since, query.until)):
        words.append("match these filters")
    if not query.is_newest_page:
        words = ["No more runs on this side"]
    return EmptyView(
        text=" ".join(words) + ".",
        clear_href=base if query.status or query.is_narrowed or not query.is_newest_page else "",
        first_run=facts.is_unused,
        tasks=tuple(shown(task, 256) for task in facts.tasks[:3]),
        has_worker=has_worker,
    )
