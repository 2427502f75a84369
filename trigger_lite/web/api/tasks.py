"""Triggering: `POST /api/v1/tasks/:id/trigger` (management-api 9.1)."""

import time
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trigger_lite.engine.requests import check_trigger
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.protocol.tasks import MAX_PAYLOAD_BYTES, TriggeredRun, TriggerOptions, TriggerTask
from trigger_lite.web.api.sources import source_of
from trigger_lite.web.auth import environment_of
from trigger_lite.web.codec import read_message, reply
from trigger_lite.web.services import services_of

_decoder: Final = msgspec.json.Decoder(TriggerTask)


async def trigger_task(request: Request) -> Response:
    """Trigger a task; the answer is sent when the run is on disk (TR-01)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _decoder, limit=MAX_PAYLOAD_BYTES)
    wanted = check_trigger(
        request.path_params["task_id"],
        _with_header_key(request, body),
        now=time.time_ns() // 1_000_000,
        source=source_of(request),
        request_key=request.headers.get("x-trigger-request-idempotency-key"),
    )
    written = services.store.submit(trigger_run, environment, wanted)
    # At once, so that a free worker's claim is in the same commit: it would wait for another one after it.
    services.dispatcher.wake(environment.id)
    triggered = await written
    token = services.keys.public_token(
        environment, [f"read:runs:{triggered.run_id}", f"write:inputStreams:{triggered.run_id}"]
    )
    answer = TriggeredRun(triggered.run_id, triggered.is_cached)
    return reply(answer, headers={"x-trigger-jwt": token})


def _with_header_key(request: Request, body: TriggerTask) -> TriggerTask:
    """Let the headers `idempotency-key` and `idempotency-key-ttl` win over the body (management-api 7)."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return body
    options: TriggerOptions = msgspec.structs.replace(
        body.options,
        idempotency_key=key,
        idempotency_key_ttl=request.headers.get("idempotency-key-ttl", body.options.idempotency_key_ttl),
    )
    return msgspec.structs.replace(body, options=options)


ROUTES = [Route("/api/v1/tasks/{task_id:path}/trigger", trigger_task, methods=["POST"])]
