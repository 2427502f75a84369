"""Giving up an idempotency key: `POST /api/v1/idempotencyKeys/:key/reset` (management-api 9.2)."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trigger_lite.engine.idempotency import reset_key
from trigger_lite.engine.requests import without_nulls
from trigger_lite.protocol.tasks import KeyWasReset, ResetKey
from trigger_lite.web.auth import environment_of
from trigger_lite.web.codec import read_message, reply
from trigger_lite.web.services import services_of

MAX_BODY: Final = 65_536
_decoder: Final = msgspec.json.Decoder(ResetKey)


async def reset(request: Request) -> Response:
    """Free the key, so that the next trigger makes a new run (ID-09)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _decoder, limit=MAX_BODY)
    key = request.path_params["key"]
    await services.store.write(reset_key, environment.id, without_nulls(body.task_identifier), key)
    return reply(KeyWasReset(key))


ROUTES = [Route("/api/v1/idempotencyKeys/{key:path}/reset", reset, methods=["POST"])]
