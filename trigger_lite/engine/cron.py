"""When a cron expression happens in a time zone. APScheduler searches the calendar, this module the zone.

APScheduler is asked in UTC, where every wall-clock time exists once; three of its traps are translated: its
weekday 0 is Monday, it wants day *and* weekday to match, and it looks for an impossible day until the year
9999.

A wall-clock time becomes a moment as Trigger.dev's own library does it, so no daily occurrence is lost and
none is doubled (SC-02):

- In the hour that clocks jump over, it happens as much later: 02:30 at what the clocks then show as 03:30.
- In the hour that clocks repeat, it happens the first time. An expression whose hour is `*` counts elapsed
  time instead and happens both times, so `*/15 * * * *` stays a quarter of an hour.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from trigger_lite.engine.zones import find_zone
from trigger_lite.protocol.cron import HOURS, MINUTES, MONTHS, WEEKDAY_NAMES, Cron, existing_days, parse_cron
from trigger_lite.protocol.errors import Unprocessable

_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
_MINUTE_MS: Final = 60_000


@lru_cache(maxsize=256)
def occurrences(cron: str, timezone: str) -> "Occurrences":
    """Return the times of an expression in a zone. Raises Unprocessable when one of them is none (SC-01)."""
    try:
        parsed = parse_cron(cron)
    except ValueError as error:
        raise Unprocessable(str(error)) from None
    return Occurrences(parsed, find_zone(timezone))


class Occurrences:
    """The moments at which an expression happens in a zone. Moments are Unix ms."""

    def __init__(self, cron: Cron, zone: ZoneInfo) -> None:
        self.cron: Final = cron
        self._zone = zone
        # What was asked last, and the answer: schedules with one cron are due together.
        self._upcoming: tuple[tuple[int, int], list[int]] = ((0, 0), [])
        self._triggers = _triggers(cron)

    def next(self, after: int) -> int | None:
        """Return the first moment later than `after`; None when dates end before it (the year 9999)."""
        try:
            return self._next(datetime.fromtimestamp(after / 1000, UTC))
        except (OverflowError, ValueError):
            return None

    def upcoming(self, after: int, count: int) -> list[int]:
        """Return the next `count` moments later than `after` (SC-08)."""
        asked, answer = self._upcoming
        if asked != (after, count):
            answer = self._all_upcoming(after, count)
            self._upcoming = ((after, count), answer)
        return list(answer)

    def _all_upcoming(self, after: int, count: int) -> list[int]:
        found: list[int] = []
        moment = self.next(after)
        while moment is not None and len(found) < count:
            found.append(moment)
            moment = self.next(moment)
        return found

    def newest(self, after: int, until: int, count: int) -> list[int]:
        """Return the last `count` moments later than `after` and not later than `until`, oldest first.

        Its price is that of `count` moments, however long the span is.
        """
        found: list[int] = []
        moment = self._last_before(after, until + 1)
        while moment is not None and len(found) < count:
            found.append(moment)
            moment = self._last_before(after, moment)
        return found[::-1]

    def _last_before(self, after: int, edge: int) -> int | None:
        """Return the last moment later than `after` and earlier than `edge`.

        Looks back twice as far until there is one, then halves what lies between it and the edge.
        """
        back, low, high = _MINUTE_MS, edge, edge
        found: int | None = None
        while found is None:
            if low <= after:
                return None
            high, low, back = low, max(after, edge - back), back * 2
            found = self._next_before(low, edge)
        while self._next_before(found, edge) is not None:
            middle = (found + high) // 2
            later = self._next_before(middle, edge)
            if later is None:
                high = middle
            else:
                found = later
        return found

    def _next_before(self, after: int, edge: int) -> int | None:
        moment = self.next(after)
        return moment if moment is not None and moment < edge else None

    # ---- wall clock and moments -----------------------------------------------------------------------

    def _next(self, after: datetime) -> int | None:
        wall = self._wall(after)
        candidate = self._wall_after(wall)
        if candidate is None:
            return None
        moment = next(self._moments(candidate))
        shift = max(self._shift(after, _DAY), self._shift(moment, _DAY))
        if shift and (self._shift(after, shift) or self._shift(moment, shift)):
            return self._search(after, wall, shift)
        return _ms(moment)

    def _search(self, after: datetime, wall: datetime, shift: timedelta) -> int | None:
        """Find the next moment where clocks are about to change by `shift`, or just did.

        The order of moments there is not that of their wall-clock times, by no more than the shift.
        """
        best: datetime | None = None
        candidate = self._wall_after(wall - shift)
        while candidate is not None and (best is None or candidate <= self._wall(best) + shift):
            for moment in self._moments(candidate):
                if moment > after and (best is None or moment < best):
                    best = moment
            candidate = self._wall_after(candidate)
        return None if best is None else _ms(best)

    def _shift(self, moment: datetime, around: timedelta) -> timedelta:
        """Return by how much the zone's clocks change from this long before a moment to this long after."""
        before, then = moment - around, moment + around
        return abs((self._wall(before) - before) - (self._wall(then) - then))

    def _wall(self, moment: datetime) -> datetime:
        """Return what the zone's clocks show, as a time of the same digits in UTC."""
        return moment.astimezone(self._zone).replace(tzinfo=UTC, fold=0)

    def _moments(self, wall: datetime) -> Iterator[datetime]:
        """Go through the moments of a wall-clock time."""
        first = wall.replace(tzinfo=self._zone).astimezone(UTC)
        yield first
        if self.cron.is_every_hour:
            second = wall.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
            if second > first:  # clocks show it twice
                yield second

    def _wall_after(self, wall: datetime) -> datetime | None:
        """Return the first wall-clock time of the expression later than this one."""
        start = wall.replace(second=0, microsecond=0) + _MINUTE
        found = [trigger.get_next_fire_time(None, start) for trigger in self._triggers]
        return min((time for time in found if time is not None), default=None)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


# ---- APScheduler's language ---------------------------------------------------------------------------


def _triggers(cron: Cron) -> list[CronTrigger]:
    """Return one trigger, or two of which either is enough: days of the month, and weekdays."""
    days = [str(day) for day in sorted(existing_days(cron))] if cron.restricts_days else []
    days += ["last"] if cron.has_last_day and cron.restricts_days else []
    days += [f"last {WEEKDAY_NAMES[weekday]}" for weekday in sorted(cron.last_weekdays)]
    triggers = []
    if days:
        triggers.append(_trigger(cron, day=",".join(days)))
    if cron.restricts_weekdays and cron.weekdays:
        names = ",".join(WEEKDAY_NAMES[weekday] for weekday in sorted(cron.weekdays))
        triggers.append(_trigger(cron, day_of_week=names))
    return triggers or [_trigger(cron)]


def _trigger(cron: Cron, *, day: str = "*", day_of_week: str = "*") -> CronTrigger:
    return CronTrigger(
        month=_list(cron.months, MONTHS),
        day=day,
        day_of_week=day_of_week,
        hour=_list(cron.hours, HOURS),
        minute=_list(cron.minutes, MINUTES),
        second="0",
        timezone=UTC,
    )


def _list(values: Iterable[int], everything: frozenset[int]) -> str:
    chosen = frozenset(values)
    return "*" if chosen == everything else ",".join(map(str, sorted(chosen)))
