"""Batches: announce, fill, look at (management-api 9.1)."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trigger_lite.engine.batch_items import open_batch
from trigger_lite.engine.batch_requests import check_batch
from trigger_lite.engine.batches import abort_batch, create_batch
from trigger_lite.protocol.batches import (
    MAX_CREATE_BYTES,
    MAX_ITEMS_IN_ONE_REQUEST,
    MAX_ONE_REQUEST_BYTES,
    NDJSON,
    BatchResults,
    CreateBatch,
    CreatedBatch,
    TakenItems,
    TriggerBatch,
    TriggeredBatch,
)
from trigger_lite.protocol.errors import UnsupportedMedia
from trigger_lite.store.batch_lists import list_batches
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.web.api.batch_intake import Intake
from trigger_lite.web.api.batch_views import batch_page, batch_view, read_batch, read_results
from trigger_lite.web.api.filters import page_size
from trigger_lite.web.api.sources import source_of
from trigger_lite.web.auth import environment_of
from trigger_lite.web.codec import read_message, reply, reply_json
from trigger_lite.web.services import Services, services_of

_create_decoder: Final = msgspec.json.Decoder(CreateBatch)
_whole_decoder: Final = msgspec.json.Decoder(TriggerBatch)


async def create(request: Request) -> Response:
    """Announce a batch; its items follow (BA-02)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _create_decoder, limit=MAX_CREATE_BYTES)
    wanted = check_batch(body, request_key=request.headers.get("x-trigger-request-idempotency-key"))
    opened = await services.store.write(create_batch, environment, wanted)
    key = body.idempotency_key or msgspec.UNSET
    answer = CreatedBatch(opened.batch.id, opened.batch.run_count, opened.is_cached, idempotency_key=key)
    status = 200 if opened.is_cached else 202
    return reply(answer, status=status, headers=_token(services, environment, opened.batch.id))


async def add_items(request: Request) -> Response:
    """Take the items of a batch as they arrive; one that is sealed needs none of them (BA-04)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    _require_ndjson(request)
    batch = await services.store.read(open_batch, environment.id, request.path_params["batch_id"])
    if batch.is_sealed:
        return reply(TakenItems(batch.id, 0, 0, sealed=True, run_count=batch.run_count))
    intake = Intake(services.store, environment, batch, source=source_of(request))
    return reply(await intake.take_lines(request.stream()))


async def trigger_batch(request: Request) -> Response:
    """Take a whole batch in one request, as older clients send it (BA-08)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _whole_decoder, limit=MAX_ONE_REQUEST_BYTES)
    announced = CreateBatch(
        len(body.items),
        parent_run_id=body.parent_run_id,
        resume_parent_on_completion=body.resume_parent_on_completion,
        idempotency_key=request.headers.get("idempotency-key"),
    )
    wanted = check_batch(
        announced,
        request_key=request.headers.get("x-trigger-request-idempotency-key"),
        most=MAX_ITEMS_IN_ONE_REQUEST,
    )
    batch = (await services.store.write(create_batch, environment, wanted)).batch
    if not batch.is_sealed:
        intake = Intake(services.store, environment, batch, source=source_of(request))
        await intake.take_all(body.items[: batch.run_count])
    answer = TriggeredBatch(batch.id, batch.run_count)
    return reply(answer, status=202, headers=_token(services, environment, batch.id))


async def abort(request: Request) -> Response:
    """Give up a batch that will not be filled; one whose items all came stays (BA-09)."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    batch = await services.store.write(abort_batch, environment.id, request.path_params["batch_id"])
    return reply_json({"id": batch.id, "status": batch.status})


async def retrieve(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    facts = await services.store.read(read_batch, environment.id, request.path_params["batch_id"])
    return reply(batch_view(facts))


async def results(request: Request) -> Response:
    """The results of the runs that are over so far."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    batch_id = request.path_params["batch_id"]
    found = await services.store.read(read_results, environment.id, batch_id)
    return reply(BatchResults(batch_id, found))


async def list_all(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    query = request.query_params
    found = await services.store.read(
        list_batches,
        environment.id,
        size=page_size(query),
        after=query.get("page[after]") or None,
        before=query.get("page[before]") or None,
    )
    return reply(batch_page(found))


def _require_ndjson(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in NDJSON:
        raise UnsupportedMedia(f"Items are sent as {NDJSON[0]}, not as {kind or 'nothing in particular'}")


def _token(services: Services, environment: EnvironmentRow, batch_id: str) -> dict[str, str]:
    return {"x-trigger-jwt": services.keys.public_token(environment, [f"read:batch:{batch_id}"])}


ROUTES = [
    Route("/api/v3/batches", create, methods=["POST"]),
    Route("/api/v3/batches/{batch_id}/items", add_items, methods=["POST"]),
    Route("/api/v2/tasks/batch", trigger_batch, methods=["POST"]),
    Route("/api/v2/batches/{batch_id}", retrieve),
    Route("/api/v1/batches", list_all),
    Route("/api/v1/batches/{batch_id}", retrieve),
    Route("/api/v1/batches/{batch_id}/results", results),
    Route("/api/v1/batches/{batch_id}/abort", abort, methods=["POST"]),
]
