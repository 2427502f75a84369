"""Telling the server what this worker offers, over plain HTTP; blocking, for a thread."""

from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from trigger_lite.protocol.manifest import RegisteredWorker, RegisterWorker

T = TypeVar("T")

_TIMEOUT_SECONDS: Final = 30.0


class ServerUnreachable(Exception):
    """The server does not answer, or cannot just now; it is worth trying again."""


class KeyRefused(Exception):
    """The server does not know the key, or the key may not do this."""


class RegistrationRefused(Exception):
    """The server understood and said no; the message is its own."""


class _Project(msgspec.Struct, rename="camel"):
    external_ref: str


class _WhoAmI(msgspec.Struct, rename="camel"):
    project: _Project


def register(url: str, key: str, body: RegisterWorker) -> RegisteredWorker:
    """Register a version and return what the server calls it; the same sources keep their version.

    Raises ServerUnreachable, KeyRefused or RegistrationRefused.
    """
    who = _request(url, key, "GET", "/api/v1/whoami", None, _WhoAmI)
    path = f"/api/v1/projects/{quote(who.project.external_ref, safe='')}/background-workers"
    return _request(url, key, "POST", path, msgspec.json.encode(body), RegisteredWorker)


def _request(url: str, key: str, method: str, path: str, body: bytes | None, answer: type[T]) -> T:
    import http.client  # needed once for each version of the code

    parts = urlsplit(url)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        connection.request(method, parts.path.rstrip("/") + path, body, headers)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerUnreachable(f"{parts.netloc} does not answer: {error}") from error
    finally:
        connection.close()
    _check(response.status, content, path)
    try:
        return msgspec.json.decode(content, type=answer)
    except msgspec.DecodeError as error:
        raise RegistrationRefused(f"{url} does not answer like a trigger-lite server: {error}") from error


def _check(status: int, content: bytes, path: str) -> None:
    if status < 300:
        return
    reason = _reason(content) or f"HTTP status {status}"
    if status in (401, 403):
        raise KeyRefused(reason)
    if status >= 500 or status in (408, 429):
        raise ServerUnreachable(f"the server answered {path} with {reason}")
    raise RegistrationRefused(reason)


def _reason(content: bytes) -> str:
    try:
        body = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return ""
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, str) else ""
