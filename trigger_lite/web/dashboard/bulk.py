"""Bulk actions: from a filter or ticked rows to the question, the answer, and its progress."""

from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from trigger_lite.engine.bulk_actions import abort_bulk_action
from trigger_lite.protocol.bulk_actions import MAX_NAME, MAX_RUN_IDS
from trigger_lite.protocol.errors import BadRequest, NotFound
from trigger_lite.protocol.ids import is_id
from trigger_lite.store.bulk_actions import (
    BulkActionRow,
    BulkItemRow,
    find_bulk_action_in,
    list_bulk_actions,
    list_failed,
)
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.run_lists import count_runs
from trigger_lite.store.transaction import Reader
from trigger_lite.web.bulk_starts import start_bulk_action
from trigger_lite.web.dashboard.bulk_views import (
    VERBS,
    NewBulkView,
    bulk_list_view,
    bulk_view,
    filter_facts,
    meant_text,
)
from trigger_lite.web.dashboard.dashboard import Dashboard, now_ms
from trigger_lite.web.dashboard.filters import RunQuery, parse_query
from trigger_lite.web.dashboard.guard import read_checked_form

PAGE: Final = 50
FAILED_SHOWN: Final = 50


async def new_page(dashboard: Dashboard, request: Request) -> Response:
    """Ask before anything is done: how many runs, which, and what."""
    environment = dashboard.environment(request)
    params = request.query_params
    kind, run_ids = _kind(params.get("kind", "")), _run_ids(params.getlist("run"))
    query = parse_query(params.multi_items()).first_page()
    if run_ids:
        count, query = len(run_ids), RunQuery()
    else:
        wanted = query.run_filter(environment.id, now_ms())
        count = await dashboard.services.store.search(count_runs, wanted)
    view = NewBulkView(
        kind=kind,
        verb=VERBS[kind],
        meant=meant_text(kind, count, is_filter=not run_ids),
        facts=tuple(filter_facts(query.run_filter(environment.id, now_ms()))),
        query=query.query_string(),
        run_ids=" ".join(run_ids),
        post_href=f"/{environment.slug}/bulk",
        back_href=_back(environment, params),
        is_empty=count == 0,
    )
    return dashboard.reply(request, view, dashboard.shell(request, f"{VERBS[kind]} runs", "runs"))


async def create(dashboard: Dashboard, request: Request) -> Response:
    """Begin what the question was about."""
    environment = dashboard.environment(request)
    form = await read_checked_form(request)
    kind, run_ids = _kind(form.get("kind", "")), _run_ids(form.get("run_ids", "").split())
    query = parse_query(parse_qsl(form.get("query", "").removeprefix("?")))
    bulk_id = await start_bulk_action(
        dashboard.services.store,
        environment,
        kind,
        run_ids or query.run_filter(environment.id, now_ms()),
        source="dashboard",
        name=form.get("name", "").strip()[:MAX_NAME] or None,
    )
    return RedirectResponse(f"/{environment.slug}/bulk/{bulk_id}", 303)


async def bulk_page(dashboard: Dashboard, request: Request) -> Response:
    """One bulk action; the page asks for itself again while it goes on."""
    environment = dashboard.environment(request)
    bulk_id = request.path_params["bulk_id"]
    bulk, failed = await dashboard.services.store.read(_read, environment.id, bulk_id)
    view = bulk_view(bulk, failed, slug=environment.slug, most=FAILED_SHOWN)
    return dashboard.reply(request, view, dashboard.shell(request, view.title, "runs"))


async def bulk_list(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    query = request.query_params
    page = await dashboard.services.store.read(
        list_bulk_actions,
        environment.id,
        size=PAGE,
        after=query.get("after") or None,
        before=query.get("before") or None,
    )
    view = bulk_list_view(page, slug=environment.slug, now=now_ms())
    return dashboard.reply(request, view, dashboard.shell(request, "Bulk actions", "runs"))


async def abort(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    await read_checked_form(request)
    bulk_id = request.path_params["bulk_id"]
    await dashboard.services.store.write(abort_bulk_action, environment.id, bulk_id)
    return RedirectResponse(f"/{environment.slug}/bulk/{bulk_id}", 303)


def _kind(text: str) -> str:
    if text not in VERBS:
        raise BadRequest("Runs can be cancelled or replayed; this form asks for something else")
    return text


def _run_ids(given: list[str]) -> tuple[str, ...]:
    """Return the runs that were ticked, in order. Raises BadRequest for what is no run, or too many."""
    run_ids = tuple(sorted(set(given)))
    if not all(is_id("run", run_id) for run_id in run_ids):
        raise BadRequest("The form names something that is not a run")
    if len(run_ids) > MAX_RUN_IDS:
        raise BadRequest(f"At most {MAX_RUN_IDS} runs can be named; use a filter for more")
    return run_ids


def _back(environment: EnvironmentRow, params: QueryParams) -> str:
    return f"/{environment.slug}/runs{parse_query(params.multi_items()).query_string()}"


def _read(tx: Reader, environment_id: str, bulk_id: str) -> tuple[BulkActionRow, list[BulkItemRow]]:
    bulk = find_bulk_action_in(tx, environment_id, bulk_id)
    if bulk is None:
        raise NotFound("There is no such bulk action in this environment.")
    return bulk, list_failed(tx, bulk_id, count=FAILED_SHOWN + 1)
