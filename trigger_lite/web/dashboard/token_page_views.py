"""What the pages of wait tokens show: one frozen context for each template, and how it comes from rows."""

from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple
from urllib.parse import urlencode

from trigger_lite.engine.run_json import decode_tags
from trigger_lite.store.runs import RunRow
from trigger_lite.store.token_lists import TokenRows
from trigger_lite.store.waitpoints import WaitpointRow
from trigger_lite.web.dashboard.list_views import Timing
from trigger_lite.web.dashboard.run_views import FactView, PacketView, packet_view
from trigger_lite.web.dashboard.statuses import StatusView, status_view
from trigger_lite.web.dashboard.texts import absolute, ago, duration, short_id, shown

_TAG: Final = 128
_WAITING: Final = StatusView("waiting", "hourglass", "Waiting")
_COMPLETED: Final = StatusView("completed", "check", "Completed")
_TIMED_OUT: Final = StatusView("timedout", "stopwatch", "Timed out")
_TABS: Final = (("", "All"), ("WAITING", "Waiting"), ("COMPLETED", "Completed"), ("TIMED_OUT", "Timed out"))


class TokenFacts(NamedTuple):
    """A token, what it was completed with, and who waits for it: `waiting` in all, some of them in `runs`."""

    token: WaitpointRow
    output: str | None
    runs: list[RunRow]
    waiting: int


@dataclass(frozen=True)
class TokenRowView:
    """One token of the list; `left` is the time until it times out."""

    short: str
    href: str
    status: StatusView
    tags: tuple[str, ...]
    created: str
    created_at: int
    left: Timing | None


@dataclass(frozen=True)
class TokenTabView:
    title: str
    href: str
    is_current: bool


@dataclass(frozen=True)
class TokenListView:
    """Everything the page of tokens shows."""

    template: ClassVar[str] = "tokens.html"

    href: str
    tabs: tuple[TokenTabView, ...]
    rows: tuple[TokenRowView, ...]
    is_filtered: bool
    previous_href: str
    next_href: str


@dataclass(frozen=True)
class WaitingRunView:
    short: str
    href: str
    task: str
    status: StatusView


@dataclass(frozen=True)
class TokenPageView:
    """Everything the page of one token shows."""

    template: ClassVar[str] = "token.html"

    id: str
    short: str
    href: str
    list_href: str
    status: StatusView
    left: Timing | None
    facts: tuple[FactView, ...]
    output: PacketView | None
    runs: tuple[WaitingRunView, ...]
    more_runs: int
    complete_href: str
    is_waiting: bool


def token_list_view(page: TokenRows, *, slug: str, status: str, now: int) -> TokenListView:
    base = f"/{slug}/tokens"
    chosen = status if status in dict(_TABS) else ""

    def at(**where: str) -> str:
        pairs = {"status": chosen, **where}
        query = urlencode({name: value for name, value in pairs.items() if value})
        return f"{base}?{query}" if query else base

    return TokenListView(
        href=at(),
        tabs=tuple(TokenTabView(title, at(status=name), name == chosen) for name, title in _TABS),
        rows=tuple(_row(token, slug, now) for token in page.rows),
        is_filtered=bool(chosen),
        previous_href=at(before=page.previous) if page.previous else "",
        next_href=at(after=page.next) if page.next else "",
    )


def _row(token: WaitpointRow, slug: str, now: int) -> TokenRowView:
    return TokenRowView(
        short=short_id(token.id),
        href=f"/{slug}/tokens/{token.id}",
        status=_status(token),
        tags=_tags(token),
        created=ago(token.created_at, now),
        created_at=token.created_at,
        left=_left(token, now),
    )


def token_page_view(facts: TokenFacts, *, slug: str, now: int) -> TokenPageView:
    token = facts.token
    href = f"/{slug}/tokens/{token.id}"
    output = None
    if token.completed_at is not None:
        kind = token.output_type or "application/json"
        output = packet_view("output", "Output", facts.output, kind, href, nothing="Completed without data.")
    return TokenPageView(
        id=token.id,
        short=short_id(token.id),
        href=href,
        list_href=f"/{slug}/tokens",
        status=_status(token),
        left=_left(token, now),
        facts=tuple(_facts(token)),
        output=output,
        runs=tuple(_waiting_run(run, slug) for run in facts.runs),
        more_runs=facts.waiting - len(facts.runs),
        complete_href=f"{href}/complete",
        is_waiting=token.completed_at is None,
    )


def _facts(token: WaitpointRow) -> list[FactView]:
    found = [FactView("Id", token.id, is_code=True), FactView("Created", absolute(token.created_at))]
    if token.due_at is not None:
        found.append(FactView("Times out", absolute(token.due_at)))
    if token.completed_at is not None:
        found.append(FactView("Completed", absolute(token.completed_at)))
    if token.idempotency_key is not None:
        found.append(FactView("Idempotency key", shown(token.idempotency_key, 200), is_code=True))
    if tags := _tags(token):
        found.append(FactView("Tags", ", ".join(tags)))
    return found


def _waiting_run(run: RunRow, slug: str) -> WaitingRunView:
    return WaitingRunView(
        short_id(run.id), f"/{slug}/runs/{run.id}", shown(run.task_id, 128), status_view(run)
    )


def _status(token: WaitpointRow) -> StatusView:
    if token.completed_at is None:
        return _WAITING
    return _TIMED_OUT if token.is_error else _COMPLETED


def _left(token: WaitpointRow, now: int) -> Timing | None:
    if token.due_at is None or token.completed_at is not None:
        return None
    return Timing(duration(token.due_at - now), until=token.due_at)


def _tags(token: WaitpointRow) -> tuple[str, ...]:
    return tuple(shown(tag, _TAG) for tag in decode_tags(token.tags))
