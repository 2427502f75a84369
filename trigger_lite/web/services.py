"""What handlers work with; built by `server.py` and read off the application."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from starlette.requests import HTTPConnection

from trigger_lite.config import Settings
from trigger_lite.engine.bus import Bus
from trigger_lite.engine.queues import Claim
from trigger_lite.protocol.worker import Moved
from trigger_lite.store.store import Store
from trigger_lite.web.auth import Keyring
from trigger_lite.web.watch import RunWatch


class WorkerLink(Protocol):
    """A connected worker."""

    worker_id: str
    environment_id: str
    version_id: str
    credits: int

    def push(self, claim: Claim) -> None: ...
    def cancel(self, run_id: str, snapshot: str) -> None: ...
    def leave(self, run_id: str) -> None: ...
    def moved(self, step: Moved) -> None: ...
    async def sent(self) -> None: ...


class Dispatcher(Protocol):
    """Who hands waiting runs to connected workers."""

    def add(self, link: WorkerLink) -> None: ...
    def remove(self, link: Any) -> None: ...
    def wake(self, environment_id: str) -> None: ...
    def has(self, environment_id: str, worker_id: str) -> bool: ...
    def connected(self, environment_id: str) -> int: ...
    def tell_wait(self, environment_id: str, worker_id: str, run_id: str) -> None: ...


class Deadlines(Protocol):
    """Who watches for silent runs."""

    def renew(self, environment_id: str, run_id: str, seq: int) -> bool: ...


class LogSink(Protocol):
    """Who keeps log lines."""

    async def add(self, lines: Any) -> None: ...


@dataclass(frozen=True)
class Services:
    """The rooms as handlers see them. `secret` is the installation's own; it never leaves the server.

    `trouble` says what keeps the server from working, or None.
    """

    settings: Settings
    store: Store
    telemetry: Store
    logs: LogSink
    bus: Bus
    keys: Keyring
    watch: RunWatch
    dispatcher: Dispatcher
    deadlines: Deadlines
    secret: bytes
    public_url: str
    trouble: Callable[[], Awaitable[str | None]]


def services_of(connection: HTTPConnection) -> Services:
    return cast(Services, connection.app.state.services)
