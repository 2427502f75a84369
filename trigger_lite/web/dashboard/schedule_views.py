"""What the page of schedules shows: one frozen context for its template, and how it comes from rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final
from urllib.parse import urlencode

from trigger_lite.engine.cron_words import describe
from trigger_lite.protocol.schedules import DECLARATIVE
from trigger_lite.store.schedules import Planned
from trigger_lite.web.dashboard.list_views import Timing
from trigger_lite.web.dashboard.texts import absolute, ago, clock, duration, shown

_NAME: Final = 256
_OVERLAP: Final = {"skip": "skips while running", "queue": "waits while running"}
_CATCH_UP: Final = {"all": "catches up with all", "none": "catches up with none"}


@dataclass(frozen=True)
class ScheduleRowView:
    """One schedule. `next_title` and `last_title` are times in full; `notes` what is not as by default."""

    id: str
    task: str
    runs_href: str
    is_active: bool
    when: str
    cron: str
    zone: str
    next: Timing | None
    next_title: str
    last: str
    last_title: str
    last_href: str
    notes: tuple[str, ...]
    switch_href: str
    run_href: str


@dataclass(frozen=True)
class ScheduleListView:
    """Everything the page of schedules shows."""

    template: ClassVar[str] = "schedules.html"

    environment: str
    href: str
    rows: tuple[ScheduleRowView, ...]
    newest_href: str
    older_href: str


def schedule_list_view(
    rows: Sequence[Planned], *, slug: str, now: int, before: str, has_more: bool
) -> ScheduleListView:
    base = f"/{slug}/schedules"
    return ScheduleListView(
        environment=slug,
        href=f"{base}?{urlencode({'before': before})}" if before else base,
        rows=tuple(schedule_row(row, slug=slug, now=now) for row in rows),
        newest_href=base if before else "",
        older_href=f"{base}?before={rows[-1].schedule.id}" if has_more else "",
    )


def schedule_row(planned: Planned, *, slug: str, now: int) -> ScheduleRowView:
    schedule, instance = planned
    href = f"/{slug}/schedules/{schedule.id}"
    next_at, last_at = instance.next_at, instance.last_at
    return ScheduleRowView(
        id=schedule.id,
        task=shown(schedule.task_id, _NAME),
        runs_href=f"/{slug}/runs?{urlencode({'task': schedule.task_id})}",
        is_active=bool(schedule.active),
        when=describe(schedule.cron),
        cron=schedule.cron,
        zone=schedule.timezone,
        next=None if next_at is None else Timing(duration(next_at - now), until=next_at),
        next_title="" if next_at is None else absolute(next_at),
        last="" if last_at is None else ago(last_at, now),
        last_title="" if last_at is None else absolute(last_at),
        last_href=f"/{slug}/runs/{instance.last_run_id}" if instance.last_run_id else "",
        notes=tuple(_notes(planned)),
        switch_href=f"{href}/active",
        run_href=f"{href}/run",
    )


def _notes(planned: Planned) -> Iterator[str]:
    schedule, instance = planned
    if schedule.kind == DECLARATIVE:
        yield "in code"
    for words, value in ((_OVERLAP, schedule.overlap), (_CATCH_UP, schedule.catch_up)):
        if value in words:
            yield words[value]
    if instance.queued_for is not None:
        yield f"{clock(instance.queued_for)[:5]} waits"
    if schedule.external_id is not None:
        yield shown(schedule.external_id, 40)
