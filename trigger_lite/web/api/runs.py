"""Runs: retrieve, list, cancel, replay, reschedule, result, and the two long polls (management-api 9.2)."""

import math
import time
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.delays import reschedule
from trigger_lite.engine.replay import check_overrides, replay_run
from trigger_lite.engine.requests import check_delay
from trigger_lite.protocol.errors import BadRequest, NotFound, RunNotFound
from trigger_lite.protocol.pages import Pagination
from trigger_lite.protocol.runs import RunPage
from trigger_lite.protocol.tasks import MAX_PAYLOAD_BYTES, ReplayRun, RescheduleRun
from trigger_lite.protocol.waiting import WaitingFor
from trigger_lite.store import run_lists
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.runs import find_run_in
from trigger_lite.store.transaction import Reader
from trigger_lite.web.api.filters import parse_list
from trigger_lite.web.api.log_lines import finished_log, read_lines
from trigger_lite.web.api.run_views import (
    RunView,
    Summaries,
    read_numbers,
    read_run,
    run_detail,
    run_result,
)
from trigger_lite.web.api.sources import source_of
from trigger_lite.web.api.waiting_views import read_waiting
from trigger_lite.web.auth import environment_of
from trigger_lite.web.codec import decode, read_body, read_message, reply, reply_json
from trigger_lite.web.numbers import whole_number
from trigger_lite.web.services import Services, services_of

LONGEST_WAIT: Final = 30.0
MAX_BODY: Final = 65_536
_replay_decoder: Final = msgspec.json.Decoder(ReplayRun)
_reschedule_decoder: Final = msgspec.json.Decoder(RescheduleRun)


async def retrieve_run(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    return await _detail(request, services, environment, request.path_params["run_id"])


async def list_runs(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    query = parse_list(environment.id, request.query_params)

    def read(tx: Any) -> tuple[run_lists.RunPage, dict[str, str], dict[str, str]]:
        page = run_lists.list_runs(tx, query.wanted, size=query.size, after=query.after, before=query.before)
        metadata = run_lists.list_metadata(tx, [row.id for row in page.rows])
        return page, read_numbers(tx, page.rows), metadata

    page, numbers, metadata = await services.store.read(read)
    summaries = Summaries(environment, numbers, legacy=_is_legacy(request))
    rows = [summaries.summary(row, metadata.get(row.id)) for row in page.rows]
    return reply(RunPage(rows, Pagination(next=page.next, previous=page.previous)))


async def cancel(request: Request) -> Response:
    """Cancel a run; one that is over is left alone and answered the same (CN-01)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    run = await services.store.write(cancel_run, environment.id, request.path_params["run_id"])
    return reply_json({"id": run.id})


async def replay(request: Request) -> Response:
    """Replay a run; an empty body changes nothing of it (official clients send none)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_body(request, limit=MAX_PAYLOAD_BYTES)
    wanted = decode(body, _replay_decoder) if body.strip() else ReplayRun()
    request_key = request.headers.get("x-trigger-request-idempotency-key")
    overrides = check_overrides(wanted, now=time.time_ns() // 1_000_000, request_key=request_key)
    run_id = request.path_params["run_id"]
    made = await services.store.write(replay_run, environment, run_id, source_of(request), overrides)
    return reply_json({"id": made.run_id})


async def reschedule_run(request: Request) -> Response:
    """Let a delayed run start at another time; the answer is the run whole."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _reschedule_decoder, limit=MAX_BODY)
    until = check_delay(body.delay, time.time_ns() // 1_000_000)
    run = await services.store.write(reschedule, environment.id, request.path_params["run_id"], until)
    return await _detail(request, services, environment, run.id)


async def result(request: Request) -> Response:
    """The result of a finished run; 404 while it is not (the official client reads that as "not yet")."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    view = await _view(services, environment, request.path_params["run_id"])
    found = run_result(view.run, view.data)
    if found is None:
        raise NotFound("Run not finished")
    return reply(found)


async def wait_for_run(request: Request) -> Response:
    """Answer with the run as soon as it differs from `since` (its `updatedAt`) or is finished."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    run_id = request.path_params["run_id"]
    deadline = time.monotonic() + _seconds(request, "seconds")
    since = request.query_params.get("since")
    with services.watch.interest(run_id) as interest:
        while True:
            view = await _view(services, environment, run_id)
            detail = run_detail(view, environment, legacy=_is_legacy(request))
            if detail.is_completed or (since is not None and detail.updated_at != since):
                return reply(detail)
            if not await interest.changed(deadline - time.monotonic()):
                return reply(detail)


async def run_logs(request: Request) -> Response:
    """Lines of a run's log later than `after`; with `wait`, held until there are some or the run is over."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    run_id = request.path_params["run_id"]
    deadline = time.monotonic() + _seconds(request, "wait")
    after, limit = _whole(request, "after", 0), min(_whole(request, "limit", 500), 1_000)
    with services.watch.interest(run_id) as interest:
        while True:
            run = await services.store.read(find_run_in, environment.id, run_id)
            if run is None:
                raise RunNotFound
            lines = await services.telemetry.read(read_lines, run_id, after, limit)
            over = finished_log(run, lines, limit)
            if lines or over or not await interest.changed(deadline - time.monotonic()):
                last = lines[-1]["seq"] if lines else after
                return reply_json({"lines": lines, "next": last, "finished": over})


async def _detail(request: Request, services: Services, environment: EnvironmentRow, run_id: str) -> Response:
    """Answer with a run whole, and with what it waits for. Raises RunNotFound."""
    connected = services.dispatcher.connected(environment.id)

    def read(tx: Reader) -> tuple[RunView, WaitingFor | None]:
        view = read_run(tx, environment.id, run_id)
        if view is None:
            raise RunNotFound
        return view, read_waiting(tx, view.run, connected)

    view, waiting = await services.store.read(read)
    detail = run_detail(view, environment, legacy=_is_legacy(request))
    return reply(msgspec.structs.replace(detail, waiting_for=waiting))


async def _view(services: Services, environment: EnvironmentRow, run_id: str) -> RunView:
    view = await services.store.read(read_run, environment.id, run_id)
    if view is None:
        raise RunNotFound
    return view


def _is_legacy(request: Request) -> bool:
    """Tell clients from before versions, which know fewer statuses (engine-behaviours 1a)."""
    return "x-trigger-api-version" not in request.headers


def _seconds(request: Request, name: str) -> float:
    text = request.query_params.get(name, "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        raise BadRequest(f"{name} is {text!r}, but must be a number of seconds")
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    number = whole_number(text)
    if number is None:
        raise BadRequest(f"{name} is {text!r}, but must be a whole number")
    return number


ROUTES = [
    Route("/api/v3/runs/{run_id}", retrieve_run),
    Route("/api/v1/runs", list_runs),
    Route("/api/v2/runs/{run_id}/cancel", cancel, methods=["POST"]),
    Route("/api/v1/runs/{run_id}/replay", replay, methods=["POST"]),
    Route("/api/v1/runs/{run_id}/reschedule", reschedule_run, methods=["POST"]),
    Route("/api/v1/runs/{run_id}/result", result),
    Route("/api/v1/runs/{run_id}/wait", wait_for_run),
    Route("/api/v1/runs/{run_id}/logs", run_logs),
]
