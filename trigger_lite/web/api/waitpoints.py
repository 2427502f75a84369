"""Waits and wait tokens (management-api 9.6, worker-protocol 6.5)."""

import hmac
import time
from typing import Any, Final

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trigger_lite.engine.waits import (
    check_token,
    check_wait,
    complete_token,
    create_token,
    wait_for_token,
    wait_until,
)
from trigger_lite.protocol.errors import LengthRequired, Unauthorized, WaitpointNotFound
from trigger_lite.protocol.times import iso
from trigger_lite.protocol.waitpoints import (
    MAX_TOKEN_DATA_BYTES,
    CompleteToken,
    CreatedToken,
    CreateToken,
    WaitFor,
    WaitingUntil,
    WaitpointId,
)
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.token_lists import list_tokens
from trigger_lite.store.waitpoints import find_waitpoint
from trigger_lite.web.api.token_views import parse_tokens, read_token, token_page, token_result, token_view
from trigger_lite.web.auth import environment_allowing, environment_of
from trigger_lite.web.codec import read_body, read_message, reply, reply_json
from trigger_lite.web.services import Services, services_of

_MAX_BODY: Final = 65_536
_TOKEN_SECONDS: Final = 86_400
_wait_decoder: Final = msgspec.json.Decoder(WaitFor)
_create_decoder: Final = msgspec.json.Decoder(CreateToken)
_complete_decoder: Final = msgspec.json.Decoder(CompleteToken)
_CORS: Final = {"access-control-allow-origin": "*"}
_PREFLIGHT: Final = {
    **_CORS,
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "86400",
}


# ---- waits of a run ---------------------------------------------------------------------------------


async def wait_for_duration(request: Request) -> Response:
    """Let a run wait until a moment; its worker hears when it is over."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _wait_decoder, limit=_MAX_BODY)
    wait = check_wait(body, now=time.time_ns() // 1_000_000)
    made = await services.store.write(wait_until, environment.id, request.path_params["run_id"], wait)
    return reply(WaitingUntil(iso(made.due_at or wait.at), WaitpointId(made.id)))


async def wait_for(request: Request) -> Response:
    """Let a run wait for a token."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    run_id, waitpoint_id = request.path_params["run_id"], request.path_params["waitpoint_id"]
    await services.store.write(wait_for_token, environment.id, run_id, waitpoint_id)
    return reply_json({"success": True})


# ---- tokens -----------------------------------------------------------------------------------------


async def create(request: Request) -> Response:
    """Make a token; the answer carries a public token that may complete just this one (WP-17)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _create_decoder, limit=_MAX_BODY)
    wanted = check_token(body, now=time.time_ns() // 1_000_000)
    made, is_cached = await services.store.write(create_token, environment.id, wanted)
    scopes = [f"write:waitpoints:{made.id}"]
    public = services.keys.public_token(environment, scopes, seconds=_TOKEN_SECONDS)
    answer = CreatedToken(made.id, is_cached, _callback_url(services, environment, made.id))
    return reply(answer, headers={"x-trigger-jwt": public})


async def list_all(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    query = parse_tokens(environment.id, request.query_params)
    page = await services.store.read(
        list_tokens, query.wanted, size=query.size, after=query.after, before=query.before
    )
    views = [token_view(row, _callback_url(services, environment, row.id)) for row in page.rows]
    return reply(token_page(views, page))


async def retrieve(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    waitpoint_id = request.path_params["waitpoint_id"]
    row, output = await services.store.read(read_token, environment.id, waitpoint_id)
    return reply(token_result(row, output, _callback_url(services, environment, row.id)))


async def complete(request: Request) -> Response:
    """Complete a token with plain JSON; a second completion succeeds and changes nothing (WP-19)."""
    services = services_of(request)
    waitpoint_id = request.path_params["waitpoint_id"]
    environment = environment_allowing(request, services.keys, f"write:waitpoints:{waitpoint_id}")
    body = await read_message(request, _complete_decoder, limit=MAX_TOKEN_DATA_BYTES)
    output, output_type = _stored(body.data)
    await services.store.write(complete_token, environment.id, waitpoint_id, output, output_type)
    return reply_json({"success": True}, headers=_CORS)


async def allow_complete(_request: Request) -> Response:
    """Tell browsers that they may complete tokens from any page."""
    return Response(status_code=204, headers=_PREFLIGHT)


async def callback(request: Request) -> Response:
    """Complete a token by its address alone: whatever is posted becomes its output (WP-18)."""
    services = services_of(request)
    waitpoint_id = request.path_params["waitpoint_id"]
    if "content-length" not in request.headers:
        raise LengthRequired
    environment = await _environment_of_token(services, waitpoint_id)
    wanted = _callback_hash(services, environment, waitpoint_id)
    if not hmac.compare_digest(wanted.encode(), request.path_params["hash"].encode()):
        raise Unauthorized("Invalid URL, hash doesn't match")
    body = await read_body(request, limit=MAX_TOKEN_DATA_BYTES)
    output, output_type = _stored(_loose_json(body))
    await services.store.write(complete_token, environment.id, waitpoint_id, output, output_type)
    return reply_json({"success": True})


async def _environment_of_token(services: Services, waitpoint_id: str) -> EnvironmentRow:
    found = await services.store.read(find_waitpoint, waitpoint_id)
    for environment in services.keys.environments():
        if found is not None and environment.id == found.environment_id:
            return environment
    raise WaitpointNotFound


def _loose_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}


def _stored(data: Any) -> tuple[str | None, str | None]:
    """Return data as a token keeps it: text as it is, anything else as JSON, nothing as nothing."""
    if data is msgspec.UNSET:
        return None, None
    if isinstance(data, str):
        return data, "text/plain"
    return msgspec.json.encode(data).decode(), "application/json"


def _callback_url(services: Services, environment: EnvironmentRow, waitpoint_id: str) -> str:
    path = f"/api/v1/waitpoints/tokens/{waitpoint_id}/callback"
    return f"{services.public_url}{path}/{_callback_hash(services, environment, waitpoint_id)}"


def _callback_hash(services: Services, environment: EnvironmentRow, waitpoint_id: str) -> str:
    key = services.keys.key_of(environment)
    return hmac.digest(key.encode(), waitpoint_id.encode(), "sha256").hex()


ROUTES = [
    Route("/engine/v1/runs/{run_id}/wait/duration", wait_for_duration, methods=["POST"]),
    Route("/engine/v1/runs/{run_id}/waitpoints/tokens/{waitpoint_id}/wait", wait_for, methods=["POST"]),
    Route("/api/v1/waitpoints/tokens", create, methods=["POST"]),
    Route("/api/v1/waitpoints/tokens", list_all, methods=["GET"]),
    Route("/api/v1/waitpoints/tokens/{waitpoint_id}", retrieve),
    Route("/api/v1/waitpoints/tokens/{waitpoint_id}/complete", complete, methods=["POST"]),
    Route("/api/v1/waitpoints/tokens/{waitpoint_id}/complete", allow_complete, methods=["OPTIONS"]),
    Route("/api/v1/waitpoints/tokens/{waitpoint_id}/callback/{hash}", callback, methods=["POST"]),
]
