"""The dashboard's addresses."""

import logging
from collections.abc import Awaitable, Callable

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from trigger_lite.protocol.errors import NotFound, Refusal
from trigger_lite.web.dashboard import live, run, runs, sign_in
from trigger_lite.web.dashboard.dashboard import Dashboard
from trigger_lite.web.dashboard.guard import Guard, SignedIn
from trigger_lite.web.dashboard.refused import RefusedView
from trigger_lite.web.errors import refusal_status

logger = logging.getLogger(__name__)

Handler = Callable[[Dashboard, Request], Awaitable[Response]]
_MACHINES = ("/api/", "/engine/", "/realtime/", "/otel/", "/static/")


def dashboard_routes(dashboard: Dashboard) -> list[BaseRoute]:
    """Return the routes; they come last, for the last of them answers whatever no other does."""
    guard = Middleware(Guard)
    signed_in = [guard, Middleware(SignedIn, store=dashboard.services.store)]

    def public(path: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, answered(dashboard, handler), methods=[method], middleware=[guard])

    def private(path: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, answered(dashboard, handler), methods=[method], middleware=signed_in)

    one = "/{environment}/runs/{run_id}"
    return [
        public("/static/{name}", static),
        public("/favicon.ico", favicon),
        public("/sign-in", sign_in.sign_in_page),
        public("/sign-in", sign_in.submit_sign_in, "POST"),
        public("/theme", sign_in.choose_theme, "POST"),
        private("/sign-out", sign_in.sign_out, "POST"),
        private("/", runs.home),
        private("/{environment}/runs", runs.runs_page),
        private("/{environment}/runs.json", runs.runs_json),
        private("/{environment}/runs.csv", runs.runs_csv),
        private("/{environment}/sse", live.stream),
        private(one, run.run_page),
        private(one + "/lines", run.older_lines),
        private(one + "/logs.txt", run.raw_logs),
        private(one + "/cancel", run.cancel, "POST"),
        private(one + "/replay", run.replay, "POST"),
        private(one + "/{value}", run.raw_value),
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
