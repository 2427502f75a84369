"""A cron expression in English: `At 05:00 every day`, `Every 15 minutes from Monday to Friday`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from trigger_lite.protocol.cron import HOURS, MONTHS, Cron, parse_cron

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MOST_TIMES: Final = 6
"""Times of day that are listed one by one."""


def describe(expression: str) -> str:
    """Return what an expression says. Raises ValueError when it says nothing."""
    cron = parse_cron(expression)
    days, months = _days(cron), _months(cron)
    times = sorted(cron.minutes), sorted(cron.hours)
    if len(times[0]) * len(times[1]) <= _MOST_TIMES:
        when = f"At {_listed(f'{hour:02d}:{minute:02d}' for hour in times[1] for minute in times[0])}"
        days = days or "every day"
    else:
        when = _repeated(cron)
    return " ".join(part for part in (when, days, months) if part)


def _repeated(cron: Cron) -> str:
    """Return how often within a day."""
    minutes, hours = sorted(cron.minutes), sorted(cron.hours)
    every_minutes, every_hours = _step(minutes, 60), _step(hours, 24)
    if minutes == [0] and every_hours is not None:
        return "Every hour" if every_hours == 1 else f"Every {every_hours} hours"
    if every_minutes is not None and len(minutes) > 1:
        often = "Every minute" if every_minutes == 1 else f"Every {every_minutes} minutes"
        return often if cron.hours == HOURS else f"{often} {_in_hours(hours)}"
    often = f"At minute{'s' if len(minutes) > 1 else ''} {_spans(minutes, str)}"
    return f"{often} of every hour" if cron.hours == HOURS else f"{often} {_in_hours(hours)}"


def _in_hours(hours: Sequence[int]) -> str:
    if hours[-1] - hours[0] == len(hours) - 1:
        return f"from {hours[0]:02d}:00 to {hours[-1]:02d}:59"
    every = _step(hours, 24)
    if every is not None:
        return f"of every {every}{'nd' if every == 2 else 'rd' if every == 3 else 'th'} hour"
    return f"in the hours {_spans(hours, str)}"


def _days(cron: Cron) -> str:
    """Return on which days, or an empty text for all of them."""
    parts = []
    if cron.restricts_days and cron.days:
        days = sorted(cron.days)
        parts.append(f"on day{'s' if len(days) > 1 else ''} {_spans(days, str)} of the month")
    if cron.has_last_day:
        parts.append("on the last day of the month")
    if cron.restricts_weekdays and cron.weekdays:
        # A week of people begins on Monday.
        weekdays = sorted(weekday or 7 for weekday in cron.weekdays)
        parts.append(_during("on", weekdays, lambda weekday: _WEEKDAYS[weekday % 7]))
    parts += [f"on the last {_WEEKDAYS[weekday]} of the month" for weekday in sorted(cron.last_weekdays)]
    return " or ".join(parts)


def _months(cron: Cron) -> str:
    if cron.months == MONTHS:
        return ""
    return _during("in", sorted(cron.months), lambda month: _MONTHS[month - 1])


def _during(word: str, values: Sequence[int], name: Callable[[int], str]) -> str:
    """Return `on Monday and Friday` or `from Monday to Friday`."""
    is_span = len(values) > 2 and values[-1] - values[0] == len(values) - 1
    return f"{'from' if is_span else word} {_spans(values, name)}"


def _step(values: Sequence[int], size: int) -> int | None:
    """Return n when the values are 0, n, 2n, … all around a clock of this size."""
    step = size // len(values)
    return step if list(values) == list(range(0, size, step)) and size % step == 0 else None


def _spans(values: Sequence[int], name: Callable[[int], str]) -> str:
    """Return values in words, three or more in a row as a span: `1, 5 to 7 and 9`."""
    spans: list[list[int]] = []
    for value in values:
        if spans and spans[-1][-1] == value - 1:
            spans[-1].append(value)
        else:
            spans.append([value])
    words = []
    for span in spans:
        words += (
            [f"{name(span[0])} to {name(span[-1])}"] if len(span) > 2 else [name(value) for value in span]
        )
    return _listed(words)


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
