"""Telling the server what this worker offers.

Two requests for each version of the code, written out: `http.client` and the thread it would need cost
more memory than everything else here.
"""

import asyncio
import ssl
from typing import Final, TypeVar
from urllib.parse import SplitResult, quote, urlsplit

import msgspec
from websockets.exceptions import WebSocketException
from websockets.http11 import Response
from websockets.streams import StreamReader

from trigger_lite.protocol.manifest import RegisteredWorker, RegisterWorker
from trigger_lite.worker.connection import reason_of

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


async def register(url: str, key: str, body: RegisterWorker) -> RegisteredWorker:
    """Register a version and return what the server calls it; the same sources keep their version.

    Raises ServerUnreachable, KeyRefused or RegistrationRefused.
    """
    who = await _request(url, key, "GET", "/api/v1/whoami", b"", _WhoAmI)
    path = f"/api/v1/projects/{quote(who.project.external_ref, safe='')}/background-workers"
    return await _request(url, key, "POST", path, msgspec.json.encode(body), RegisteredWorker)


async def _request(url: str, key: str, method: str, path: str, body: bytes, answer: type[T]) -> T:
    parts = urlsplit(url)
    head = (
        f"{method} {parts.path.rstrip('/')}{path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            response = _parse(await _exchange(parts, head.encode() + body))
    except (OSError, EOFError, TimeoutError) as error:
        raise ServerUnreachable(f"{parts.netloc} does not answer: {reason_of(error)}") from error
    except (ValueError, LookupError, WebSocketException) as error:
        raise RegistrationRefused(f"{url} does not answer like a web server: {error}") from error
    _check(response.status_code, bytes(response.body), path)
    try:
        return msgspec.json.decode(response.body, type=answer)
    except msgspec.DecodeError as error:
        raise RegistrationRefused(f"{url} does not answer like a trigger-lite server: {error}") from error


async def _exchange(parts: SplitResult, request: bytes) -> bytes:
    """Send a request and return everything that comes back."""
    is_secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or (443 if is_secure else 80),
        ssl=ssl.create_default_context() if is_secure else None,
    )
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


def _parse(data: bytes) -> Response:
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    parsing = Response.parse(reader.read_line, reader.read_exact, reader.read_to_eof)
    try:
        next(parsing)
    except StopIteration as done:
        response: Response = done.value
        return response
    raise EOFError("the answer is incomplete")


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
