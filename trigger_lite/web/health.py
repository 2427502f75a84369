"""Is the process up, and is it able to work."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trigger_lite.protocol.version import __version__
from trigger_lite.web.codec import reply_json
from trigger_lite.web.services import services_of


async def healthz(_request: Request) -> Response:
    """The process answers."""
    return reply_json({"status": "ok", "version": __version__})


async def readyz(request: Request) -> Response:
    """The databases take changes and the clock runs; 503 and the reason while one of them does not."""
    trouble = await services_of(request).trouble()
    if trouble is None:
        return reply_json({"status": "ready"})
    return reply_json({"status": "not ready", "reason": trouble}, status=503)


ROUTES = [Route("/healthz", healthz), Route("/readyz", readyz)]
