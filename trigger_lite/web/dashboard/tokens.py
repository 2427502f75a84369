"""Wait tokens: the list, one token, and completing it by hand."""

from typing import Final

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from trigger_lite.engine.waits import complete_token
from trigger_lite.protocol.errors import BadRequest, NotFound
from trigger_lite.protocol.waitpoints import MAX_TOKEN_DATA_BYTES, WaitpointKind
from trigger_lite.store.run_lists import list_rows
from trigger_lite.store.token_lists import STATUSES, TokenFilter, TokenRows, list_tokens
from trigger_lite.store.transaction import Reader
from trigger_lite.store.waitpoints import find_output, find_waitpoint_in, list_waiting_runs
from trigger_lite.web.dashboard.dashboard import Dashboard, now_ms
from trigger_lite.web.dashboard.guard import read_checked_form
from trigger_lite.web.dashboard.token_page_views import TokenFacts, token_list_view, token_page_view

PAGE: Final = 50
WAITING_SHOWN: Final = 50


async def tokens_page(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    status = request.query_params.get("status", "")
    wanted = TokenFilter(environment_id=environment.id, statuses=(status,) if status in STATUSES else ())
    after, before = request.query_params.get("after"), request.query_params.get("before")

    def read(tx: Reader) -> TokenRows:
        return list_tokens(tx, wanted, size=PAGE, after=after or None, before=before or None)

    page = await dashboard.services.store.read(read)
    view = token_list_view(page, slug=environment.slug, status=status, now=now_ms())
    return dashboard.reply(request, view, dashboard.shell(request, "Tokens", "tokens"))


async def token_page(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    facts = await dashboard.services.store.read(_read, environment.id, request.path_params["waitpoint_id"])
    view = token_page_view(facts, slug=environment.slug, now=now_ms())
    return dashboard.reply(request, view, dashboard.shell(request, "Token", "tokens"))


async def complete(dashboard: Dashboard, request: Request) -> Response:
    """Complete a token with the JSON that was typed (WP-02: the first completion wins)."""
    environment = dashboard.environment(request)
    output, output_type = _typed(await read_checked_form(request))
    waitpoint_id = request.path_params["waitpoint_id"]
    await dashboard.services.store.write(complete_token, environment.id, waitpoint_id, output, output_type)
    return RedirectResponse(f"/{environment.slug}/tokens/{waitpoint_id}", 303)


async def raw_output(dashboard: Dashboard, request: Request) -> Response:
    """Answer with what a token was completed with, to be saved."""
    environment = dashboard.environment(request)
    waitpoint_id = request.path_params["waitpoint_id"]
    facts = await dashboard.services.store.read(_read, environment.id, waitpoint_id)
    if facts.output is None:
        raise NotFound("This token has no output")
    headers = {"content-disposition": f'attachment; filename="{waitpoint_id}-output.json"'}
    body = facts.output.encode(errors="replace")
    return Response(body, media_type="application/octet-stream", headers=headers)


def _read(tx: Reader, environment_id: str, waitpoint_id: str) -> TokenFacts:
    token = find_waitpoint_in(tx, environment_id, waitpoint_id)
    if token is None or token.kind != WaitpointKind.MANUAL:
        raise NotFound("There is no such token in this environment")
    waiting = list_waiting_runs(tx, waitpoint_id)
    runs = list_rows(tx, waiting[-WAITING_SHOWN:])
    return TokenFacts(token, find_output(tx, waitpoint_id), runs, len(waiting))


def _typed(form: dict[str, str]) -> tuple[str | None, str | None]:
    """Return the JSON of the form as a token keeps it. Raises BadRequest for what is none."""
    text = form.get("data", "").strip()
    if not text:
        return None, None
    if len(text.encode()) > MAX_TOKEN_DATA_BYTES:
        raise BadRequest(f"The data is over the limit of {MAX_TOKEN_DATA_BYTES} bytes")
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The data is not JSON: {error}. Text is written in quotes") from None
    if isinstance(data, str):
        return data, "text/plain"
    return msgspec.json.encode(data).decode(), "application/json"
