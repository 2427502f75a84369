"""Batches: the list, and one with its progress and its runs."""

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from trigger_lite.engine.batches import abort_batch
from trigger_lite.protocol.errors import NotFound
from trigger_lite.store import batches
from trigger_lite.store.batch_lists import list_batches
from trigger_lite.store.run_lists import list_errors, list_rows
from trigger_lite.store.transaction import Reader
from trigger_lite.web.dashboard.batch_views import BatchFacts, batch_list_view, batch_view
from trigger_lite.web.dashboard.dashboard import Dashboard, now_ms
from trigger_lite.web.dashboard.guard import read_checked_form
from trigger_lite.web.numbers import whole_number

PAGE: Final = 50
ITEMS: Final = 100
"""Items of a batch on one page."""


async def batches_page(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    after, before = (request.query_params.get(name) or None for name in ("after", "before"))
    found = await dashboard.services.store.read(
        list_batches, environment.id, size=PAGE, after=after, before=before
    )
    view = batch_list_view(found, slug=environment.slug, now=now_ms(), is_newest=not (after or before))
    return dashboard.reply(request, view, dashboard.shell(request, "Batches", "batches"))


async def batch_page(dashboard: Dashboard, request: Request) -> Response:
    """One batch; the page asks for itself again while it goes on."""
    environment = dashboard.environment(request)
    start = min(whole_number(request.query_params.get("from", "0")) or 0, 1_000_000)
    batch_id = request.path_params["batch_id"]
    facts = await dashboard.services.store.read(_read, environment.id, batch_id, start)
    view = batch_view(facts, slug=environment.slug, start=start, most=ITEMS)
    return dashboard.reply(request, view, dashboard.shell(request, "Batch", "batches"))


async def abort(dashboard: Dashboard, request: Request) -> Response:
    """Give up a batch that is not filled."""
    environment = dashboard.environment(request)
    await read_checked_form(request)
    batch_id = request.path_params["batch_id"]
    await dashboard.services.store.write(abort_batch, environment.id, batch_id)
    return RedirectResponse(f"/{environment.slug}/batches/{batch_id}", 303)


def _read(tx: Reader, environment_id: str, batch_id: str, start: int) -> BatchFacts:
    batch = batches.find_batch_in(tx, environment_id, batch_id)
    if batch is None:
        raise NotFound("There is no such batch in this environment.")
    items = batches.list_items(tx, batch_id, start=start, count=ITEMS + 1)
    run_ids = sorted({item.run_id for item in items if item.run_id is not None})
    rows = {run.id: run for run in list_rows(tx, run_ids)}
    return BatchFacts(batch, items, rows, list_errors(tx, [r.id for r in rows.values() if r.is_failed]))
