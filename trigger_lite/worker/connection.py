"""One WebSocket to the server, without queues between: bytes in, frames out.

Built on the protocol layer of `websockets` alone: its asyncio layer costs more memory than the rest
of the worker together, and a future per message.
"""

import asyncio
import os
import re
import ssl
from typing import Final, Protocol
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from trigger_lite.protocol.version import __version__
from trigger_lite.protocol.worker import MAX_FRAME_BYTES, WORKER_PATH

PING_SECONDS: Final = 20.0
SILENCE_SECONDS: Final = 45.0
"""A connection over which nothing came for this long, not even an answer to a ping, is dead."""
OPEN_SECONDS: Final = 10.0
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
_SERVICE_RESTART: Final = 1012


class ConnectionFailed(Exception):
    """There is no connection; the message says why in one line. `status` is HTTP's, where there was one."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class ConnectionListener(Protocol):
    """Gets what comes over one connection."""

    def connection_opened(self) -> None:
        """The server accepted; messages may be sent."""

    def frame_received(self, data: bytes) -> None:
        """One whole text message came."""


class WorkerConnection(asyncio.Protocol):
    """Use `open_connection`; `ended` resolves with the reason when the connection is over."""

    def __init__(self, url: str, key: str, listener: ConnectionListener) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._key = key
        self._socket = ClientProtocol(parse_uri(url), max_size=MAX_FRAME_BYTES)
        self._transport: asyncio.Transport | None = None
        self._fragments: list[bytes] = []
        self._heard_at = self._loop.time()
        self._pinging: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[ConnectionFailed] = self._loop.create_future()

    def send(self, data: bytes) -> None:
        """Send one text message, or nothing when the connection is going down."""
        if self._socket.state is OPEN:
            self._socket.send_text(data)
            self._write()

    def close(self) -> None:
        """Say goodbye and close."""
        if self._socket.state is OPEN:
            self._socket.send_close(1000)
            self._write()
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: str) -> None:
        """End the connection without a goodbye; `ended` gives this reason."""
        if not self.ended.done():
            self.ended.set_result(ConnectionFailed(reason))
        if self._transport is not None:
            self._transport.abort()

    # ---- asyncio.Protocol ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        request = self._socket.connect()
        request.headers["Authorization"] = f"Bearer {self._key}"
        request.headers["User-Agent"] = f"trigger-lite-worker/{__version__}"
        self._socket.send_request(request)
        self._write()
        self._pinging = self._loop.call_later(OPEN_SECONDS, self._check_open)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._socket.receive_data(data)
        for event in self._socket.events_received():
            if isinstance(event, Frame):
                self._take(event)
            elif self._socket.handshake_exc is None:
                self._check_silence()
                self._listener.connection_opened()
        self._write()

    def eof_received(self) -> bool:
        self._socket.receive_eof()
        self._write()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
        if not self.ended.done():
            self.ended.set_result(self._reason(error))

    # ---- steps ----

    def _take(self, frame: Frame) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if frame.fin and not self._fragments:
            self._listener.frame_received(bytes(frame.data))
            return
        self._fragments.append(bytes(frame.data))
        if frame.fin:
            fragments, self._fragments = self._fragments, []
            self._listener.frame_received(b"".join(fragments))

    def _write(self) -> None:
        assert self._transport is not None
        for data in self._socket.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
        if self._socket.close_expected():
            self._transport.close()

    def _check_open(self) -> None:
        self.abort(f"no answer from the server within {OPEN_SECONDS:g} seconds")

    def _check_silence(self) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
        if self._loop.time() - self._heard_at > SILENCE_SECONDS:
            self.abort(f"nothing came from the server for {SILENCE_SECONDS:g} seconds")
            return
        if self._socket.state is OPEN:
            self._socket.send_ping(b"")
            self._write()
        self._pinging = self._loop.call_later(PING_SECONDS, self._check_silence)

    def _reason(self, error: Exception | None) -> ConnectionFailed:
        refusal = self._socket.handshake_exc
        if isinstance(refusal, InvalidStatus):
            status = refusal.response.status_code
            return ConnectionFailed(f"the server answered with HTTP status {status}", status)
        closed = self._socket.close_rcvd
        if closed is not None and closed.code == _SERVICE_RESTART:
            return ConnectionFailed("the server stopped", closed.code)
        if closed is not None:
            detail = f": {closed.reason}" if closed.reason else ""
            return ConnectionFailed(f"the server closed the connection ({closed.code}{detail})", closed.code)
        return ConnectionFailed(str(error or refusal or "the connection was lost"))


def worker_url(server_url: str) -> str:
    """Return the WebSocket address of the worker door of a server."""
    scheme, _, rest = server_url.rstrip("/").partition("://")
    return f"{'wss' if scheme == 'https' else 'ws'}://{rest}{WORKER_PATH}"


async def open_connection(server_url: str, key: str, listener: ConnectionListener) -> WorkerConnection:
    """Connect; the server's acceptance or refusal comes later, through the listener or `ended`.

    Raises ConnectionFailed when nobody listens there.
    """
    url = worker_url(server_url)
    parts = urlsplit(url)
    is_secure = parts.scheme == "wss"
    port = parts.port or (443 if is_secure else 80)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            _, connection = await loop.create_connection(
                lambda: WorkerConnection(url, key, listener),
                parts.hostname or "",
                port,
                ssl=ssl.create_default_context() if is_secure else None,
            )
    except (OSError, TimeoutError) as error:
        raise ConnectionFailed(f"{parts.hostname}:{port} does not answer: {reason_of(error)}") from error
    return connection


def reason_of(error: Exception) -> str:
    """Return why there is no connection, as the system says it: asyncio's own words hide it."""
    number = getattr(error, "errno", None)
    if number is None and (numbers := _ERRNO.findall(str(error))):
        number = int(numbers[-1])  # each of several addresses was tried
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error) or "no answer in time"
