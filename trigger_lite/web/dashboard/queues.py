"""Queues: the list, one queue, and what one can do to them and to their environment."""

import time
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

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
from trigger_lite.engine.queues import set_environment_limit, set_environment_paused, set_paused
from trigger_lite.protocol.durations import parse_duration_ms
from trigger_lite.protocol.environments import MOST_BURST
from trigger_lite.protocol.errors import BadRequest, NotFound
from trigger_lite.protocol.queues import MOST_CONCURRENCY
from trigger_lite.protocol.times import LAST_DATE_MS, parse_iso_ms
from trigger_lite.store.environments import Load, get_load
from trigger_lite.store.queue_lists import LaneLoad, count_queues, list_lanes
from trigger_lite.store.queues import QueueRow
from trigger_lite.store.transaction import Reader, Tx
from trigger_lite.web.dashboard.dashboard import Dashboard, now_ms
from trigger_lite.web.dashboard.guard import read_checked_form
from trigger_lite.web.dashboard.queue_views import queue_list_view, queue_view
from trigger_lite.web.numbers import whole_number

PAGE: Final = 100
MOST_PAGES: Final = 10_000
KEYS_SHOWN: Final = 20


async def queues_page(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    page = min(max(1, whole_number(request.query_params.get("page", "1")) or 1), MOST_PAGES)

    def read(tx: Reader) -> tuple[list[QueueState], Load, int]:
        states = list_states(tx, environment.id, count=PAGE, skip=(page - 1) * PAGE)
        return states, get_load(tx, environment.id), count_queues(tx, environment.id)

    states, load, count = await dashboard.services.store.read(read)
    pages = -(-count // PAGE)
    view = queue_list_view(states, load, slug=environment.slug, now=now_ms(), page=page, pages=pages)
    return dashboard.reply(request, view, dashboard.shell(request, "Queues", "queues"))


async def queue_page(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    state, lanes = await dashboard.services.store.read(_read, environment.id, _ref(request))
    view = queue_view(state, lanes, slug=environment.slug, now=now_ms(), most_keys=KEYS_SHOWN)
    return dashboard.reply(request, view, dashboard.shell(request, f"Queue {view.row.name}", "queues"))


async def pause(dashboard: Dashboard, request: Request) -> Response:
    """Start nothing from a queue any more, or go on (Q-33)."""
    environment = dashboard.environment(request)
    form = await read_checked_form(request)
    await dashboard.services.store.write(_pause, environment.id, _ref(request), _is_pause(form))
    return _back(environment.slug, form, request.path_params["queue_id"])


async def limit(dashboard: Dashboard, request: Request) -> Response:
    """Let another limit win over the code's (Q-35)."""
    environment = dashboard.environment(request)
    override = _override(await read_checked_form(request))
    await dashboard.services.store.write(override_limit, environment.id, _ref(request), override)
    return RedirectResponse(f"/{environment.slug}/queues/{request.path_params['queue_id']}", 303)


async def reset(dashboard: Dashboard, request: Request) -> Response:
    """Go back to the code's limit (Q-36)."""
    environment = dashboard.environment(request)
    await read_checked_form(request)
    await dashboard.services.store.write(reset_limit, environment.id, _ref(request))
    return RedirectResponse(f"/{environment.slug}/queues/{request.path_params['queue_id']}", 303)


async def pause_environment(dashboard: Dashboard, request: Request) -> Response:
    """Start nothing in any queue, or go on (Q-34)."""
    environment = dashboard.environment(request)
    form = await read_checked_form(request)
    await dashboard.services.store.write(_pause_environment, environment.id, _is_pause(form))
    return RedirectResponse(f"/{environment.slug}/queues", 303)


async def limit_environment(dashboard: Dashboard, request: Request) -> Response:
    """Change how many runs may go on at once in the environment (Q-15)."""
    environment = dashboard.environment(request)
    form = await read_checked_form(request)
    most, burst = whole_number(form.get("limit", "").strip()), _number(form.get("burst", ""))
    if most is None or not 1 <= most <= MOST_CONCURRENCY:
        raise BadRequest(f"The limit must be a whole number from 1 to {MOST_CONCURRENCY:,}")
    if not 1 <= burst <= MOST_BURST:
        raise BadRequest(f"The burst must be a number from 1 to {MOST_BURST:g}")
    await dashboard.services.store.write(set_environment_limit, environment.id, most, round(burst * 100))
    return RedirectResponse(f"/{environment.slug}/queues", 303)


# ---- what a form says -----------------------------------------------------------------------------------


def _ref(request: Request) -> QueueRef:
    return QueueRef("id", request.path_params["queue_id"])


def _is_pause(form: dict[str, str]) -> bool:
    if form.get("action") not in ("pause", "resume"):
        raise BadRequest("A queue can be paused or resumed; this form asks for something else")
    return form["action"] == "pause"


def _override(form: dict[str, str]) -> Override:
    """Return the limit that was typed: a number or a percentage, and perhaps until when."""
    text, until = form.get("limit", "").strip(), form.get("until", "").strip()
    ends_at = _moment(until) if until else None
    if text.endswith("%"):
        return Override(percent=_number(text[:-1]), by="dashboard", ends_at=ends_at)
    number = whole_number(text)
    if number is None:
        raise BadRequest(
            f'{text[:40]!r} is no limit; write a number such as 5, or a percentage such as "50%"'
        )
    return Override(limit=number, by="dashboard", ends_at=ends_at)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0  # which is outside of every range here


def _moment(text: str) -> int:
    duration = parse_duration_ms(text)
    at = parse_iso_ms(text) if duration is None else time.time_ns() // 1_000_000 + duration
    if at is None or at > LAST_DATE_MS:
        raise BadRequest(
            f'{text[:40]!r} is neither a duration such as "2h" nor a time such as 2026-11-23T08:00'
        )
    return at


def _back(slug: str, form: dict[str, str], queue_id: str) -> Response:
    """Go back to where the form was: the list, or the page of the queue."""
    return RedirectResponse(f"/{slug}/queues" + ("" if form.get("from") == "list" else f"/{queue_id}"), 303)


# ---- reads and writes -------------------------------------------------------------------------------------


def _read(tx: Reader, environment_id: str, ref: QueueRef) -> tuple[QueueState, list[LaneLoad]]:
    queue = _found(tx, environment_id, ref)
    return state_of(tx, queue), list_lanes(tx, queue.id, count=KEYS_SHOWN + 1)


def _pause(tx: Tx, environment_id: str, ref: QueueRef, paused: bool) -> None:
    queue = _found(tx, environment_id, ref)
    set_paused(tx, environment_id, queue.name, paused=paused)


def _pause_environment(tx: Tx, environment_id: str, paused: bool) -> None:
    set_environment_paused(tx, environment_id, paused=paused)


def _found(tx: Reader, environment_id: str, ref: QueueRef) -> QueueRow:
    """Return the queue, or raise NotFound in the words of a page."""
    try:
        return find_queue(tx, environment_id, ref)
    except NotFound:
        raise NotFound("There is no such queue in this environment.") from None
