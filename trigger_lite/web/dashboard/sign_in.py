"""Signing in: once by the link that the server printed, then by the password that was set."""

import asyncio
import math
import secrets
from dataclasses import dataclass
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from trigger_lite.engine import accounts
from trigger_lite.engine.accounts import NewSession
from trigger_lite.engine.passwords import SHORTEST, hash_password, password_matches, weakness
from trigger_lite.protocol.errors import Unauthorized
from trigger_lite.store.accounts import AccountRow
from trigger_lite.web.dashboard.cookies import THEMES, clear_session, session_token, set_choice, set_session
from trigger_lite.web.dashboard.dashboard import Dashboard
from trigger_lite.web.dashboard.guard import current_session, read_checked_form, read_form


@dataclass(frozen=True)
class SignInView:
    """The sign-in page. `mode` is password, link (sets one), used (a dead link) or unready (none is set).

    `token` is the link's, `next` where to go afterwards, `error` what was wrong with the last try.
    """

    template: ClassVar[str] = "sign_in.html"

    mode: str
    token: str = ""
    next: str = ""
    error: str = ""
    shortest: int = SHORTEST


async def sign_in_page(dashboard: Dashboard, request: Request) -> Response:
    store = dashboard.services.store
    token = request.query_params.get("token", "")
    if token:
        usable = await store.read(accounts.is_usable_link, token)
        return _page(dashboard, request, SignInView("link" if usable else "used", token=token))
    if await current_session(store, request) is not None:
        return RedirectResponse("/", 303)
    unready = await store.read(accounts.needs_first_link)
    view = SignInView("unready" if unready else "password", next=request.query_params.get("next", ""))
    return _page(dashboard, request, view)


async def submit_sign_in(dashboard: Dashboard, request: Request) -> Response:
    form = await read_form(request)
    if form.get("token"):
        return await _by_link(dashboard, request, form["token"], form.get("password", ""))
    return await _by_password(dashboard, request, form.get("password", ""), form.get("next", ""))


async def sign_out(dashboard: Dashboard, request: Request) -> Response:
    await read_checked_form(request)
    await dashboard.services.store.write(accounts.sign_out, session_token(request) or "")
    response = RedirectResponse("/sign-in", 303)
    clear_session(request, response)
    return response


async def choose_theme(dashboard: Dashboard, request: Request) -> Response:
    form = await read_form(request)
    response = RedirectResponse(local_path(form.get("next", "")), 303)
    if form.get("theme") in THEMES:
        set_choice(request, response, "theme", form["theme"])
    return response


# ---- the two ways in --------------------------------------------------------------------------------


async def _by_link(dashboard: Dashboard, request: Request, token: str, password: str) -> Response:
    reason = weakness(password)
    if reason is not None:
        return _page(dashboard, request, SignInView("link", token=token, error=reason), status=422)
    async with dashboard.hashing:
        hashed = await asyncio.to_thread(hash_password, password, secrets.token_bytes(16))
    session = _new_session(request)
    try:
        await dashboard.services.store.write(accounts.sign_in_by_link, token, hashed, session)
    except Unauthorized:
        return _page(dashboard, request, SignInView("used"), status=401)
    return _enter(request, session, "/")


async def _by_password(dashboard: Dashboard, request: Request, password: str, following: str) -> Response:
    wait = _claim_try(dashboard, request)
    if wait > 0:
        error = f"Too many wrong passwords. Try again in {math.ceil(wait)} s."
        response = _page(dashboard, request, SignInView("password", next=following, error=error), status=429)
        response.headers["retry-after"] = str(math.ceil(wait))
        return response
    owner = await dashboard.services.store.read(accounts.find_owner)
    if owner is None or not await _is_password_of(dashboard, owner, password):
        view = SignInView("password", next=following, error="That is not the password.")
        return _page(dashboard, request, view, status=401)
    session = _new_session(request)
    await dashboard.services.store.write(accounts.sign_in, owner.id, owner.password_hash or "", session)
    dashboard.by_address.succeeded([_address(request)])
    dashboard.by_account.succeeded([accounts.OWNER])
    return _enter(request, session, local_path(following))


def _claim_try(dashboard: Dashboard, request: Request) -> float:
    """Count a try as failed until it proves right, so that many at once gain nothing; returns the wait."""
    wait = max(
        dashboard.by_address.wait_seconds([_address(request)]),
        dashboard.by_account.wait_seconds([accounts.OWNER]),
    )
    if wait <= 0:
        dashboard.by_address.failed([_address(request)])
        dashboard.by_account.failed([accounts.OWNER])
    return wait


async def _is_password_of(dashboard: Dashboard, owner: AccountRow, password: str) -> bool:
    if owner.password_hash is None:
        return False
    async with dashboard.hashing:
        return await asyncio.to_thread(password_matches, password, owner.password_hash)


def _new_session(request: Request) -> NewSession:
    return NewSession(secrets.token_urlsafe(32), secrets.token_urlsafe(24), replaced=session_token(request))


def _enter(request: Request, session: NewSession, where: str) -> Response:
    response = RedirectResponse(where, 303)
    set_session(request, response, session.token)
    return response


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def local_path(text: str) -> str:
    """Return the path to go on to: one of this server's own, never another site's."""
    is_local = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_local and "\\" not in text else "/"


def _page(dashboard: Dashboard, request: Request, view: SignInView, *, status: int = 200) -> Response:
    return dashboard.reply(request, view, dashboard.shell(request, "Sign in"), status=status)
