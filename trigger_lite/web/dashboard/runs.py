"""The list of runs: page, JSON and CSV twins, the redirect to where one was last."""

import csv
import io
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from trigger_lite.engine.run_json import decode_tags
from trigger_lite.protocol.statuses import RunStatus, api_status
from trigger_lite.protocol.times import iso
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.run_lists import RunPage, list_runs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Reader
from trigger_lite.web.codec import reply_json
from trigger_lite.web.dashboard.cookies import set_choice
from trigger_lite.web.dashboard.dashboard import Dashboard, now_ms
from trigger_lite.web.dashboard.filters import add_words, pack, parse_query, problems
from trigger_lite.web.dashboard.list_views import ListView, cause_of, list_view
from trigger_lite.web.dashboard.reads import failed_errors, newest_environment, read_list

EXPORT: Final = 1_000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


async def home(dashboard: Dashboard, request: Request) -> Response:
    """Go to the environment that this browser looked at last, or else the one with the newest run."""
    keys = dashboard.services.keys
    last = keys.by_slug(request.cookies.get("environment", ""))
    if last is None:
        newest = await dashboard.services.store.read(newest_environment, [e.id for e in keys.environments()])
        last = next((e for e in keys.environments() if e.id == newest), keys.by_slug("prod"))
    return RedirectResponse(f"/{last.slug if last else 'prod'}/runs", 303)


async def runs_page(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    pairs = request.query_params.multi_items()
    if "q" in request.query_params:
        query = add_words(parse_query(pairs), request.query_params["q"])
        return RedirectResponse(f"/{environment.slug}/runs{query.first_page().query_string()}", 303)
    view = await _read_view(dashboard, environment, pairs)
    response = dashboard.reply(request, view, dashboard.shell(request, "Runs", "runs"))
    set_choice(request, response, "environment", environment.slug)
    return response


async def runs_json(dashboard: Dashboard, request: Request) -> Response:
    page, errors = await _export(dashboard, request)
    rows = [_exported(run, errors.get(run.id)) for run in page.rows]
    cursors = {"next": page.next, "previous": page.previous}
    return reply_json({"data": rows, "pagination": {k: v for k, v in cursors.items() if v is not None}})


async def runs_csv(dashboard: Dashboard, request: Request) -> Response:
    page, errors = await _export(dashboard, request)
    text = io.StringIO()
    writer = csv.writer(text)
    rows = [_exported(run, errors.get(run.id)) for run in page.rows]
    writer.writerow(_COLUMNS)
    writer.writerows(_cells(row) for row in rows)
    headers = {"content-disposition": 'attachment; filename="runs.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


async def _read_view(
    dashboard: Dashboard, environment: EnvironmentRow, pairs: list[tuple[str, str]]
) -> ListView:
    """Return the page of a list as of now; `pairs` are those of its address."""
    services, slug, query = dashboard.services, environment.slug, parse_query(pairs)
    position = dashboard.hub.position
    facts = await services.store.search(read_list, environment.id, query)
    counts = await dashboard.counts.of(environment.id)
    return list_view(
        facts,
        query,
        slug=slug,
        now=now_ms(),
        counts=counts.by_tab,
        problems=problems(pairs),
        live_href=f"/{slug}/sse?topics=runs:{pack(query)}&since={position}",
        has_worker=services.dispatcher.connected(environment.id) > 0,
    )


# ---- twins ------------------------------------------------------------------------------------------


async def _export(dashboard: Dashboard, request: Request) -> tuple[RunPage, dict[str, str]]:
    environment = dashboard.environment(request)
    query = parse_query(request.query_params.multi_items())

    def read(tx: Reader) -> tuple[RunPage, dict[str, str]]:
        wanted = query.run_filter(environment.id, tx.now)
        page = list_runs(tx, wanted, size=EXPORT, after=query.after or None, before=query.before or None)
        return page, failed_errors(tx, page.rows)

    return await dashboard.services.store.search(read)


_COLUMNS: Final = (
    "id",
    "task",
    "status",
    "attempt",
    "tags",
    "queue",
    "triggeredAt",
    "startedAt",
    "finishedAt",
    "durationMs",
    "error",
)


def _exported(run: RunRow, error: str | None) -> dict[str, Any]:
    ended = run.completed_at
    return {
        "id": run.id,
        "task": run.task_id,
        "status": api_status(RunStatus(run.status)).value,
        "attempt": run.attempt,
        "tags": decode_tags(run.tags),
        "queue": run.queue_name,
        "triggeredAt": iso(run.created_at),
        "startedAt": None if run.executed_at is None else iso(run.executed_at),
        "finishedAt": None if ended is None else iso(ended),
        "durationMs": None if ended is None or run.executed_at is None else ended - run.executed_at,
        "error": cause_of(error) or None,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    """Return the cells of a line; a spreadsheet must not take any for a formula."""
    texts = [" ".join(v) if isinstance(v, list) else "" if v is None else str(v) for v in row.values()]
    return [f"'{text}" if text.startswith(_FORMULA) else text for text in texts]
