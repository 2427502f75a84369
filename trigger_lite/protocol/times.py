"""Times: Unix milliseconds inside, ISO-8601 UTC on the wire."""

from datetime import UTC, datetime
from typing import Final

LAST_DATE_MS: Final = 253_402_300_799_999
"""The end of the year 9999: what can still be written as a date."""


def iso(ms: int) -> str:
    """Return `2026-11-22T21:09:17.701Z` for Unix milliseconds."""
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def parse_iso_ms(text: str) -> int | None:
    """Return Unix milliseconds for an ISO-8601 date or time (without a zone: UTC), or None."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
