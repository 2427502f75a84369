"""Bulk actions: cancel or replay many runs (management-api 9.2)."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trigger_lite.engine.bulk_actions import abort_bulk_action
from trigger_lite.engine.requests import clean
from trigger_lite.protocol.bulk_actions import (
    BulkAction,
    BulkActionId,
    BulkActionPage,
    BulkCounts,
    CreateBulkAction,
)
from trigger_lite.protocol.errors import NotFound
from trigger_lite.protocol.pages import Pagination
from trigger_lite.protocol.times import iso
from trigger_lite.store.bulk_actions import BulkActionRow, find_bulk_action_in, list_bulk_actions
from trigger_lite.web.api.bulk_filters import parse_selection
from trigger_lite.web.api.filters import page_size
from trigger_lite.web.api.sources import source_of
from trigger_lite.web.auth import environment_of
from trigger_lite.web.bulk_starts import start_bulk_action
from trigger_lite.web.codec import read_message, reply
from trigger_lite.web.services import services_of

MAX_BODY: Final = 1_048_576
_decoder: Final = msgspec.json.Decoder(CreateBulkAction)


async def create(request: Request) -> Response:
    """Make a bulk action; the answer is sent when it is on disk, before any run is touched."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    body = await read_message(request, _decoder, limit=MAX_BODY)
    bulk_id = await start_bulk_action(
        services.store,
        environment,
        body.action,
        parse_selection(environment.id, body),
        source=source_of(request),
        name=clean(body.name),
        request_key=request.headers.get("x-trigger-request-idempotency-key"),
    )
    return reply(BulkActionId(bulk_id), status=202)


async def list_all(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    query = request.query_params
    page = await services.store.read(
        list_bulk_actions,
        environment.id,
        size=page_size(query),
        after=query.get("page[after]") or None,
        before=query.get("page[before]") or None,
    )
    pagination = Pagination(next=page.next, previous=page.previous)
    return reply(BulkActionPage([bulk_view(row) for row in page.rows], pagination))


async def retrieve(request: Request) -> Response:
    services = services_of(request)
    environment = environment_of(request, services.keys)
    row = await services.store.read(find_bulk_action_in, environment.id, request.path_params["bulk_id"])
    if row is None:
        raise NotFound("Bulk action not found")
    return reply(bulk_view(row))


async def abort(request: Request) -> Response:
    """Do no more of a bulk action; runs that it reached stay as they are."""
    services = services_of(request)
    environment = environment_of(request, services.keys)
    bulk_id = request.path_params["bulk_id"]
    await services.store.write(abort_bulk_action, environment.id, bulk_id)
    return reply(BulkActionId(bulk_id))


def bulk_view(row: BulkActionRow) -> BulkAction:
    """Return a bulk action as clients read it; what could not be counted is as many as were done."""
    total = row.success + row.failure if row.total is None else row.total
    return BulkAction(
        id=row.id,
        type=row.kind.upper(),
        status=row.status,
        counts=BulkCounts(total, row.success, row.failure),
        created_at=iso(row.created_at),
        name=row.name,
        completed_at=None if row.completed_at is None else iso(row.completed_at),
    )


ROUTES = [
    Route("/api/v1/bulk-actions", create, methods=["POST"]),
    Route("/api/v1/bulk-actions", list_all, methods=["GET"]),
    Route("/api/v1/bulk-actions/{bulk_id}", retrieve),
    Route("/api/v1/bulk-actions/{bulk_id}/abort", abort, methods=["POST"]),
]
