"""The query of the runs list: `filter[…]` and `page[…]` (management-api 1.4, 9.2)."""

import time
from collections.abc import Iterable
from typing import Final

import msgspec
from starlette.datastructures import QueryParams

from trigger_lite.protocol.durations import parse_duration_ms
from trigger_lite.protocol.errors import BadRequest
from trigger_lite.protocol.machines import PRESETS
from trigger_lite.protocol.statuses import ApiStatus, RunStatus, stored_status
from trigger_lite.protocol.times import LAST_DATE_MS, parse_iso_ms
from trigger_lite.store.run_lists import RunFilter
from trigger_lite.web.numbers import whole_number

DEFAULT_SIZE: Final = 25
MAX_SIZE: Final = 100
DEFAULT_PERIOD_MS: Final = 7 * 86_400_000


class ListQuery(msgspec.Struct, frozen=True):
    """A list that was asked for: which runs, how many, from where."""

    wanted: RunFilter
    size: int
    after: str | None
    before: str | None


def parse_list(environment_id: str, query: QueryParams) -> ListQuery:
    """Read the query of the list. Raises BadRequest naming the parameter that is wrong."""
    created_from, created_to = created_span(query)
    return ListQuery(
        RunFilter(
            environment_id=environment_id,
            statuses=known_statuses("filter[status]", listed(query, "status")),
            task_ids=listed(query, "taskIdentifier"),
            tags=listed(query, "tag"),
            versions=listed(query, "version"),
            queues=listed(query, "queue"),
            machines=known_machines("filter[machine]", listed(query, "machine")),
            created_from=created_from,
            created_to=created_to,
            batch_id=query.get("filter[batch]") or None,
            schedule_id=query.get("filter[schedule]") or None,
            bulk_id=query.get("filter[bulkAction]") or None,
            is_test=_flag(query, "isTest"),
        ),
        size=page_size(query),
        after=query.get("page[after]") or None,
        before=query.get("page[before]") or None,
    )


def listed(query: QueryParams, name: str) -> tuple[str, ...]:
    return tuple(part for part in query.get(f"filter[{name}]", "").split(",") if part)


def known_statuses(name: str, words: Iterable[str]) -> tuple[RunStatus, ...]:
    """Return the stored statuses of API words. Raises BadRequest naming the one that is none."""
    statuses = []
    for word in words:
        status = stored_status(word)
        if status is None:
            known = ", ".join(sorted(ApiStatus.__members__))
            raise BadRequest(f"{name} has {word!r}, which is no status; statuses are {known}")
        statuses.append(status)
    return tuple(statuses)


def known_machines(name: str, machines: tuple[str, ...]) -> tuple[str, ...]:
    """Return the machines. Raises BadRequest naming the one that is none."""
    for machine in machines:
        if machine not in PRESETS:
            raise BadRequest(f"{name} has {machine!r}; machines are {', '.join(PRESETS)}")
    return machines


def _flag(query: QueryParams, name: str) -> bool | None:
    text = query.get(f"filter[{name}]")
    if text is None:
        return None
    if text not in ("true", "false"):
        raise BadRequest(f"filter[{name}] is {text!r}, but must be true or false")
    return text == "true"


def page_size(query: QueryParams) -> int:
    text = query.get("page[size]", str(DEFAULT_SIZE))
    size = whole_number(text)
    if size is None or not 1 <= size <= MAX_SIZE:
        raise BadRequest(f"page[size] is {text!r}, but must be 1 to {MAX_SIZE}")
    return size


def created_span(
    query: QueryParams, *, unless_said: int | None = DEFAULT_PERIOD_MS
) -> tuple[int | None, int | None]:
    """Return the span of creation times in Unix ms; without any filter, the last `unless_said` ms."""
    now = time.time_ns() // 1_000_000
    period = query.get("filter[createdAt][period]")
    if period:
        length = parse_duration_ms(period)
        if length is None:
            raise BadRequest(f'filter[createdAt][period] is {period!r}; write for example "1d"')
        return max(0, now - length), None
    since, until = _moment(query, "from"), _moment(query, "to")
    if since is None and until is None:
        return None if unless_said is None else now - unless_said, None
    return since, until


def _moment(query: QueryParams, edge: str) -> int | None:
    text = query.get(f"filter[createdAt][{edge}]")
    if not text:
        return None
    moment = whole_number(text)
    if moment is None:
        moment = parse_iso_ms(text)
    if moment is None or not 0 <= moment <= LAST_DATE_MS:
        raise BadRequest(f"filter[createdAt][{edge}] is {text!r}, which is neither Unix ms nor a date")
    return moment
