"""The real application over a real database, without a server: what tests of pages stand on."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
from starlette.applications import Starlette

from tests.support.harness import Harness
from trigger_lite.config import Settings
from trigger_lite.engine.accounts import NewSession, make_sign_in_link, sign_in_by_link
from trigger_lite.engine.bus import Bus
from trigger_lite.engine.passwords import hash_password
from trigger_lite.store.database import SqliteDatabase
from trigger_lite.store.environments import list_environments
from trigger_lite.store.logs import LogRow
from trigger_lite.store.store import Store
from trigger_lite.telemetry.logs import LogBook
from trigger_lite.web.app import build_app
from trigger_lite.web.auth import Keyring
from trigger_lite.web.services import Services
from trigger_lite.web.watch import RunWatch

HOST: Final = "http://127.0.0.1:3040"
PASSWORD: Final = "correct horse battery"
SESSION: Final = "session-token"
FORM_TOKEN: Final = "form-token-of-the-session"
SECRET: Final = b"secret"
# Headers that a browser sends with a form of this site's own.
SAME_SITE: Final = {"sec-fetch-site": "same-origin"}


@dataclass
class Links:
    """Stands for the dispatcher: how many workers are connected to every environment."""

    count: int = 0
    woken: list[str] = field(default_factory=list)

    def add(self, link: Any) -> None:
        self.count += 1

    def remove(self, link: Any) -> None:
        self.count -= 1

    def wake(self, environment_id: str) -> None:
        self.woken.append(environment_id)

    def has(self, environment_id: str, worker_id: str) -> bool:
        return self.count > 0

    def connected(self, environment_id: str) -> int:
        return self.count

    def tell_wait(self, environment_id: str, worker_id: str, run_id: str) -> None:
        """Nobody waits here."""


class NoDeadlines:
    def renew(self, environment_id: str, run_id: str, seq: int) -> bool:
        return True


class Site:
    """The application with its stores. `engine` changes runs; `publish` tells the application of it."""

    def __init__(self, app: Starlette, services: Services, engine: Harness, links: Links) -> None:
        self.app = app
        self.services = services
        self.engine = engine
        self.links = links
        self._published = 0

    def publish(self) -> None:
        """Announce what the engine did since the last time."""
        events = list(self.engine.events[self._published :])
        self._published = len(self.engine.events)
        self.services.bus.publish(list(events))

    async def log(self, run_id: str, *messages: str, level: str = "INFO", attempt: int = 1) -> None:
        rows = [
            LogRow(0, run_id, attempt, self.engine.now + place, level, "stdout", message, None)
            for place, message in enumerate(messages)
        ]
        await self.services.logs.add(rows)

    def client(self, **headers: str) -> httpx.AsyncClient:
        """A browser that nobody has signed in with."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        return httpx.AsyncClient(
            transport=transport, base_url=HOST, headers={"accept": "text/html", **headers}
        )

    def signed_in(self, **headers: str) -> httpx.AsyncClient:
        """The owner's browser, on a page of this site."""
        client = self.client(**{**SAME_SITE, **headers})
        client.cookies.set("trigger-lite-3040", SESSION)
        return client


@contextmanager
def _engine(database: SqliteDatabase) -> Iterator[Harness]:
    connection = database.connect()
    try:
        yield Harness(database, connection)
    finally:
        connection.close()


@asynccontextmanager
async def open_site(folder: Path, *, public_url: str = HOST) -> AsyncIterator[Site]:
    """Open an installation in this folder, with the owner's password set and one session begun."""
    bus, links = Bus(), Links()
    state = SqliteDatabase(folder / "trigger.db", synchronous="OFF")
    store = await Store.open(state, "state", publish=bus.publish)
    lines = SqliteDatabase(folder / "telemetry.db", synchronous="OFF")
    telemetry = await Store.open(lines, "telemetry", publish=bus.publish)
    try:
        with _engine(state) as engine:
            services = Services(
                settings=Settings(),
                store=store,
                telemetry=telemetry,
                logs=await LogBook.open(telemetry, bus),
                bus=bus,
                keys=Keyring(SECRET, await store.read(list_environments)),
                watch=RunWatch(bus),
                dispatcher=links,
                deadlines=NoDeadlines(),
                secret=SECRET,
                public_url=public_url,
                trouble=_no_trouble,
            )
            await store.write(make_sign_in_link, "first link")
            session = NewSession(SESSION, FORM_TOKEN)
            await store.write(sign_in_by_link, "first link", _hashed_password(), session)
            yield Site(build_app(services), services, engine, links)
    finally:
        await store.close()
        await telemetry.close()


async def _no_trouble() -> str | None:
    return None


@cache
def _hashed_password() -> str:
    """The password's hash, made once: it is slow on purpose."""
    return hash_password(PASSWORD, bytes(16))
