"""Who am I, and what can my worker run (management-api 9.7, worker-protocol 2.3)."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trigger_lite.engine.workers import register_version
from trigger_lite.protocol.errors import NotFound
from trigger_lite.protocol.manifest import RegisterWorker
from trigger_lite.web.auth import environment_of
from trigger_lite.web.codec import read_message, reply, reply_json
from trigger_lite.web.services import services_of

MAX_MANIFEST_BYTES: Final = 33_554_432
_decoder: Final = msgspec.json.Decoder(RegisterWorker)


async def whoami(request: Request) -> Response:
    """The environment of the key, with its project and organisation."""
    environment = environment_of(request, services_of(request).keys)
    project = {
        "id": environment.project_id,
        "externalRef": environment.project_ref,
        "slug": environment.project_slug,
        "name": environment.project_name,
    }
    organization = {
        "id": environment.organization_id,
        "slug": environment.organization_slug,
        "title": environment.organization_name,
    }
    answer = {
        "id": environment.id,
        "slug": environment.slug,
        "type": environment.type,
        "name": environment.slug,
        "project": project,
        "organization": organization,
    }
    return reply_json(answer)


async def register_worker(request: Request) -> Response:
    """Register what a worker can run; it becomes the environment's current version."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    if request.path_params["project_ref"] != environment.project_ref:
        raise NotFound("Project not found")
    body = await read_message(request, _decoder, limit=MAX_MANIFEST_BYTES)
    return reply(await services.store.write(register_version, environment.id, body.metadata))


ROUTES = [
    Route("/api/v1/whoami", whoami),
    Route("/api/v1/projects/{project_ref}/background-workers", register_worker, methods=["POST"]),
]
