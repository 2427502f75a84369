"""What a list of runs is narrowed to, as it stands in the address: read once, written back the same."""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, urlencode

from trigger_lite.protocol.durations import parse_duration_ms
from trigger_lite.protocol.statuses import RunStatus, api_status, stored_status
from trigger_lite.protocol.times import parse_iso_ms
from trigger_lite.store.run_lists import RunFilter

MAX_VALUES: Final = 20
_LONGEST: Final = 256
_TOKEN: Final = re.compile(r'(?:(\w+):)?(?:"([^"]*)"|(\S+))')
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class StatusTab:
    """A group of statuses under one word; `is_counted` when an index makes counting cheap."""

    name: str
    title: str
    statuses: tuple[RunStatus, ...]
    is_counted: bool = True


TABS: Final = (
    StatusTab("", "All", (), is_counted=False),
    StatusTab("running", "Running", (RunStatus.DEQUEUED, RunStatus.EXECUTING)),
    StatusTab("queued", "Queued", (RunStatus.PENDING,)),
    StatusTab(
        "waiting", "Waiting", (RunStatus.DELAYED, RunStatus.PENDING_VERSION, RunStatus.WAITING_TO_RESUME)
    ),
    StatusTab(
        "failed",
        "Failed",
        (
            RunStatus.COMPLETED_WITH_ERRORS,
            RunStatus.CRASHED,
            RunStatus.SYSTEM_FAILURE,
            RunStatus.TIMED_OUT,
            RunStatus.EXPIRED,
        ),
    ),
    StatusTab("canceled", "Canceled", (RunStatus.CANCELED,), is_counted=False),
    StatusTab("done", "Done", (RunStatus.COMPLETED_SUCCESSFULLY,), is_counted=False),
)
_GROUPS: Final = {tab.name: tab.statuses for tab in TABS if tab.name}
PERIODS: Final = ("1h", "24h", "7d", "30d")


@dataclass(frozen=True)
class RunQuery:
    """The filter of a list: exactly what its address says. `status` is a tab's word or API status names."""

    status: str = ""
    tasks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    last: str = ""
    since: str = ""
    until: str = ""
    run: str = ""
    bulk: str = ""
    batch: str = ""
    after: str = ""
    before: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the tab narrows the list."""
        return any(name != "status" for name, _ in self.pairs())

    @property
    def is_newest_page(self) -> bool:
        return not (self.after or self.before)

    def statuses(self) -> tuple[RunStatus, ...]:
        if self.status in _GROUPS:
            return _GROUPS[self.status]
        return tuple(found for name in self.status.split(",") if (found := stored_status(name)) is not None)

    def pairs(self) -> list[tuple[str, str]]:
        """Return name and value of everything that narrows, in a fixed order, without the page."""
        return [
            *([("status", self.status)] if self.status else []),
            *(("task", task) for task in self.tasks),
            *(("tag", tag) for tag in self.tags),
            *(("queue", queue) for queue in self.queues),
            *[
                (name, value)
                for name, value in (
                    ("last", self.last),
                    ("from", self.since),
                    ("to", self.until),
                    ("id", self.run),
                    ("bulk", self.bulk),
                    ("batch", self.batch),
                )
                if value
            ],
        ]

    def query_string(self) -> str:
        """Return `?…` for an address, page included; empty when there is nothing to say."""
        page = [(n, v) for n, v in (("after", self.after), ("before", self.before)) if v]
        text = urlencode([*self.pairs(), *page])
        return f"?{text}" if text else ""

    def first_page(self) -> "RunQuery":
        return replace(self, after="", before="")

    def without(self, name: str, value: str) -> "RunQuery":
        """Return the query without one of its pairs, on its first page."""
        kept = [pair for pair in self.pairs() if pair != (name, value)]
        return parse_query(kept)

    def run_filter(self, environment_id: str, now: int) -> RunFilter:
        """Return the filter in the store's terms; `now` is Unix ms."""
        since = parse_moment(self.since, end=False)
        if self.last:
            since = now - (parse_duration_ms(self.last) or 0)
        return RunFilter(
            environment_id=environment_id,
            statuses=self.statuses(),
            task_ids=self.tasks,
            tags=self.tags,
            queues=self.queues,
            id_begins=self.run or None,
            bulk_id=self.bulk or None,
            batch_id=self.batch or None,
            created_from=since,
            created_to=parse_moment(self.until, end=True),
        )


def parse_query(pairs: Iterable[tuple[str, str]]) -> RunQuery:
    """Read an address. What cannot be read narrows nothing; `problems` says so."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if value.strip():
            found.setdefault(name, []).append(value.strip()[:_LONGEST])

    def one(name: str) -> str:
        return found.get(name, [""])[-1]

    return RunQuery(
        status=one("status"),
        tasks=tuple(dict.fromkeys(found.get("task", ())))[:MAX_VALUES],
        tags=tuple(dict.fromkeys(found.get("tag", ())))[:MAX_VALUES],
        queues=tuple(dict.fromkeys(found.get("queue", ())))[:MAX_VALUES],
        last=one("last") if parse_duration_ms(one("last")) else "",
        since=one("from") if parse_moment(one("from"), end=False) is not None else "",
        until=one("to") if parse_moment(one("to"), end=True) is not None else "",
        run=one("id"),
        bulk=one("bulk"),
        batch=one("batch"),
        after=one("after"),
        before=one("before"),
    )


def problems(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Say in a sentence each what of an address could not be read and what would be right."""
    said = []
    for name, value in pairs:
        if name == "last" and value and not parse_duration_ms(value):
            said.append(f"last: {value!r} is not a duration; write for example 24h or 7d.")
        if name in ("from", "to") and value and parse_moment(value, end=name == "to") is None:
            said.append(f"{name}: {value!r} is not a date or time; write for example 2026-11-22.")
        unknown = [word for word in value.split(",") if stored_status(word) is None]
        if name == "status" and value and value not in _GROUPS and unknown:
            known = ", ".join([*_GROUPS, *(api_status(status).value for status in RunStatus)])
            said.append(f"status: {unknown[0]!r} is none; it is one of {known}.")
    return said


def add_words(query: RunQuery, words: str) -> RunQuery:
    """Return the query with what was typed into the search field: `task:x`, `queue:y`, `last:24h`, an id.

    A word without a name is the beginning of a run's id when it looks like one, else a task.
    """
    typed = []
    for name, quoted, plain in _TOKEN.findall(words):
        value = quoted or plain
        if name in ("status", "task", "tag", "queue", "last", "from", "to", "id", "bulk", "batch"):
            typed.append((name, value))
        elif not name:
            typed.append(("id" if value.startswith("run_") else "task", value))
        else:
            typed.append(("task", f"{name}:{value}"))
    return parse_query([*query.pairs(), *typed])


def parse_moment(text: str, *, end: bool) -> int | None:
    """Return Unix ms for an ISO date or time, or Unix ms as text; a bare date means its start or its end."""
    if text.isdigit() and len(text) > 8:
        return int(text) if len(text) < 16 else None
    moment = parse_iso_ms(text) if text else None
    if moment is not None and end and len(text) == 10:
        return moment + _DAY_MS - 1
    return moment


def pack(query: RunQuery) -> str:
    """Return the query as one word, for the topic of a live stream."""
    return base64.urlsafe_b64encode(query.query_string().encode()).decode().rstrip("=")


def unpack(word: str) -> RunQuery:
    """Return the query that was packed. Raises ValueError when it is none."""
    text = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)).decode()
    return parse_query(parse_qsl(text.removeprefix("?")))
