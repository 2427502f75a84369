"""The application: its table of contents."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from trigger_lite.protocol.errors import Refusal
from trigger_lite.web import health
from trigger_lite.web.addresses import RefuseNulls
from trigger_lite.web.api import (
    batches,
    bulk_actions,
    environments,
    idempotency_keys,
    projects,
    queues,
    runs,
    schedules,
    sign_in_links,
    tasks,
    waitpoints,
)
from trigger_lite.web.dashboard.dashboard import Dashboard
from trigger_lite.web.dashboard.routes import dashboard_routes
from trigger_lite.web.errors import http_error, refused, unexpected
from trigger_lite.web.services import Services
from trigger_lite.web.worker_api import socket


def build_app(services: Services) -> Starlette:
    """Return the application; the busiest routes come first.

    Before the server stops, `app.state.dashboard.close()` ends the streams of open pages.
    """
    dashboard = Dashboard.build(services)
    routes: list[BaseRoute] = [
        *tasks.ROUTES,
        *runs.ROUTES,
        *batches.ROUTES,
        *waitpoints.ROUTES,
        *bulk_actions.ROUTES,
        *idempotency_keys.ROUTES,
        *queues.ROUTES,
        *environments.ROUTES,
        *schedules.ROUTES,
        *projects.ROUTES,
        *sign_in_links.ROUTES,
        *socket.ROUTES,
        *health.ROUTES,
        *dashboard_routes(dashboard),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(RefuseNulls)],
        exception_handlers={Refusal: refused, HTTPException: http_error, Exception: unexpected},
    )
    app.state.services = services
    app.state.dashboard = dashboard
    return app
