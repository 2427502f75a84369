"""Schedules: the list, and the two things one can do to each."""

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from trigger_lite.engine.firing import run_now
from trigger_lite.engine.schedules import set_active
from trigger_lite.protocol.errors import BadRequest, NotFound, ScheduleNotFound
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.schedules import Planned, list_schedules, list_schedules_below
from trigger_lite.store.transaction import Reader, Tx
from trigger_lite.web.dashboard.dashboard import Dashboard, now_ms
from trigger_lite.web.dashboard.guard import read_checked_form
from trigger_lite.web.dashboard.schedule_views import schedule_list_view

PAGE: Final = 50


async def schedules_page(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    before = request.query_params.get("before", "")
    rows = await dashboard.services.store.read(_read, environment, before)
    has_more = len(rows) > PAGE
    view = schedule_list_view(
        rows[:PAGE], slug=environment.slug, now=now_ms(), before=before, has_more=has_more
    )
    return dashboard.reply(request, view, dashboard.shell(request, "Schedules", "schedules"))


async def switch(dashboard: Dashboard, request: Request) -> Response:
    """Switch a schedule on or off (SC-14)."""
    environment = dashboard.environment(request)
    form = await read_checked_form(request)
    if form.get("action") not in ("pause", "resume"):
        raise BadRequest("A schedule can be paused or resumed; this form asks for something else")
    schedule_id = request.path_params["schedule_id"]
    await dashboard.services.store.write(_switch, environment, schedule_id, form["action"] == "resume")
    return RedirectResponse(f"/{environment.slug}/schedules", 303)


async def run(dashboard: Dashboard, request: Request) -> Response:
    """Run a schedule beside its times, and show the run."""
    environment = dashboard.environment(request)
    await read_checked_form(request)
    run_id = await dashboard.services.store.write(_run, environment, request.path_params["schedule_id"])
    return RedirectResponse(f"/{environment.slug}/runs/{run_id}", 303)


def _read(tx: Reader, environment: EnvironmentRow, before: str) -> list[Planned]:
    place = environment.project_id, environment.id
    if before:
        return list_schedules_below(tx, *place, before=before, count=PAGE + 1)
    return list_schedules(tx, *place, count=PAGE + 1)


def _switch(tx: Tx, environment: EnvironmentRow, schedule_id: str, active: bool) -> None:
    try:
        set_active(tx, environment, schedule_id, active=active)
    except ScheduleNotFound:
        raise _missing() from None


def _run(tx: Tx, environment: EnvironmentRow, schedule_id: str) -> str:
    try:
        return run_now(tx, environment, schedule_id)
    except ScheduleNotFound:
        raise _missing() from None


def _missing() -> NotFound:
    return NotFound("There is no such schedule in this environment.")
