"""What stands before every page: headers, requests from other sites, the session, and the form token."""

import base64
import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trigger_lite.engine.accounts import find_session
from trigger_lite.protocol.errors import BadRequest, Forbidden
from trigger_lite.store.accounts import SessionRow
from trigger_lite.store.store import Store
from trigger_lite.web.codec import read_body
from trigger_lite.web.dashboard.cookies import is_secure, session_token

MAX_FORM_BYTES: Final = 65_536
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
_HSTS: Final = "max-age=31536000"


class Guard:
    """Adds the security headers to every answer and refuses what another site sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("cache-control", "no-store")
                if is_secure(connection):
                    headers["strict-transport-security"] = _HSTS
            await send(message)

        app = self._app
        if scope["method"] not in _SAFE and not is_same_site(connection):
            app = PlainTextResponse("This form was sent from another site; nothing was done.\n", 403)
        await app(scope, receive, send_with_headers)


class SignedIn:
    """Lets only signed-in browsers through; others are sent to the sign-in page and back afterwards."""

    def __init__(self, app: ASGIApp, *, store: Store) -> None:
        self._app = app
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        session = await current_session(self._store, request)
        if session is None:
            await _to_sign_in(request)(scope, receive, send)
            return
        scope.setdefault("state", {})["session"] = session
        await self._app(scope, receive, send)


def is_same_site(connection: HTTPConnection) -> bool:
    """Tell whether a page of this server sent the request, by what browsers say and scripts cannot forge."""
    fetch_site = connection.headers.get("sec-fetch-site")
    if fetch_site is not None:
        return fetch_site == "same-origin"
    origin = connection.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == connection.headers.get("host")


async def current_session(store: Store, connection: HTTPConnection) -> SessionRow | None:
    token = session_token(connection)
    return None if token is None else await store.read(find_session, token)


def session_of(request: Request) -> SessionRow:
    """Return the session of a request that came through SignedIn."""
    return cast(SessionRow, request.state.session)


def _to_sign_in(request: Request) -> Response:
    where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = "" if request.method not in _SAFE or where == "/" else f"?next={quote(where, safe='')}"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"hx-redirect": "/sign-in"})
    if request.headers.get("accept") == "text/event-stream":
        return Response(status_code=401)
    return RedirectResponse(f"/sign-in{back}", 303)


# ---- forms ------------------------------------------------------------------------------------------


async def read_form(request: Request, *, limit: int = MAX_FORM_BYTES) -> dict[str, str]:
    """Return the fields of a posted form. Raises BadRequest or TooLarge."""
    body = await read_body(request, limit=limit)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
    except ValueError as error:
        raise BadRequest("The form could not be read") from error


async def read_checked_form(request: Request, *, limit: int = MAX_FORM_BYTES) -> dict[str, str]:
    """Return the fields of a form that carries its session's token. Raises Forbidden without it."""
    form = await read_form(request, limit=limit)
    check_form_token(request.headers, form, session_of(request))
    return form


def check_form_token(headers: Mapping[str, str], form: Mapping[str, str], session: SessionRow) -> None:
    sent = unmask(form.get("form_token") or headers.get("x-form-token") or "")
    if not hmac.compare_digest(sent.encode(), session.form_token.encode()):
        raise Forbidden("The form is from an earlier session; go back, reload the page and send it again")


def mask(token: str) -> str:
    """Return the token in a new disguise for each page, so that compressed pages do not give it away."""
    plain = token.encode()
    pad = secrets.token_bytes(len(plain))
    mixed = bytes(a ^ b for a, b in zip(plain, pad, strict=True))
    return base64.urlsafe_b64encode(pad + mixed).decode()


def unmask(masked: str) -> str:
    """Return the token behind a mask; an empty text when it is none."""
    try:
        raw = base64.urlsafe_b64decode(masked)
        pad, mixed = raw[: len(raw) // 2], raw[len(raw) // 2 :]
        return bytes(a ^ b for a, b in zip(pad, mixed, strict=True)).decode()
    except ValueError:
        return ""


def is_exposed(connection: HTTPConnection) -> bool:
    """Tell whether others on the network could read along: no TLS, and not this machine itself."""
    host = connection.url.hostname or ""
    if is_secure(connection) or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
