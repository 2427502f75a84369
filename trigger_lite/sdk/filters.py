"""Filters of lists: what Python code says, and its form in a query."""

from collections.abc import Mapping
from typing import Any

from trigger_lite.protocol.durations import duration_seconds, format_duration
from trigger_lite.sdk.errors import DefinitionError
from trigger_lite.sdk.options import check_options


def filter_query(
    subject: str, filters: Mapping[str, Any], known: type[Any], names: Mapping[str, str]
) -> dict[str, str]:
    """Return the query of the `filters`, each under its name on the wire; `known` is their TypedDict.

    Raises UnknownOption or DefinitionError naming the filter that is wrong.
    """
    check_options(subject, filters, known)
    return {names[name]: _text(subject, name, value) for name, value in filters.items()}


def _text(subject: str, name: str, value: Any) -> str:
    if name in ("since", "until"):
        if value.utcoffset() is None:
            raise DefinitionError(f"{subject}: {name}: {value!r} has no time zone; use datetime.now(UTC)")
        return str(round(value.timestamp() * 1000))
    if name == "period":
        return format_duration(round(duration_seconds(value)))
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ",".join(value)
