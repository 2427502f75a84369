"""What the pages of queues show: one frozen context for each template, and how it comes from rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final
from urllib.parse import urlencode

from trigger_lite.engine.queue_limits import QueueState
from trigger_lite.engine.rates import key_rate_of, rate_of
from trigger_lite.store.environments import Load
from trigger_lite.store.queue_lists import LaneLoad
from trigger_lite.store.queues import QueueRow
from trigger_lite.web.dashboard.run_views import FactView
from trigger_lite.web.dashboard.texts import absolute, ago, shown

_NAME: Final = 128


@dataclass(frozen=True)
class QueueRowView:
    """One queue of the list. `notes` are its rates, its length and what is set over its limit."""

    id: str
    name: str
    href: str
    runs_href: str
    pause_href: str
    is_paused: bool
    running: str
    queued: str
    oldest: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class EnvironmentView:
    """How full the environment is, and what can be done to it."""

    slug: str
    is_paused: bool
    running: str
    limit: int
    burst: str
    pause_href: str
    limit_href: str


@dataclass(frozen=True)
class QueueListView:
    """Everything the page of queues shows."""

    template: ClassVar[str] = "queues.html"

    href: str
    environment: EnvironmentView
    rows: tuple[QueueRowView, ...]
    previous_href: str
    next_href: str


@dataclass(frozen=True)
class KeyView:
    """One concurrency key of a queue."""

    name: str
    running: int
    queued: int


@dataclass(frozen=True)
class QueueView:
    """Everything the page of one queue shows; `keys` are those with the most runs in line."""

    template: ClassVar[str] = "queue.html"

    row: QueueRowView
    href: str
    list_href: str
    facts: tuple[FactView, ...]
    keys: tuple[KeyView, ...]
    more_keys: bool
    limit_href: str
    reset_href: str
    is_overridden: bool
    most: int


def queue_list_view(
    states: Sequence[QueueState], load: Load, *, slug: str, now: int, page: int, pages: int
) -> QueueListView:
    base = f"/{slug}/queues"
    return QueueListView(
        href=base if page == 1 else f"{base}?page={page}",
        environment=environment_view(load, slug),
        rows=tuple(queue_row(state, slug=slug, now=now) for state in states),
        previous_href=f"{base}?page={page - 1}" if page > 1 else "",
        next_href=f"{base}?page={page + 1}" if page < pages else "",
    )


def environment_view(load: Load, slug: str) -> EnvironmentView:
    return EnvironmentView(
        slug=slug,
        is_paused=bool(load.paused),
        running=f"{load.held:,} of {load.slots:,}",
        limit=load.concurrency_limit,
        burst=f"{load.burst_percent / 100:g}",
        pause_href=f"/{slug}/queues/pause",
        limit_href=f"/{slug}/queues/limit",
    )


def queue_row(state: QueueState, *, slug: str, now: int) -> QueueRowView:
    queue, load = state.load.queue, state.load
    limit = state.bounded(queue.limit)
    href = f"/{slug}/queues/{queue.id}"
    return QueueRowView(
        id=queue.id,
        name=shown(queue.name, _NAME),
        href=href,
        runs_href=f"/{slug}/runs?{urlencode({'queue': queue.name})}",
        pause_href=f"{href}/pause",
        is_paused=bool(queue.paused),
        running=f"{load.running:,} running" if limit is None else f"{load.running:,} of {limit:,} running",
        queued=f"{load.waiting:,} queued",
        oldest="" if load.oldest is None or load.oldest > now else f"oldest {ago(load.oldest, now)}",
        notes=tuple(_notes(state)),
    )


def queue_view(
    state: QueueState, lanes: Sequence[LaneLoad], *, slug: str, now: int, most_keys: int
) -> QueueView:
    row = queue_row(state, slug=slug, now=now)
    keyed = [lane for lane in lanes if lane.lane_key]
    return QueueView(
        row=row,
        href=row.href,
        list_href=f"/{slug}/queues",
        facts=tuple(_facts(state)),
        keys=tuple(KeyView(shown(k.lane_key[1:], 256), k.running, k.waiting) for k in keyed[:most_keys]),
        more_keys=len(lanes) > most_keys,
        limit_href=f"{row.href}/limit",
        reset_href=f"{row.href}/reset",
        is_overridden=state.load.queue.overridden_at is not None,
        most=state.most,
    )


def _notes(state: QueueState) -> Iterator[str]:
    code = state.load.queue.code
    rate, key_rate = rate_of(code), key_rate_of(code)
    if rate is not None:
        yield rate.text()
    if key_rate is not None:
        yield f"{key_rate.text()} per key"
    if code.max_length is not None:
        yield f"at most {code.max_length:,} queued"
    if state.load.queue.overridden_at is not None:
        yield "limit set here"


def _facts(state: QueueState) -> Iterator[FactView]:
    queue = state.load.queue
    code = queue.code
    yield FactView("Limit", _limit(state, queue.limit))
    if queue.overridden_at is not None:
        yield FactView("Limit of the code", _limit(state, code.concurrency_limit))
        yield FactView("Set", _override(queue))
        if queue.override_ends_at is not None:
            yield FactView("Until", absolute(queue.override_ends_at))
    if code.max_length is not None:
        yield FactView("Length", f"at most {code.max_length:,}")
    for label, rate in (("Rate", rate_of(code)), ("Rate of a key", key_rate_of(code))):
        if rate is not None:
            yield FactView(label, f"{rate.text()}, {rate.burst:,} at once")
    yield FactView("Id", queue.id, is_code=True)


def _limit(state: QueueState, limit: int | None) -> str:
    bounded = state.bounded(limit)
    return f"that of the environment, {state.most:,}" if bounded is None else f"{bounded:,} at once"


def _override(queue: QueueRow) -> str:
    of = "" if queue.override_percent is None else f" as {queue.override_percent / 100:g} %"
    by = "" if queue.overridden_by is None else f" by {queue.overridden_by}"
    return f"{absolute(queue.overridden_at or 0)}{of}{by}"
