"""Which runs the body of a bulk action means (management-api 9.2)."""

import time
from typing import Final

from trigger_lite.engine.requests import without_nulls
from trigger_lite.protocol.bulk_actions import MAX_RUN_IDS, BulkFilter, CreateBulkAction, QueueRef
from trigger_lite.protocol.durations import parse_duration_ms
from trigger_lite.protocol.errors import BadRequest
from trigger_lite.protocol.times import LAST_DATE_MS, parse_iso_ms
from trigger_lite.store.run_lists import RunFilter
from trigger_lite.web.api.filters import DEFAULT_PERIOD_MS, known_machines, known_statuses

_TEXTS: Final = ("status", "task_identifier", "version", "tag", "machine")
"""Not the region: there is one, so it narrows nothing."""
_NAMES: Final = ("period", "bulk_action", "schedule", "batch")


def parse_selection(environment_id: str, body: CreateBulkAction) -> RunFilter | tuple[str, ...]:
    """Return the filter of a body, or the ids it names. Raises BadRequest unless it is one of the two."""
    if (body.filter is None) == (body.run_ids is None):
        raise BadRequest("Exactly one of filter or runIds must be provided")
    if body.filter is not None:
        return _run_filter(environment_id, body.filter)
    run_ids = tuple(sorted({without_nulls(run_id) for run_id in body.run_ids or ()}))
    if not run_ids:
        raise BadRequest("runIds must name at least one run")
    if len(run_ids) > MAX_RUN_IDS:
        raise BadRequest(
            f"Too many runIds ({len(run_ids)}). Maximum is {MAX_RUN_IDS}. Use a filter to select more runs."
        )
    return run_ids


def _run_filter(environment_id: str, body: BulkFilter) -> RunFilter:
    if not _says_something(body):
        raise BadRequest("At least one filter must be provided")
    since, until = _span(body)
    return RunFilter(
        environment_id=environment_id,
        statuses=known_statuses("filter.status", _listed(body.status)),
        task_ids=_listed(body.task_identifier),
        tags=_listed(body.tag),
        versions=_listed(body.version),
        queues=tuple(_queue_name(queue) for queue in _many(body.queue)),
        machines=known_machines("filter.machine", _listed(body.machine)),
        created_from=since,
        created_to=until,
        batch_id=_named(body.batch),
        schedule_id=_named(body.schedule),
        bulk_id=_named(body.bulk_action),
        is_test=body.is_test,
    )


def _says_something(body: BulkFilter) -> bool:
    """Tell whether anything narrows; texts of blanks do not."""
    texts = any(_listed(getattr(body, name)) for name in _TEXTS)
    names = any((getattr(body, name) or "").strip() for name in _NAMES)
    return texts or names or bool(_many(body.queue)) or body.is_test is not None or _has_time(body)


def _has_time(body: BulkFilter) -> bool:
    return body.since is not None or body.until is not None


def _listed(value: str | list[str] | None) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value or []
    return tuple(without_nulls(text) for text in given if text.strip())


def _named(value: str | None) -> str | None:
    """Return an id that can be looked for; one of null bytes alone is that of nothing, not of everything."""
    return without_nulls(value) if value else None


def _many(value: QueueRef | str | list[QueueRef | str] | None) -> list[QueueRef | str]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _queue_name(queue: QueueRef | str) -> str:
    if isinstance(queue, str):
        return without_nulls(queue)
    return without_nulls(f"task/{queue.name}" if queue.type == "task" else queue.name)


def _span(body: BulkFilter) -> tuple[int | None, int | None]:
    """Return the times of creation meant, Unix ms; without any the last seven days, as lists have it."""
    now = time.time_ns() // 1_000_000
    if body.period:
        length = parse_duration_ms(body.period)
        if length is None:
            raise BadRequest(f'filter.period is {body.period!r}; write for example "1d"')
        return max(0, now - length), None
    if not _has_time(body):
        return now - DEFAULT_PERIOD_MS, None
    return _moment("from", body.since), _moment("to", body.until)


def _moment(name: str, value: str | int | None) -> int | None:
    moment = parse_iso_ms(value) if isinstance(value, str) else value
    if value is not None and (moment is None or not 0 <= moment <= LAST_DATE_MS):
        raise BadRequest(f"filter.{name} is {value!r}, which is neither Unix ms nor a date")
    return moment
