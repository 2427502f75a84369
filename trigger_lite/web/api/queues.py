"""Queues: list, retrieve, pause, resume, override and reset their limits (management-api 9.4)."""

import time
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trigger_lite.engine.queue_limits import (
    Override,
    QueueRef,
    QueueState,
    find_queue,
    list_states,
    override_limit,
    reset_limit,
    state_of,
)
from trigger_lite.engine.queues import set_paused
from trigger_lite.engine.rates import key_rate_of, rate_of
from trigger_lite.protocol.durations import parse_duration_ms
from trigger_lite.protocol.errors import BadRequest
from trigger_lite.protocol.queues import (
    OverrideQueue,
    PauseQueue,
    QueueConcurrency,
    QueueItem,
    QueueKind,
    QueuePage,
    ResetQueue,
)
from trigger_lite.protocol.times import LAST_DATE_MS, iso, parse_iso_ms
from trigger_lite.store.queue_lists import count_queues
from trigger_lite.store.queues import QueueRow
from trigger_lite.store.transaction import Reader, Tx
from trigger_lite.web.api.numbered_pages import page_wanted
from trigger_lite.web.auth import environment_of
from trigger_lite.web.codec import read_message, reply
from trigger_lite.web.services import services_of

DEFAULT_SIZE: Final = 25
MAX_BODY: Final = 10_240
_KINDS: Final = ("id", "task", "custom")
_pause_decoder: Final = msgspec.json.Decoder(PauseQueue)
_override_decoder: Final = msgspec.json.Decoder(OverrideQueue)
_reset_decoder: Final = msgspec.json.Decoder(ResetQueue)


async def list_queues(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    page = page_wanted(request.query_params, size=DEFAULT_SIZE)

    def read(tx: Reader) -> tuple[list[QueueState], int]:
        states = list_states(tx, environment.id, count=page.size, skip=page.skip)
        return states, count_queues(tx, environment.id)

    states, count = await services.store.read(read)
    return reply(QueuePage([queue_item(state) for state in states], page.among(count)))


async def retrieve(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    kind = request.query_params.get("type", "id")
    if kind not in _KINDS:
        raise BadRequest(f"type is {kind!r}, but must be {', '.join(_KINDS[:-1])} or {_KINDS[-1]}")
    state = await services.store.read(_look, environment.id, _ref(request, kind))
    return reply(queue_item(state))


async def pause(request: Request) -> Response:
    """Start nothing from a queue any more, or go on (Q-33)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _pause_decoder, limit=MAX_BODY)
    state = await services.store.write(
        _changed, _pause, environment.id, _ref(request, body.type), body.action == "pause"
    )
    return reply(queue_item(state))


async def override(request: Request) -> Response:
    """Let a limit win over the code's (Q-35)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _override_decoder, limit=MAX_BODY)
    wanted = Override(
        limit=body.concurrency_limit, percent=body.percent, by="api", ends_at=_ends_at(body.until)
    )
    state = await services.store.write(
        _changed, override_limit, environment.id, _ref(request, body.type), wanted
    )
    return reply(queue_item(state))


async def reset(request: Request) -> Response:
    """Go back to the code's limit (Q-36)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _reset_decoder, limit=MAX_BODY)
    state = await services.store.write(_changed, reset_limit, environment.id, _ref(request, body.type))
    return reply(queue_item(state))


def _ends_at(until: str | None) -> int | None:
    """Return when an override ends (Unix ms), for a time or a duration from now."""
    if until is None:
        return None
    duration = parse_duration_ms(until)
    ends_at = parse_iso_ms(until) if duration is None else time.time_ns() // 1_000_000 + duration
    if ends_at is None or ends_at > LAST_DATE_MS:
        raise BadRequest(f'until {until!r} is neither a duration such as "1h30m" nor an ISO-8601 date')
    return ends_at


def _pause(tx: Tx, environment_id: str, ref: QueueRef, paused: bool) -> QueueRow:
    queue = find_queue(tx, environment_id, ref)
    set_paused(tx, environment_id, queue.name, paused=paused)
    return queue


def _changed(tx: Tx, change: Callable[..., QueueRow], *args: Any) -> QueueState:
    """Change a queue, and look at it."""
    return state_of(tx, change(tx, *args))


def _look(tx: Reader, environment_id: str, ref: QueueRef) -> QueueState:
    return state_of(tx, find_queue(tx, environment_id, ref))


def _ref(request: Request, kind: str) -> QueueRef:
    """Return the queue that is meant; clients encode the slashes of its name twice."""
    return QueueRef(kind, request.path_params["queue"].replace("%2F", "/").replace("%2f", "/"))


def queue_item(state: QueueState) -> QueueItem:
    """Return a queue as it is shown (Q-25, Q-39)."""
    queue = state.load.queue
    rate, key_rate = rate_of(queue.code), key_rate_of(queue.code)
    is_overridden = queue.overridden_at is not None
    return QueueItem(
        id=queue.id,
        name=queue.name.removeprefix("task/") if queue.kind == "task" else queue.name,
        type=cast(QueueKind, queue.kind),
        running=state.load.running,
        queued=state.load.waiting,
        paused=bool(queue.paused),
        concurrency_limit=state.bounded(queue.limit),
        concurrency=QueueConcurrency(
            current=state.bounded(queue.limit),
            base=state.bounded(queue.code.concurrency_limit),
            override=queue.limit_override if is_overridden else None,
            overridden_at=None if queue.overridden_at is None else iso(queue.overridden_at),
            overridden_by=queue.overridden_by,
        ),
        rate=None if rate is None else rate.text(),
        key_rate=None if key_rate is None else key_rate.text(),
        max_length=queue.code.max_length,
        override_ends_at=None if queue.override_ends_at is None else iso(queue.override_ends_at),
    )


_ONE: Final = "/api/v1/queues/{queue:path}"
ROUTES: Final[list[Any]] = [
    Route("/api/v1/queues", list_queues),
    Route(_ONE + "/pause", pause, methods=["POST"]),
    Route(_ONE + "/concurrency/override", override, methods=["POST"]),
    Route(_ONE + "/concurrency/reset", reset, methods=["POST"]),
    Route(_ONE, retrieve),
]
