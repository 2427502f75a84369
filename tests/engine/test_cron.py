"""Times of cron expressions, checked against cronsim, which shares no code with APScheduler."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from trigger_lite.engine.cron import occurrences
from trigger_lite.engine.zones import find_zone, zone_names
from trigger_lite.protocol.errors import Unprocessable

_EXPRESSIONS: Final = 10_000
_ZONES: Final = (
    *("UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "America/St_Johns"),
    *("America/Sao_Paulo", "Africa/Casablanca", "Africa/Cairo", "Asia/Tokyo", "Asia/Kolkata", "Asia/Tehran"),
    *("Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia", "America/Havana", "Antarctica/Troll"),
)
"""Changes of an hour, of half an hour and of two, at midnight too, and in both hemispheres."""
_DAY: Final = timedelta(days=1)
_ANY: Final = datetime(2026, 1, 1, tzinfo=UTC)


def _times(cron: str, zone: str, after: str, count: int) -> list[str]:
    """The next moments in UTC, to the minute."""
    start = round(datetime.fromisoformat(after).replace(tzinfo=UTC).timestamp() * 1000)
    moments = occurrences(cron, zone).upcoming(start, count)
    return [datetime.fromtimestamp(moment / 1000, UTC).strftime("%m-%d %H:%M") for moment in moments]


# ---- the calendar ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "times"),
    [
        ("0 0 * * 0", ["01-11 00:00", "01-18 00:00"]),
        ("0 0 * * 1", ["01-12 00:00", "01-19 00:00"]),
        ("0 0 * * 5-7", ["01-09 00:00", "01-10 00:00", "01-11 00:00", "01-16 00:00"]),
        ("0 0 13 * 5", ["01-09 00:00", "01-13 00:00", "01-16 00:00"]),
        ("0 0 */2 * 1", ["01-07 00:00", "01-09 00:00", "01-11 00:00", "01-12 00:00", "01-13 00:00"]),
        ("0 0 L * *", ["01-31 00:00", "02-28 00:00", "03-31 00:00"]),
        ("0 0 1,L * *", ["01-31 00:00", "02-01 00:00", "02-28 00:00"]),
        ("0 0 * * 5L", ["01-30 00:00", "02-27 00:00", "03-27 00:00"]),
        ("0 0 * * 1,5L", ["01-12 00:00", "01-19 00:00", "01-26 00:00", "01-30 00:00"]),
        ("0 0 1 * 7L", ["01-25 00:00", "02-01 00:00", "02-22 00:00"]),
        ("0 0 30 2 1", ["02-02 00:00", "02-09 00:00"]),
    ],
)
def test_weekdays_and_days_mean_what_cron_means(cron: str, times: list[str]) -> None:
    """SC-01: Sunday is 0; a day of the month *or* a weekday. Asked on Monday, 5 January 2026, at midnight."""
    assert _times(cron, "UTC", "2026-01-05", len(times)) == times


def test_an_occurrence_at_the_very_moment_is_not_the_next_one() -> None:
    """SC-03: from one nominal time to the following, seconds and milliseconds beside them."""
    assert _times("0 5 * * *", "UTC", "2026-01-05T05:00:00", 1) == ["01-06 05:00"]
    assert _times("0 5 * * *", "UTC", "2026-01-05T04:59:59.999", 1) == ["01-05 05:00"]
    assert _times("* * * * *", "UTC", "2026-01-05T05:00:00.001", 1) == ["01-05 05:01"]


def test_a_rare_day_is_found_at_once() -> None:
    """SC-01: 29 February is never farther than eight years, and a day that never comes costs nothing."""
    began = time.perf_counter()
    leap = occurrences("0 0 29 2 *", "Europe/Berlin").upcoming(4_100_000_000_000, 1)
    assert (
        datetime.fromtimestamp(leap[0] / 1000, ZoneInfo("Europe/Berlin")).date().isoformat() == "2104-02-29"
    )
    assert len(occurrences("0 0 30 2 1", "UTC").upcoming(0, 100)) == 100
    assert time.perf_counter() - began < 0.5


def test_times_end_with_the_calendar() -> None:
    last = round(datetime(9999, 12, 31, 12, tzinfo=UTC).timestamp() * 1000)
    assert occurrences("0 5 * * *", "UTC").next(last) is None
    assert occurrences("0 5 * * *", "Asia/Tokyo").upcoming(last - 86_400_000, 5) in ([], [last - 57_600_000])


@pytest.mark.parametrize(
    ("cron", "zone", "said"),
    [
        ("0 0 30 2 *", "UTC", "never happens"),
        ("0 5 * * *", "Europe/Belin", "no IANA time zone; did you mean 'Europe/Berlin'?"),
        ("0 5 * * *", "europe/berlin", "did you mean 'Europe/Berlin'?"),
        ("0 5 * * *", "../../etc/passwd", "no IANA time zone"),
        ("0 5 * * *", "/etc/localtime", "no IANA time zone"),
        ("0 5 * * *", "localtime", "no IANA time zone"),
        ("0 5 * * *", "Europe", "no IANA time zone"),
        ("0 5 * * *", "", "no IANA time zone"),
        ("0 5 * * *", "UTC\0", "no IANA time zone"),
        ("0 5 * * *", "+02:00", "no IANA time zone"),
    ],
)
def test_what_is_no_expression_or_no_zone_is_refused(cron: str, zone: str, said: str) -> None:
    """SC-01, SC-02: in one line, with the nearest name."""
    with pytest.raises(Unprocessable) as refusal:
        occurrences(cron, zone)
    assert said in refusal.value.message


def test_every_listed_zone_can_be_used() -> None:
    """SC-02: IANA names."""
    assert {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"} <= set(zone_names())
    assert not {"localtime", "Factory", "posixrules"} & set(zone_names())
    for name in zone_names():
        find_zone(name)


def test_zones_are_known_where_the_machine_has_none() -> None:
    """SC-02: on Alpine and slim images the package has them."""
    times = "occurrences('0 5 * * *', 'Asia/Tokyo')"
    code = f"from trigger_lite.engine.cron import occurrences; print({times}.next(0))"
    environment = {**os.environ, "PYTHONTZPATH": ""}
    asked = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert asked.stdout.strip() == str(20 * 3_600_000), asked.stderr


# ---- clocks that change --------------------------------------------------------------------------------

_SPRING: Final = "2026-03-29T00:00"  # in Berlin 02:00 becomes 03:00 at 01:00 UTC
_AUTUMN: Final = "2026-10-24T23:10"  # in Berlin 03:00 becomes 02:00 at 01:00 UTC


@pytest.mark.parametrize(
    ("cron", "times"),
    [
        ("30 2 * * *", ["03-29 01:30", "03-30 00:30", "03-31 00:30"]),
        ("0 2 * * *", ["03-29 01:00", "03-30 00:00", "03-31 00:00"]),
        ("*/20 2 * * *", ["03-29 01:00", "03-29 01:20", "03-29 01:40", "03-30 00:00"]),
        ("30 2,3 * * *", ["03-29 01:30", "03-30 00:30", "03-30 01:30"]),
        ("30 1-5 * * *", ["03-29 00:30", "03-29 01:30", "03-29 02:30", "03-29 03:30", "03-29 23:30"]),
        ("*/30 * * * *", ["03-29 00:30", "03-29 01:00", "03-29 01:30", "03-29 02:00"]),
    ],
)
def test_in_spring_a_time_that_clocks_jump_over_happens_as_much_later(cron: str, times: list[str]) -> None:
    """SC-02: 23 hours lie between two daily runs, and none is lost; as in Trigger.dev."""
    assert _times(cron, "Europe/Berlin", _SPRING, len(times)) == times


@pytest.mark.parametrize(
    ("cron", "times"),
    [
        ("30 2 * * *", ["10-25 00:30", "10-26 01:30"]),
        ("0 3 * * *", ["10-25 02:00", "10-26 02:00"]),
        ("*/20 2 * * *", ["10-25 00:00", "10-25 00:20", "10-25 00:40", "10-26 01:00"]),
        ("30 1-5 * * *", ["10-24 23:30", "10-25 00:30", "10-25 02:30", "10-25 03:30"]),
        ("30 */2 * * *", ["10-25 00:30", "10-25 03:30", "10-25 05:30"]),
        (
            "0,30 * * * *",
            ["10-24 23:30", "10-25 00:00", "10-25 00:30", "10-25 01:00", "10-25 01:30", "10-25 02:00"],
        ),
    ],
)
def test_in_autumn_a_time_that_clocks_repeat_happens_once_unless_it_counts_elapsed_time(
    cron: str, times: list[str]
) -> None:
    """SC-02: 25 hours lie between two daily runs, and none is doubled; as in Trigger.dev."""
    assert _times(cron, "Europe/Berlin", _AUTUMN, len(times)) == times


def test_a_time_can_be_asked_for_within_the_repeated_hour() -> None:
    """SC-02: the first 02:30 is over, the second is none of a daily expression."""
    assert _times("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10", 1) == ["10-26 01:30"]
    assert _times("30 * * * *", "Europe/Berlin", "2026-10-25T00:40", 2) == ["10-25 01:30", "10-25 02:30"]


def test_a_change_of_half_an_hour_keeps_the_order_of_moments() -> None:
    """SC-02: on Lord Howe 02:15 happens at 02:45 that day, and 02:35 is before it."""
    start = "2026-10-03T14:00"
    assert _times("15,35 2 * * *", "Australia/Lord_Howe", start, 3) == [
        "10-03 15:35",
        "10-03 15:45",
        "10-04 15:15",
    ]


@pytest.mark.parametrize("zone", _ZONES)
def test_a_daily_time_happens_once_on_every_day_of_ten_years(zone: str) -> None:
    """SC-02: none lost, none doubled, wherever clocks change."""
    first = round(datetime(2020, 1, 1, 12, tzinfo=UTC).timestamp() * 1000)
    for cron in ("30 2 * * *", "0 0 * * *", "15 1 * * *"):
        moments = occurrences(cron, zone).upcoming(first, 3_650)
        days = [datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)).date() for moment in moments]
        assert all(later - day == _DAY for day, later in pairwise(days)), (cron, zone)


# ---- looking back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cron", ["* * * * *", "0 5 * * *", "*/7 3 1 * *", "0 0 29 2 *", "30 2 * * 1,5L"])
@pytest.mark.parametrize("count", [1, 3, 100])
def test_the_newest_moments_are_the_last_of_all(cron: str, count: int) -> None:
    """SC-04: what catching up needs, found without going through all that was missed."""
    until = 1_790_000_000_000
    spans = {"* * * * *": 3 * 3_600_000, "0 0 29 2 *": 20 * 365 * 86_400_000}
    after = until - spans.get(cron, 400 * 86_400_000)
    times = occurrences(cron, "America/New_York")
    everything = list(takewhile(lambda at: at <= until, _all_after(cron, "America/New_York", after)))
    assert times.newest(after, until, count) == everything[-count:]
    assert times.newest(until, until, count) == []
    edge = everything[-1]
    assert times.newest(after, edge, 1) == [edge]
    assert times.newest(edge, until, count) == []


def test_the_newest_moment_after_years_is_found_at_once() -> None:
    """SC-04."""
    began = time.perf_counter()
    found = occurrences("* * * * *", "UTC").newest(0, 1_790_000_000_000, 100)
    assert len(found) == 100 and found[-1] == 1_789_999_980_000
    assert time.perf_counter() - began < 0.5


def _all_after(cron: str, zone: str, after: int) -> Iterator[int]:
    moment = occurrences(cron, zone).next(after)
    while moment is not None:
        yield moment
        moment = occurrences(cron, zone).next(moment)


# ---- random expressions ---------------------------------------------------------------------------------


def test_random_expressions_agree_with_an_independent_library() -> None:
    """SC-01, SC-02: 10,000 expressions, zones and times to start from; the failing case is shown."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for number in range(_EXPRESSIONS):
        cron, zone = _expression(chance), chance.choice(_ZONES)
        start = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(25 * 365 * 86_400))
        if number % 2:
            start = _near_a_change(chance, zone, start)
        after = round(start.timestamp() * 1000)
        found = occurrences(cron, zone).upcoming(after, 3)
        expected = _expected(cron, zone, start, 3)
        assert found == expected, f"seed {seed}, case {number}: {cron!r} in {zone} after {start.isoformat()}"


