"""Time zones by their IANA names; the machine's own data, or else that of the package `tzdata`."""

import difflib
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from trigger_lite.protocol.errors import Unprocessable

# Files that lie among the zones and are none.
_NO_ZONES: Final = frozenset({"localtime", "posixrules", "Factory"})


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """Return every known zone, sorted. Reads a folder the first time."""
    return tuple(sorted(available_timezones() - _NO_ZONES))


@lru_cache(maxsize=1_024)
def find_zone(name: str) -> ZoneInfo:
    """Return a zone. Raises Unprocessable for a name that is none, with the nearest (SC-02)."""
    try:
        if name in _NO_ZONES:
            raise ValueError
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        by_case = {known.lower(): known for known in zone_names()}
        near = difflib.get_close_matches(name[:64].lower(), by_case, n=1, cutoff=0.7)
        hint = f"did you mean {by_case[near[0]]!r}?" if near else "write for example 'Europe/Berlin'"
        raise Unprocessable(f"{name[:64]!r} is no IANA time zone; {hint}") from None
