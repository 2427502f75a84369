"""Cookies: the session, and two choices of the browser's own that are no secret."""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from trigger_lite.engine.accounts import SESSION_MS
from trigger_lite.web.services import services_of

THEMES: Final = ("system", "light", "dark")
_YEAR: Final = 31_536_000


def is_secure(connection: HTTPConnection) -> bool:
    """Tell whether the browser reached the server by TLS: here, or at the proxy that `public_url` names."""
    if connection.url.scheme == "https":
        return True
    public = urlsplit(services_of(connection).public_url)
    return public.scheme == "https" and public.netloc == connection.headers.get("host")


def session_cookie(connection: HTTPConnection) -> str:
    """Name the session's cookie; without TLS it carries the port, because ports of one host share cookies."""
    return "__Host-trigger-lite" if is_secure(connection) else f"trigger-lite-{connection.url.port or 80}"


def session_token(connection: HTTPConnection) -> str | None:
    return connection.cookies.get(session_cookie(connection)) or None


def set_session(request: Request, response: Response, token: str) -> None:
    response.set_cookie(
        session_cookie(request),
        token,
        max_age=SESSION_MS // 1_000,
        path="/",
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )


def clear_session(request: Request, response: Response) -> None:
    response.delete_cookie(
        session_cookie(request), path="/", secure=is_secure(request), httponly=True, samesite="lax"
    )


def theme_of(connection: HTTPConnection) -> str:
    chosen = connection.cookies.get("theme", "system")
    return chosen if chosen in THEMES else "system"


def set_choice(request: Request, response: Response, name: str, value: str) -> None:
    """Remember a choice of this browser, such as its theme or the environment it looked at last."""
    response.set_cookie(
        name, value, max_age=_YEAR, path="/", secure=is_secure(request), httponly=True, samesite="lax"
    )
