"""The dashboard's addresses."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from trigger_lite.protocol.errors import NotFound, Refusal
from trigger_lite.web.dashboard import (
    batches,
    bulk,
    edit,
    live,
    queues,
    run,
    runs,
    schedules,
    sign_in,
    tokens,
)
from trigger_lite.web.dashboard.dashboard import Dashboard
from trigger_lite.web.dashboard.guard import Guard, SignedIn
from trigger_lite.web.dashboard.refused import RefusedView
from trigger_lite.web.errors import refusal_status

logger = logging.getLogger(__name__)

Handler = Callable[[Dashboard, Request], Awaitable[Response]]
_MACHINES = ("/api/", "/engine/", "/realtime/", "/otel/", "/static/")
Page = tuple[str, Handler, str]
"""Address, handler and method of something that only who is signed in may see or do."""
_RUN: Final = "/{environment}/runs/{run_id}"
_QUEUE: Final = "/{environment}/queues/{queue_id}"
_SCHEDULE: Final = "/{environment}/schedules/{schedule_id}"
_TOKEN: Final = "/{environment}/tokens/{waitpoint_id}"
_RUNS: Final[tuple[Page, ...]] = (
    ("/{environment}/runs", runs.runs_page, "GET"),
    ("/{environment}/runs.json", runs.runs_json, "GET"),
    ("/{environment}/runs.csv", runs.runs_csv, "GET"),
    ("/{environment}/sse", live.stream, "GET"),
    (_RUN, run.run_page, "GET"),
    (f"{_RUN}/lines", run.older_lines, "GET"),
    (f"{_RUN}/logs.txt", run.raw_logs, "GET"),
    (f"{_RUN}/cancel", run.cancel, "POST"),
    (f"{_RUN}/replay", run.replay, "POST"),
    (f"{_RUN}/reschedule", run.reschedule_run, "POST"),
    (f"{_RUN}/edit", edit.edit_page, "GET"),
    (f"{_RUN}/edit", edit.submit, "POST"),
    (_RUN + "/{value}", run.raw_value, "GET"),
)
_BATCHES: Final[tuple[Page, ...]] = (
    ("/{environment}/batches", batches.batches_page, "GET"),
    ("/{environment}/batches/{batch_id}", batches.batch_page, "GET"),
    ("/{environment}/batches/{batch_id}/abort", batches.abort, "POST"),
)
_BULK: Final[tuple[Page, ...]] = (
    ("/{environment}/bulk", bulk.bulk_list, "GET"),
    ("/{environment}/bulk", bulk.create, "POST"),
    ("/{environment}/bulk/new", bulk.new_page, "GET"),
    ("/{environment}/bulk/{bulk_id}", bulk.bulk_page, "GET"),
    ("/{environment}/bulk/{bulk_id}/abort", bulk.abort, "POST"),
)
_QUEUES: Final[tuple[Page, ...]] = (
    ("/{environment}/queues", queues.queues_page, "GET"),
    ("/{environment}/queues/pause", queues.pause_environment, "POST"),
    ("/{environment}/queues/limit", queues.limit_environment, "POST"),
    (_QUEUE, queues.queue_page, "GET"),
    (f"{_QUEUE}/pause", queues.pause, "POST"),
    (f"{_QUEUE}/limit", queues.limit, "POST"),
    (f"{_QUEUE}/reset", queues.reset, "POST"),
)
_TOKENS: Final[tuple[Page, ...]] = (
    ("/{environment}/tokens", tokens.tokens_page, "GET"),
    (_TOKEN, tokens.token_page, "GET"),
    (f"{_TOKEN}/complete", tokens.complete, "POST"),
    (f"{_TOKEN}/output", tokens.raw_output, "GET"),
)
_SCHEDULES: Final[tuple[Page, ...]] = (
    ("/{environment}/schedules", schedules.schedules_page, "GET"),
    (f"{_SCHEDULE}/active", schedules.switch, "POST"),
    (f"{_SCHEDULE}/run", schedules.run, "POST"),
)


def dashboard_routes(dashboard: Dashboard) -> list[BaseRoute]:
    """Return the routes; they come last, for the last of them answers whatever no other does."""
    guard = Middleware(Guard)
    signed_in = [guard, Middleware(SignedIn, store=dashboard.services.store)]

    def public(path: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, answered(dashboard, handler), methods=[method], middleware=[guard])

    def private(path: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, answered(dashboard, handler), methods=[method], middleware=signed_in)

    return [
        public("/static/{name}", static),
        public("/favicon.ico", favicon),
        public("/sign-in", sign_in.sign_in_page),
        public("/sign-in", sign_in.submit_sign_in, "POST"),
        public("/theme", sign_in.choose_theme, "POST"),
        private("/sign-out", sign_in.sign_out, "POST"),
        private("/", runs.home),
        *(private(*page) for page in (*_RUNS, *_BATCHES, *_BULK, *_QUEUES, *_SCHEDULES, *_TOKENS)),
        private("/{environment}", environment_home),
        PagesOnly("/{rest:path}", answered(dashboard, nothing_here), methods=["GET"], middleware=[guard]),
    ]


class PagesOnly(Route):
    """A route for browsers alone: programs keep the plain answers of the API."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        wants = dict(scope.get("headers", ())).get(b"accept", b"")
        if b"text/html" not in wants or scope["path"].startswith(_MACHINES):
            return Match.NONE, {}
        return super().matches(scope)


def answered(dashboard: Dashboard, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a handler: refusals and defects become pages."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(dashboard, request)
        except Refusal as refusal:
            status, headers = refusal_status(refusal)
            response = _refused(dashboard, request, status, refusal.message)
            response.headers.update(headers)
            return response
        except Exception:
            logger.exception("unexpected error in %s %s", request.method, request.url.path)
            return _refused(dashboard, request, 500, "Something went wrong here. The server's log says what.")

    return endpoint


def _refused(dashboard: Dashboard, request: Request, status: int, message: str) -> Response:
    slug = request.path_params.get("environment", "")
    home = f"/{slug}/runs" if dashboard.services.keys.by_slug(slug) else "/"
    view = RefusedView(status, message, home)
    return dashboard.reply(request, view, dashboard.shell(request, f"Error {status}"), status=status)


async def static(dashboard: Dashboard, request: Request) -> Response:
    found = dashboard.assets.reply(request)
    return Response(status_code=404) if found is None else found


async def favicon(_dashboard: Dashboard, _request: Request) -> Response:
    """Pages carry their icon; this answers whoever asks all the same."""
    return Response(status_code=204)


async def environment_home(dashboard: Dashboard, request: Request) -> Response:
    return RedirectResponse(f"/{dashboard.environment(request).slug}/runs", 303)


async def nothing_here(_dashboard: Dashboard, _request: Request) -> Response:
    raise NotFound("There is no such page.")
