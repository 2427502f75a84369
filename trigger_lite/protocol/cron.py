"""Cron expressions: five fields, read as Trigger.dev reads them (SC-01).

    minute 0-59 · hour 0-23 · day of month 1-31, L · month 1-12, jan-dec · weekday 0-7, sun-sat, 5L

Each field is a comma-separated list of `*`, a value, a range `a-b`, or one of those with a step `/n`; `a/n`
goes to the end of the field. `L` is the last day of the month, `5L` its last Friday; 0 and 7 are Sunday.
A field that names every value restricts nothing. When day and weekday both restrict, either is enough.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

MAX_CRON: Final = 256
"""Characters of an expression."""

MINUTES: Final = frozenset(range(60))
HOURS: Final = frozenset(range(24))
DAYS: Final = frozenset(range(1, 32))
MONTHS: Final = frozenset(range(1, 13))
WEEKDAYS: Final = frozenset(range(7))

MONTH_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAY_NAMES: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST: Final = {month: 29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31 for month in MONTHS}
_PART: Final = re.compile(r"(\*|\?|\w+(?:-\w+)?)(?:/(\d{1,4}))?")
_FIELDS: Final = "minute, hour, day of month, month and weekday"


class Cron(msgspec.Struct, frozen=True):
    """A parsed expression: the values each field allows. Weekdays count from Sunday, 0 to 6.

    `text` is the expression with single blanks. `last_weekdays` are those of which the last one in a month is
    meant. A field that restricts nothing has no such extras.
    """

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    has_last_day: bool = False
    last_weekdays: frozenset[int] = frozenset()

    @property
    def restricts_days(self) -> bool:
        """Whether the day-of-month field leaves any day out."""
        return self.days != DAYS

    @property
    def restricts_weekdays(self) -> bool:
        """Whether the weekday field leaves any weekday out."""
        return self.weekdays != WEEKDAYS

    @property
    def is_every_hour(self) -> bool:
        return self.hours == HOURS


def parse_cron(text: str) -> Cron:
    """Return what an expression means. Raises ValueError: what is wrong, what would be right, in one line."""
    parts = text.split()
    if len(parts) != 5 or len(text) > MAX_CRON:
        hint = "; seconds are not supported" if len(parts) == 6 else ""
        raise ValueError(f"cron {text[:MAX_CRON]!r} must have five fields: {_FIELDS}{hint}")
    try:
        cron = _parsed(parts)
    except ValueError as error:
        raise ValueError(f"cron {text!r}: {error}") from None
    if not _can_happen(cron):
        raise ValueError(f"cron {text!r} never happens: none of its months has such a day")
    return cron


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first: int = 0
    """What the first of the names stands for."""

    def number(self, word: str) -> int:
        """Return the value of a number or a name."""
        if word.lower() in self.names:
            return self.names.index(word.lower()) + self.first
        value = int(word) if word.isascii() and word.isdigit() and len(word) <= 4 else -1
        if not self.low <= value <= self.high:
            names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
            raise ValueError(f"{word!r} is no {self.name}; write {self.low} to {self.high}{names}")
        return value

    def values(self, parts: Iterable[str]) -> Iterator[int]:
        """Go through the values that the parts of a list name."""
        for part in parts:
            yield from self._part(part)

    def _part(self, part: str) -> range:
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no {self.name}; write for example {self.low + 1}, 1-5 or */2")
        span, step = match[1], int(match[2] or 1)
        if step == 0:
            raise ValueError(f"{part!r}: a step must be 1 or more")
        if span in "*?":
            return range(self.low, self.high + 1, step)
        first, dash, last = span.partition("-")
        low = self.number(first)
        high = self.number(last) if dash else self.high if match[2] else low
        if high < low:
            raise ValueError(f"{part!r} goes backwards; write {first}-{self.high},{self.low}-{last}")
        return range(low, high + 1, step)


_MINUTE: Final = _Field("minute", 0, 59)
_HOUR: Final = _Field("hour", 0, 23)
_DAY: Final = _Field("day of the month", 1, 31)
_MONTH: Final = _Field("month", 1, 12, MONTH_NAMES, first=1)
_WEEKDAY: Final = _Field("weekday", 0, 7, WEEKDAY_NAMES)


def _parsed(parts: list[str]) -> Cron:
    minute, hour, day_field, month, weekday_field = parts
    day_parts, weekday_parts = day_field.split(","), weekday_field.split(",")
    plain_days = [part for part in day_parts if part.upper() != "L"]
    lasts = [part for part in weekday_parts if part[-1:].upper() == "L"]
    days = frozenset(_DAY.values(plain_days))
    weekdays = frozenset(n % 7 for n in _WEEKDAY.values([p for p in weekday_parts if p not in lasts]))
    last_weekdays = frozenset(_last_weekday(part) for part in lasts)
    return Cron(
        text=" ".join(parts),
        minutes=frozenset(_MINUTE.values(minute.split(","))),
        hours=frozenset(_HOUR.values(hour.split(","))),
        days=days,
        months=frozenset(_MONTH.values(month.split(","))),
        weekdays=weekdays,
        has_last_day=plain_days != day_parts and days != DAYS,
        last_weekdays=frozenset() if weekdays == WEEKDAYS else last_weekdays,
    )


def _last_weekday(part: str) -> int:
    if len(part) == 1:
        raise ValueError("'L' alone is no weekday; write 5L for the last Friday of the month")
    return _WEEKDAY.number(part[:-1]) % 7


def _can_happen(cron: Cron) -> bool:
    """Tell whether any month of the expression has one of its days, in a leap year at least."""
    if cron.has_last_day or cron.restricts_weekdays:
        return True
    return any(day <= _LONGEST[month] for month in cron.months for day in cron.days)


def existing_days(cron: Cron) -> frozenset[int]:
    """Return the days of the month that exist in one of the expression's months."""
    longest = max(_LONGEST[month] for month in cron.months)
    return frozenset(day for day in cron.days if day <= longest)
