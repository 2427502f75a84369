"""Rates: how many runs of a queue may start in a time."""

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from trigger_lite.protocol.durations import parse_duration_ms

MAX_COUNT: Final = 1_000_000
LONGEST_FILL_MS: Final = 366 * 86_400_000
_RATE: Final = re.compile(r"(\d{1,7})\s*/\s*(\d{0,9})([a-z].*)")


class RateConfig(msgspec.Struct, frozen=True, rename="camel"):
    """`count` starts per `period_ms` milliseconds, evenly spread; at most `burst` of them at once."""

    count: Annotated[int, Meta(ge=1, le=MAX_COUNT)]
    period_ms: Annotated[int, Meta(ge=1, le=LONGEST_FILL_MS)]
    burst: Annotated[int, Meta(ge=1, le=MAX_COUNT)] = 1

    def problem(self) -> str | None:
        """Say in words what is wrong with the numbers, or None."""
        if not 1 <= self.count <= MAX_COUNT:
            return f"the number of starts must be 1 to {MAX_COUNT:,}"
        if not 1 <= self.burst <= MAX_COUNT:
            return f"the burst must be 1 to {MAX_COUNT:,}"
        if not 1 <= self.period_ms <= LONGEST_FILL_MS or self.burst * self.period_ms > (
            self.count * LONGEST_FILL_MS
        ):
            return "the time must be at least a millisecond, and a burst's starts must fit into a year"
        return None

    def text(self) -> str:
        """Return the rate as people write it: `10/s`, `1000/h`, `5/30s`."""
        for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
            periods, rest = divmod(self.period_ms, size)
            if periods and not rest:
                return f"{self.count}/{'' if periods == 1 else periods}{unit}"
        return f"{self.count}/{self.period_ms}ms"


def default_burst(count: int, period_ms: int) -> int:
    """Return how many runs start at once when nobody says: as many as fit into 100 ms, at least one.

    A start that comes a little late would otherwise delay all that follow.
    """
    return max(1, min(MAX_COUNT, count * 100 // period_ms))


def parse_rate(text: str) -> RateConfig | None:
    """Return the rate that `10/s`, `100/m`, `1000/h`, `5/30s` or `20/1h30m` says, or None."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        return None
    count, period_ms = int(match[1]), parse_duration_ms(f"{match[2] or 1}{match[3]}")
    if not count or not period_ms:
        return None
    rate = RateConfig(count, period_ms, default_burst(count, period_ms))
    return None if rate.problem() else rate
