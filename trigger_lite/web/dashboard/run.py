"""One run: its page, older log lines, raw values, and what one can do to it with a button."""

from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.delays import reschedule
from trigger_lite.engine.replay import replay_run
from trigger_lite.engine.requests import check_delay
from trigger_lite.protocol.errors import NotFound
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.web.dashboard.dashboard import Dashboard, now_ms, reply_html
from trigger_lite.web.dashboard.guard import read_checked_form
from trigger_lite.web.dashboard.log_views import END, known_level, lines_view, log_view, raw_line, read_newest
from trigger_lite.web.dashboard.reads import read_data, read_log_page, read_run, require_run
from trigger_lite.web.dashboard.run_views import RunFacts, RunView, run_view

SETTLED_MS: Final = 60_000
"""A run that ended this long ago changes no more."""
_VALUES: Final = ("payload", "output", "metadata")


async def run_page(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    level = known_level(request.query_params.get("level", ""))
    before = request.query_params.get("before", "")
    view = await read_view(
        dashboard,
        environment,
        request.path_params["run_id"],
        level=level,
        before=int(before) if before.isdigit() and len(before) < 19 else END,
    )
    shell = dashboard.shell(request, f"{view.head.status.word} {view.head.task}", "runs")
    return dashboard.reply(request, view, shell)


async def older_lines(dashboard: Dashboard, request: Request) -> Response:
    """Answer with the page of log lines before one, as a fragment."""
    environment = dashboard.environment(request)
    run_id = request.path_params["run_id"]
    await dashboard.services.store.read(require_run, environment.id, run_id)
    level = known_level(request.query_params.get("level", ""))
    before = request.query_params.get("before", "")
    at = int(before) if before.isdigit() and len(before) < 19 else END
    rows = await dashboard.services.telemetry.read(read_newest, run_id, level, at)
    view = lines_view(rows, base=f"/{environment.slug}/runs/{run_id}", level=level)
    return reply_html(request, dashboard.pages.fragment("_lines.html", view))


async def raw_logs(dashboard: Dashboard, request: Request) -> Response:
    """Answer with every line as plain text, read page by page while it is sent."""
    environment = dashboard.environment(request)
    run_id = request.path_params["run_id"]
    await dashboard.services.store.read(require_run, environment.id, run_id)
    headers = {"content-disposition": f'attachment; filename="{run_id}.log"'}
    return StreamingResponse(
        _raw_lines(dashboard, run_id), media_type="text/plain; charset=utf-8", headers=headers
    )


async def raw_value(dashboard: Dashboard, request: Request) -> Response:
    """Answer with a payload, an output or metadata as it is stored, to be saved."""
    environment = dashboard.environment(request)
    run_id, name = request.path_params["run_id"], request.path_params["value"]
    data = await dashboard.services.store.read(read_data, environment.id, run_id)
    text = getattr(data, name) if name in _VALUES else None
    if text is None:
        raise NotFound(f"This run has no {name}")
    headers = {"content-disposition": f'attachment; filename="{run_id}-{name}.json"'}
    return Response(text.encode(errors="replace"), media_type="application/octet-stream", headers=headers)


async def cancel(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    await read_checked_form(request)
    run = await dashboard.services.store.write(cancel_run, environment.id, request.path_params["run_id"])
    return RedirectResponse(f"/{environment.slug}/runs/{run.id}", 303)


async def replay(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    await read_checked_form(request)
    run_id = request.path_params["run_id"]
    made = await dashboard.services.store.write(replay_run, environment, run_id, "dashboard")
    return RedirectResponse(f"/{environment.slug}/runs/{made.run_id}", 303)


async def reschedule_run(dashboard: Dashboard, request: Request) -> Response:
    """Let a delayed run start at another time."""
    environment = dashboard.environment(request)
    form = await read_checked_form(request)
    until = check_delay(form.get("delay", "").strip(), now_ms())
    run_id = request.path_params["run_id"]
    run = await dashboard.services.store.write(reschedule, environment.id, run_id, until)
    return RedirectResponse(f"/{environment.slug}/runs/{run.id}", 303)


# ---- reading ----------------------------------------------------------------------------------------


async def read_view(
    dashboard: Dashboard, environment: EnvironmentRow, run_id: str, *, level: str, before: int = END
) -> RunView:
    """Return the whole page of a run as of now. Raises RunNotFound."""
    services = dashboard.services
    position = dashboard.hub.position
    connected = services.dispatcher.connected(environment.id)
    facts = await services.store.read(read_run, environment.id, run_id, connected)
    lines = await services.telemetry.read(read_newest, run_id, level, before)
    base = f"/{environment.slug}/runs/{run_id}"
    log = log_view(lines, base=base, level=level, follows=facts.run.completed_at is None and before == END)
    topic = f"run:{run_id}:{level}"
    live = f"/{environment.slug}/sse?topics={topic}&since={position}.{log.last_seq}"
    now = now_ms()
    return run_view(
        facts, slug=environment.slug, now=now, log=log, live_href=live if _may_change(facts, now) else ""
    )


def _may_change(facts: RunFacts, now: int) -> bool:
    """Tell whether a run's page is worth keeping live: its last lines and metadata come after its end."""
    return facts.run.completed_at is None or now - facts.run.completed_at < SETTLED_MS


async def _raw_lines(dashboard: Dashboard, run_id: str) -> AsyncIterator[bytes]:
    after = 0
    while rows := await dashboard.services.telemetry.read(read_log_page, run_id, after):
        yield "".join(raw_line(row) for row in rows).encode(errors="replace")
        after = rows[-1].seq