def _expression(chance: random.Random) -> str:
    days = "*" if chance.random() < 0.5 else _field(chance, 1, 31, last="L")
    weekdays = "*" if chance.random() < 0.5 else _field(chance, 0, 7, last="5L")
    # Debian's cron, which cronsim follows, looks at the star alone: a field restricts when it has none.
    days = "*" if CronSim(f"0 0 {days} * *", _ANY).days >= set(range(1, 32)) else days.replace("*", "1-31")
    weekdays = "*" if _is_whole_week(weekdays) else weekdays.replace("*", "0-7")
    hours = "*" if chance.random() < 0.3 else _field(chance, 0, 23)
    months = "*" if chance.random() < 0.6 else _field(chance, 1, 12)
    cron = f"{_field(chance, 0, 59)} {hours} {days} {months} {weekdays}"
    return cron if _happens(cron) else _expression(chance)


def _is_whole_week(weekdays: str) -> bool:
    return {
        item % 7 for item in CronSim(f"0 0 * * {weekdays}", _ANY).weekdays if isinstance(item, int)
    } == set(range(7))


def _happens(cron: str) -> bool:
    try:
        occurrences(cron, "UTC")
    except Unprocessable:
        return False
    return True


def _field(chance: random.Random, low: int, high: int, last: str | None = None) -> str:
    parts = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        first = chance.randint(low, high - 1)
        span = f"{first}-{chance.randint(first + 1, high)}"
        choices = [
            str(first),
            str(first),
            span,
            f"{span}/{chance.randint(1, 9)}",
            f"*/{chance.randint(1, 9)}",
        ]
        parts.append(chance.choice([*choices, last] if last else choices))
    return ",".join(parts)


