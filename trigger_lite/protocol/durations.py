"""Durations: Trigger.dev's natural grammar on the wire, and what Python code may write for one."""

import re
from datetime import timedelta
from typing import Final

_MS: Final = {"w": 604_800_000, "d": 86_400_000, "hr": 3_600_000, "h": 3_600_000, "m": 60_000, "s": 1_000}
_PART: Final = re.compile(r"(\d+)(w|d|hr|h|m|s)")
_WHOLE: Final = re.compile(r"(?:\d+(?:w|d|hr|h|m|s))+")
_KEY_TTL: Final = re.compile(r"(\d+)([smhd])")
_MAX_LENGTH: Final = 100

Duration = str | int | float | timedelta


def parse_duration_ms(text: str) -> int | None:
    """Return milliseconds for `1h30m` and the like, or None when `text` is not a duration.

    Whole numbers with w, d, h/hr, m, s in any order, at most 100 characters; a repeated unit is read
    at its first occurrence (management-api 5, TR-09).
    """
    if len(text) > _MAX_LENGTH or not _WHOLE.fullmatch(text):
        return None
    seen: dict[str, int] = {}
    for number, unit in _PART.findall(text):
        seen.setdefault("h" if unit == "hr" else unit, int(number))
    return sum(number * _MS[unit] for unit, number in seen.items())


def parse_key_ttl_ms(text: str) -> int | None:
    """Return milliseconds for an idempotency key's life (`30s`, `2h`), or None (ID-02)."""
    match = _KEY_TTL.fullmatch(text)
    return int(match[1]) * _MS[match[2]] if match else None


def format_duration(seconds: int) -> str:
    """Return the natural form of whole seconds: 3661 becomes `1h1m1s`, zero `0s`."""
    parts = []
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def duration_seconds(value: Duration) -> float:
    """Return seconds for what Python code may write: `"90s"`, `"1h30m"`, a number of seconds, a timedelta.

    Raises ValueError with a sentence naming the value when it is none of those or is negative.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str):
        milliseconds = parse_duration_ms(value)
        if milliseconds is None:
            raise ValueError(f'{value!r} is not a duration; write for example "90s", "1h30m" or 90')
        seconds = milliseconds / 1000
    else:
        seconds = float(value)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{value!r} is not a duration: it must be zero or more seconds")
    return seconds
