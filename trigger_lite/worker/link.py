"""Staying connected: hello, welcome, heartbeats, and again after every loss."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import msgspec

from trigger_lite.protocol.worker import (
    PROTOCOL_VERSION,
    Heartbeat,
    Hello,
    ServerMessage,
    Version,
    Welcome,
)
from trigger_lite.worker.connection import ConnectionFailed, WorkerConnection, open_connection
from trigger_lite.worker.dispatch import Dispatch
from trigger_lite.worker.events import Connected, Disconnected, Reconnected, WorkerObserver
from trigger_lite.worker.outbox import Outbox
from trigger_lite.worker.settings import WorkerSettings

_SHORTEST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 10.0
_REFUSED: Final = (401, 403)
_POLICY: Final = 1008
"""How a server closes the connection of a worker whose version it does not know (any more)."""


class LinkRefused(Exception):
    """The server does not let this worker in; trying again will not help."""


def waits() -> Iterator[float]:
    """Yield seconds to wait between attempts: growing from 0.1 to 10, each up to half shorter by chance."""
    wait = _SHORTEST_WAIT
    while True:
        yield wait * (1 - random.random() / 2)
        wait = min(wait * 2, _LONGEST_WAIT)


class Link:
    """The connection as it should be, through all the connections there are."""

    def __init__(
        self,
        settings: WorkerSettings,
        outbox: Outbox,
        dispatch: Dispatch,
        observer: WorkerObserver,
        *,
        register_again: Callable[[], Awaitable[None]],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._outbox = outbox
        self._dispatch = dispatch
        self._observer = observer
        self._register_again = register_again
        self._decoder: msgspec.json.Decoder[list[ServerMessage]] = msgspec.json.Decoder(list[ServerMessage])
        self._worker_id = f"worker_{secrets.token_hex(12)}"
        self._version_id = ""
        self._connection: WorkerConnection | None = None
        self._waits = waits()
        self._was_connected = False
        self._beating: asyncio.TimerHandle | None = None
        self._heartbeat_seconds = 0.0

    def use_version(self, version_id: str) -> None:
        """Run this registered version from now on."""
        self._version_id = version_id
        self._outbox.say(Version(version_id))

    async def stay_connected(self) -> None:
        """Connect, and connect again, until cancelled.

        Raises LinkRefused when the server refuses the key.
        """
        while True:
            reason = await self._connect_once()
            if reason.status in _REFUSED:
                raise LinkRefused("the server refused the key; check the key and its environment")
            wait = next(self._waits)
            self._observer.notice(Disconnected(str(reason), wait))
            await asyncio.sleep(wait)
            if reason.status == _POLICY:
                await self._register_again()

    def close(self) -> None:
        """Say goodbye, if connected."""
        if self._connection is not None:
            self._connection.close()

    async def _connect_once(self) -> ConnectionFailed:
        """Return why the connection ended, or could not begin."""
        try:
            connection = await open_connection(self._settings.url, self._settings.key, self)
        except ConnectionFailed as error:
            return error
        self._connection = connection
        try:
            return await connection.ended
        finally:
            self._disconnected()

    def _disconnected(self) -> None:
        self._connection = None
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None
        self._outbox.detach()
        self._dispatch.disconnected()

    # ---- ConnectionListener ----

    def connection_opened(self) -> None:
        """Say hello."""
        assert self._connection is not None
        hello = Hello(
            PROTOCOL_VERSION,
            self._worker_id,
            self._settings.name,
            self._version_id,
            self._dispatch.named_runs(),
        )
        self._connection.send(b"[%b]" % msgspec.json.encode(hello))

    def frame_received(self, data: bytes) -> None:
        """Act on one frame."""
        connection = self._connection
        if connection is None:
            return  # given up, and what it still had to say with it
        try:
            messages = self._decoder.decode(data)
        except msgspec.DecodeError as error:
            connection.abort(f"the server said something this worker does not understand: {error}")
            return
        if self._beating is None:
            messages = self._take_welcome(messages, connection)
        self._dispatch.receive(messages)

    # ---- steps ----

    def _take_welcome(
        self, messages: list[ServerMessage], connection: WorkerConnection
    ) -> list[ServerMessage]:
        for number, message in enumerate(messages):
            if isinstance(message, Welcome):
                self._welcomed(message, connection)
                return messages[number + 1 :]
        return []

    def _welcomed(self, welcome: Welcome, connection: WorkerConnection) -> None:
        self._heartbeat_seconds = welcome.heartbeat_seconds
        self._beating = self._loop.call_later(welcome.heartbeat_seconds, self._beat)
        self._waits = waits()
        self._dispatch.welcome(welcome)
        resent = self._outbox.attach(connection.send)
        self._observer.notice(Reconnected(resent) if self._was_connected else Connected())
        self._was_connected = True

    def _beat(self) -> None:
        self._beating = self._loop.call_later(self._heartbeat_seconds, self._beat)
        runs = self._dispatch.named_runs()
        if runs:
            self._outbox.say(Heartbeat(runs))