def _near_a_change(chance: random.Random, zone: str, start: datetime) -> datetime:
    """Move a time to within two hours of the next change of the zone's clocks, if there is one soon."""
    place = ZoneInfo(zone)
    low, high = start, start + timedelta(days=400)
    while high - low > _DAY:
        low += _DAY
        if (low + _DAY).astimezone(place).utcoffset() != low.astimezone(place).utcoffset():
            high = low + _DAY
            break
    else:
        return start
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) / 2
        if middle.astimezone(place).utcoffset() == low.astimezone(place).utcoffset():
            low = middle
        else:
            high = middle
    return high + timedelta(seconds=chance.randint(-7_200, 7_200))


def _expected(cron: str, zone: str, start: datetime, count: int) -> list[int]:
    """What the rules say: cronsim's wall-clock times from three hours back, each at its moments, in order."""
    place = ZoneInfo(zone)
    is_every_hour = occurrences(cron, "UTC").cron.is_every_hour
    slack = timedelta(hours=3)
    walls = CronSim(cron, start.astimezone(place).replace(tzinfo=None) - slack)
    moments: set[datetime] = set()
    for wall in walls:
        later = sorted(moment for moment in moments if moment > start)
        if len(later) >= count and wall > later[count - 1].astimezone(place).replace(tzinfo=None) + slack:
            break
        first, second = (wall.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1))
        moments |= {first, max(first, second)} if is_every_hour else {first}
    return [round(moment.timestamp() * 1000) for moment in sorted(m for m in moments if m > start)[:count]]
