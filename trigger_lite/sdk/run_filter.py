"""What runs are searched by, in lists and for bulk actions."""

from datetime import datetime
from typing import Any, Final, TypedDict

from trigger_lite.protocol.bulk_actions import BulkFilter
from trigger_lite.protocol.durations import Duration
from trigger_lite.sdk.filters import filter_query


class RunFilter(TypedDict, total=False):
    """What `runs.list` searches by; a list means any of its members.

    >>> failed = runs.list(status="FAILED", task="resize", period="1d")
    """

    status: "str | list[str]"
    """Such as "QUEUED", "EXECUTING", "COMPLETED", "FAILED", "CANCELED"."""
    task: "str | list[str]"
    """Task ids."""
    tag: "str | list[str]"
    """Any of these tags."""
    version: "str | list[str]"
    """Deployed versions."""
    queue: "str | list[str]"
    """Names of queues; a task's own queue is "task/<id>"."""
    machine: "str | list[str]"
    """Machine presets such as "small-1x"."""
    batch: str
    """The id of a batch."""
    schedule: str
    """The id of a schedule."""
    bulk_action: str
    """The id of a bulk action: runs that it was for, and those that it made."""
    since: datetime
    """Created at this time or later."""
    until: datetime
    """Created at this time or earlier."""
    period: Duration
    """Created within this time from now; without any time, the server looks back 7 days."""
    test: bool
    """Only test runs, or only others."""


# Each filter's name in the query of a list, and in the body of a bulk action.
_NAMES: Final = {
    "status": ("filter[status]", "status"),
    "task": ("filter[taskIdentifier]", "task_identifier"),
    "tag": ("filter[tag]", "tag"),
    "version": ("filter[version]", "version"),
    "queue": ("filter[queue]", "queue"),
    "machine": ("filter[machine]", "machine"),
    "batch": ("filter[batch]", "batch"),
    "schedule": ("filter[schedule]", "schedule"),
    "bulk_action": ("filter[bulkAction]", "bulk_action"),
    "since": ("filter[createdAt][from]", "since"),
    "until": ("filter[createdAt][to]", "until"),
    "period": ("filter[createdAt][period]", "period"),
    "test": ("filter[isTest]", "is_test"),
}
_QUERY: Final = {name: names[0] for name, names in _NAMES.items()}
_BODY: Final = {name: names[1] for name, names in _NAMES.items()}
_LISTS: Final = ("status", "task", "tag", "version", "queue", "machine")


def run_query(subject: str, filters: RunFilter) -> dict[str, str]:
    """Return the query of a list; raises UnknownOption or DefinitionError naming the filter that is wrong."""
    return filter_query(subject, filters, RunFilter, _QUERY)


def bulk_filter(subject: str, filters: RunFilter) -> BulkFilter:
    """Return the filter of a bulk action; raises like `run_query`."""
    texts = filter_query(subject, filters, RunFilter, _BODY)
    return BulkFilter(**{_BODY[name]: _value(name, value, texts) for name, value in filters.items()})


def _value(name: str, value: Any, texts: dict[str, str]) -> Any:
    """Return what stands in a body, where lists, numbers and flags are themselves."""
    if name in _LISTS:
        return [value] if isinstance(value, str) else list(value)
    if name in ("since", "until"):
        return int(texts[name])
    return value if name == "test" else texts[_BODY[name]]
