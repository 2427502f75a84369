"""Schedules: create, list, retrieve, update, switch on and off, run now, delete (management-api 9.3)."""

import asyncio
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trigger_lite.engine.firing import run_now
from trigger_lite.engine.schedules import (
    change_schedule,
    check_key,
    check_request_key,
    check_schedule,
    create_schedule,
    delete_schedule,
    require_schedule,
    set_active,
    update_schedule,
)
from trigger_lite.engine.zones import zone_names
from trigger_lite.protocol.schedules import (
    ChangeSchedule,
    CreateSchedule,
    ScheduleBody,
    SchedulePage,
    TimeZones,
)
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.schedules import Planned, count_schedules, list_schedules
from trigger_lite.store.transaction import Reader, Tx
from trigger_lite.web.api.numbered_pages import page_wanted
from trigger_lite.web.api.schedule_views import schedule_view
from trigger_lite.web.auth import environment_of
from trigger_lite.web.codec import read_message, reply, reply_json
from trigger_lite.web.services import services_of

DEFAULT_SIZE: Final = 20
_MAX_BODY: Final = 65_536
_create_decoder: Final = msgspec.json.Decoder(CreateSchedule)
_update_decoder: Final = msgspec.json.Decoder(ScheduleBody)
_change_decoder: Final = msgspec.json.Decoder(ChangeSchedule)


async def create(request: Request) -> Response:
    """Make a schedule, or change the one that has the key (SC-11)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _create_decoder, limit=_MAX_BODY)
    wanted, key, request_key = check_schedule(body), check_key(body), _request_key(request)
    planned = await services.store.write(create_schedule, environment, wanted, key, request_key)
    return reply(schedule_view(planned, environment))


async def list_all(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    page = page_wanted(request.query_params, size=DEFAULT_SIZE)

    def read(tx: Reader) -> tuple[list[Planned], int]:
        place = environment.project_id, environment.id
        return list_schedules(tx, *place, count=page.size, skip=page.skip), count_schedules(tx, *place)

    rows, count = await services.store.read(read)
    return reply(SchedulePage([schedule_view(row, environment) for row in rows], page.among(count)))


async def retrieve(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    planned = await services.store.read(require_schedule, environment, request.path_params["schedule_id"])
    return reply(schedule_view(planned, environment))


async def update(request: Request) -> Response:
    """Let a schedule be as the body says; what that leaves out is as by default (SC-12)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    wanted = check_schedule(await read_message(request, _update_decoder, limit=_MAX_BODY))
    schedule_id = request.path_params["schedule_id"]
    planned = await services.store.write(update_schedule, environment, schedule_id, wanted)
    return reply(schedule_view(planned, environment))


async def change(request: Request) -> Response:
    """Change what the body names, and leave the rest."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _change_decoder, limit=_MAX_BODY)
    schedule_id = request.path_params["schedule_id"]
    planned = await services.store.write(change_schedule, environment, schedule_id, body)
    return reply(schedule_view(planned, environment))


async def activate(request: Request) -> Response:
    return await _switch(request, active=True)


async def deactivate(request: Request) -> Response:
    return await _switch(request, active=False)


async def _switch(request: Request, *, active: bool) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    schedule_id = request.path_params["schedule_id"]
    planned = await services.store.write(_set_active, environment, schedule_id, active)
    return reply(schedule_view(planned, environment))


def _set_active(tx: Tx, environment: EnvironmentRow, schedule_id: str, active: bool) -> Planned:
    return set_active(tx, environment, schedule_id, active=active)


async def delete(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    schedule_id = request.path_params["schedule_id"]
    await services.store.write(delete_schedule, environment, schedule_id)
    return reply_json({"id": schedule_id})


async def run(request: Request) -> Response:
    """Run a schedule beside its times; answers with the run."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    schedule_id, request_key = request.path_params["schedule_id"], _request_key(request)
    run_id = await services.store.write(run_now, environment, schedule_id, request_key)
    return reply_json({"id": run_id})


async def timezones(request: Request) -> Response:
    """The zones that schedules may name; needs no key."""
    names = await asyncio.to_thread(zone_names)
    if request.query_params.get("excludeUtc") == "true":
        names = tuple(name for name in names if name != "UTC")
    return reply(TimeZones(list(names)))


def _request_key(request: Request) -> str | None:
    return check_request_key(request.headers.get("x-trigger-request-idempotency-key"))


_ONE: Final = "/api/v1/schedules/{schedule_id}"
ROUTES: Final[list[Any]] = [
    Route("/api/v1/schedules", create, methods=["POST"]),
    Route("/api/v1/schedules", list_all, methods=["GET"]),
    Route(_ONE, retrieve, methods=["GET"]),
    Route(_ONE, update, methods=["PUT"]),
    Route(_ONE, change, methods=["PATCH"]),
    Route(_ONE, delete, methods=["DELETE"]),
    Route(_ONE + "/activate", activate, methods=["POST"]),
    Route(_ONE + "/deactivate", deactivate, methods=["POST"]),
    Route(_ONE + "/run", run, methods=["POST"]),
    Route("/api/v1/timezones", timezones),
]
