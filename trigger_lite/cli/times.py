"""Times and durations as people read them."""

import time
from typing import Final

from trigger_lite.protocol.times import parse_iso_ms

_UNITS: Final = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s"))


def spoken_seconds(seconds: float) -> str:
    """Return `35ms`, `4.2s`, `2m03s`, `5h12m` or `3d04h`."""
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for size, unit, part, part_unit in _UNITS:
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02d}{part_unit}"
    return f"{whole}s"


def age(iso: str, now: float) -> str:
    """Return how long ago a time was, in one unit: `12s ago`, `3h ago`; `now` in Unix seconds."""
    at = parse_iso_ms(iso)
    if at is None:
        return iso
    seconds = max(0, round(now - at / 1000))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"


def ahead(iso: str, now: float) -> str:
    """Return how long it is until a time, in one unit: `in 12s`, `in 3h`; `now` in Unix seconds."""
    at = parse_iso_ms(iso)
    if at is None:
        return iso
    seconds = round(at / 1000 - now)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"in {seconds // size}{unit}"
    return f"in {seconds}s" if seconds > 0 else "now"


def local_time(iso: str) -> str:
    """Return a time in this machine's zone, to the second."""
    at = parse_iso_ms(iso)
    return iso if at is None else time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(at / 1000))


def clock(ms: int) -> str:
    """Return the time of day of Unix milliseconds in this machine's zone, to the millisecond."""
    return f"{time.strftime('%H:%M:%S', time.localtime(ms / 1000))}.{ms % 1000:03d}"


def seconds_between(start: str | None, end: str | None, now: float) -> float | None:
    """Return the seconds from a time to a later one, or to `now` (Unix seconds); None without a start."""
    first = parse_iso_ms(start) if start else None
    if first is None:
        return None
    last = parse_iso_ms(end) if end else None
    return max(0.0, (now * 1000 if last is None else last) / 1000 - first / 1000)
