"""Text as people read it: durations, times, ids, and what may hide in text that others wrote."""

import re
from datetime import UTC, datetime
from typing import Final

from trigger_lite.protocol.times import iso

CUT: Final = 2_000
"""Characters of a message, a value or a line shown on a page; the raw download has the rest."""

# Control characters, and the marks that reorder or hide text: none may act on the page.
_HIDDEN: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


def shown(text: str, limit: int = CUT) -> str:
    """Return text with control characters and direction marks made visible, cut to `limit` characters."""
    cut = text[:limit]
    visible = _HIDDEN.sub(lambda match: f"‹U+{ord(match[0]):04X}›", cut)
    return f"{visible}… ({len(text) - limit:,} more characters)" if len(text) > limit else visible


def escaped_json(text: str) -> str:
    """Return JSON text that says the same with control characters and direction marks as escapes."""
    return _HIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str, limit: int = 160) -> str:
    """Return the first line that says something, short enough for a table."""
    first = next((line.strip() for line in text[: limit * 20].splitlines() if line.strip()), "")
    return shown(first[:limit]) + ("…" if len(first) > limit else "")


def duration(ms: int | None) -> str:
    """Return `40 ms`, `1.2 s`, `31 s`, `2 m 05 s`, `1 h 12 m` or `3 d 4 h`; a dash for None."""
    if ms is None:
        return "–"
    ms = max(0, ms)
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 10_000:
        return f"{ms / 1000:.1f} s"
    seconds = ms // 1_000
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3_600:
        return f"{seconds // 60} m {seconds % 60:02d} s"
    if seconds < 86_400:
        return f"{seconds // 3_600} h {seconds % 3_600 // 60:02d} m"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3_600} h"


def ago(at: int, now: int) -> str:
    """Return how long ago, in one unit: `now`, `12 s ago`, `5 m ago`, `3 h ago`, `2 d ago`."""
    seconds = max(0, now - at) // 1_000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago" if seconds >= 5 else "just now"


def absolute(at: int) -> str:
    """Return `2026-11-22 21:09:17.701 UTC`."""
    return iso(at).replace("T", " ").replace("Z", " UTC")


def clock(at: int) -> str:
    """Return `21:09:17.701`, the time of day in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]


def day(at: int) -> str:
    """Return `2026-11-22`, the day in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d")


def short_id(run_id: str) -> str:
    """Return `run_06fd…c9ot`: the end tells runs of one moment apart."""
    return run_id if len(run_id) <= 16 else f"{run_id[:8]}…{run_id[-4:]}"


def bytes_of(text: str) -> str:
    """Return the size of a text: `812 B`, `4.1 KB`, `2.3 MB`."""
    size = len(text.encode(errors="surrogatepass"))
    if size < 1_024:
        return f"{size} B"
    return f"{size / 1_024:.1f} KB" if size < 1_048_576 else f"{size / 1_048_576:.1f} MB"
