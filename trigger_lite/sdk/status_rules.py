"""What the answer of some HTTP service says about trying again: its status, and when its headers allow it.

An answer may come of any client: a response with `status_code` or `status` and `headers`, or an error that is
one (urllib's) or holds one as `response` (that of requests and httpx).
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from trigger_lite.sdk.errors import DefinitionError
from trigger_lite.sdk.retry import Retry

Rule = Retry | Literal["headers"]
ByStatus = Mapping[int | str, Rule]

SEVERAL: Final = Retry(5, min="1s", max="30s")
BY_STATUS: Final[ByStatus] = {408: SEVERAL, 429: "headers", "5xx": SEVERAL}
"""What is tried again unless told otherwise."""

_RANGE: Final = re.compile(r"(\d{3})-(\d{3})")
_CLASS: Final = re.compile(r"([1-5])xx")
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SPANS: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_EPOCH_SECONDS: Final = 1_000_000_000
_EPOCH_MS: Final = 1_000_000_000_000
_RESET_HEADERS: Final = ("x-ratelimit-reset", "ratelimit-reset", "x-ratelimit-reset-requests")


def check_rules(by_status: ByStatus) -> None:
    """Raise DefinitionError for a status that is none, or a rule that is neither a Retry nor "headers"."""
    for status, rule in by_status.items():
        if not (isinstance(status, int) or _statuses(status)):
            raise DefinitionError(f'by_status: {status!r} is no status; write 429, "5xx" or "500-504"')
        if not (isinstance(rule, Retry) or rule == "headers"):
            raise DefinitionError(f'by_status: {status!r}: give Retry(…) or "headers", not {rule!r}')


def rule_for(status: int, by_status: ByStatus) -> Rule | None:
    """Return the rule of a status: its own, else that of the first class or range it is in; None for none."""
    if status in by_status:
        return by_status[status]
    named = (key for key in by_status if isinstance(key, str))
    return next((by_status[key] for key in named if status in _statuses(key)), None)


def _statuses(text: str) -> range:
    whole, part = _CLASS.fullmatch(text), _RANGE.fullmatch(text)
    if whole:
        return range(int(whole[1]) * 100, int(whole[1]) * 100 + 100)
    return range(int(part[1]), int(part[2]) + 1) if part else range(0)


def answer_of(outcome: Any) -> tuple[int, Mapping[str, str]] | None:
    """Return status and headers, names in lower case, of a response or an error; None when it has none."""
    for thing in (outcome, getattr(outcome, "response", None)):
        for name in ("status_code", "status"):
            status = getattr(thing, name, None)
            if isinstance(status, int) and 100 <= status < 600:
                headers = getattr(thing, "headers", None) or {}
                return int(status), {str(key).lower(): str(value) for key, value in headers.items()}
    return None


def allowed_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return in how many seconds the service accepts more, if its headers say; `now` in Unix seconds."""
    if "retry-after-ms" in headers:
        return _number(headers["retry-after-ms"], 1000)
    if "retry-after" in headers:
        return _from_now(headers["retry-after"], now)
    given = next((headers[name] for name in _RESET_HEADERS if name in headers), None)
    return None if given is None else _from_now(given, now)


def _number(text: str, divisor: float) -> float | None:
    try:
        return max(0.0, float(text) / divisor)
    except ValueError:
        return None


def _from_now(text: str, now: float) -> float | None:
    """Read seconds, a Unix time in seconds or milliseconds, a date, or spans like "1m30.5s"."""
    number = _number(text, 1)
    if number is not None:
        if number >= _EPOCH_MS:
            number = number / 1000 - now
        elif number >= _EPOCH_SECONDS:
            number -= now
        return max(0.0, number)
    date = _date(text)
    if date is not None:
        return max(0.0, date.timestamp() - now)
    if _SPANS.fullmatch(text):
        return sum(float(count) * _UNITS[unit] for count, unit in _SPAN.findall(text))
    return None


def _date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(text)
        except ValueError:
            continue
        return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return None
