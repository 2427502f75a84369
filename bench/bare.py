"""The yardstick: a Starlette endpoint that decodes a trigger's body, answers like one, and does nothing."""

import socket
from typing import Final

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_RUN_ID: Final = "run_" + 24 * "0"


async def answer(request: Request) -> Response:
    """Decode the body and answer as a trigger is answered."""
    body = orjson.loads(await request.body())
    reply = {"id": _RUN_ID, "isCached": body["payload"] is None}
    return Response(orjson.dumps(reply), media_type="application/json")


def main() -> None:
    """Serve on a free port and print it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(f"serving on port {listener.getsockname()[1]}", flush=True)
    app = Starlette(routes=[Route("/api/v1/tasks/{task_id:path}/trigger", answer, methods=["POST"])])
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", lifespan="off", log_level="error", access_log=False
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
