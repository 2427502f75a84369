"""The environment of a key: what it holds, its limit and its pause. trigger-lite's own."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trigger_lite.engine.queues import set_environment_limit, set_environment_paused
from trigger_lite.protocol.environments import EnvironmentLoad, LimitEnvironment, PauseEnvironment
from trigger_lite.store.environments import EnvironmentRow, Load, get_load
from trigger_lite.store.transaction import Tx
from trigger_lite.web.auth import environment_of
from trigger_lite.web.codec import read_message, reply
from trigger_lite.web.services import services_of

MAX_BODY: Final = 10_240
_pause_decoder: Final = msgspec.json.Decoder(PauseEnvironment)
_limit_decoder: Final = msgspec.json.Decoder(LimitEnvironment)


async def retrieve(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    return _shown(environment, await services.store.read(get_load, environment.id))


async def pause(request: Request) -> Response:
    """Start nothing in any queue, or go on (Q-34)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _pause_decoder, limit=MAX_BODY)
    return _shown(environment, await services.store.write(_pause, environment.id, body.action == "pause"))


async def limit(request: Request) -> Response:
    """Change how many runs may go on at once (Q-15, Q-18)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _limit_decoder, limit=MAX_BODY)
    return _shown(environment, await services.store.write(_limit, environment.id, body))


def _pause(tx: Tx, environment_id: str, paused: bool) -> Load:
    set_environment_paused(tx, environment_id, paused=paused)
    return get_load(tx, environment_id)


def _limit(tx: Tx, environment_id: str, wanted: LimitEnvironment) -> Load:
    burst = None if wanted.burst is None else round(wanted.burst * 100)
    set_environment_limit(tx, environment_id, wanted.concurrency_limit, burst)
    return get_load(tx, environment_id)


def _shown(environment: EnvironmentRow, load: Load) -> Response:
    return reply(
        EnvironmentLoad(
            slug=environment.slug,
            paused=bool(load.paused),
            running=load.held,
            concurrency_limit=load.concurrency_limit,
            burst=load.burst_percent / 100,
        )
    )


ROUTES: Final = [
    Route("/api/v1/environment", retrieve),
    Route("/api/v1/environment/pause", pause, methods=["POST"]),
    Route("/api/v1/environment/limit", limit, methods=["POST"]),
]
