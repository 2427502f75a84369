"""Reads a stream of server-sent events straight from the application, as it is sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.applications import Starlette

from tests.support.site import SESSION

WAIT_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Event:
    """One event; `name` is empty for a comment or a setting of the stream."""

    name: str
    id: str
    data: str


class EventStream:
    """An open stream. `status` and `headers` are those of its answer."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.begun = asyncio.Event()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._text = ""

    async def next(self) -> Event:
        """Return the next named event; fails when none comes in time or the stream has ended."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                event = await self._events.get()
                assert event is not None, "the stream has ended"
                if event.name:
                    return event

    async def until(self, text: str) -> str:
        """Return the data of the first event that holds this text."""
        seen: list[str] = []
        while not seen or text not in seen[-1]:
            seen.append((await self.next()).data)
        return seen[-1]

    async def ended(self) -> None:
        """Return when the server has ended the stream."""
        async with asyncio.timeout(WAIT_SECONDS):
            while await self._events.get() is not None:
                pass

    def take(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self.begun.set()
            return
        self._text += message.get("body", b"").decode()
        *whole, self._text = self._text.split("\n\n")
        for block in whole:
            self._events.put_nowait(_parse(block))
        if not message.get("more_body"):
            self._events.put_nowait(None)


def _parse(block: str) -> Event:
    fields: dict[str, list[str]] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(": ")
        fields.setdefault(name, []).append(value)
    return Event(
        "".join(fields.get("event", [])), "".join(fields.get("id", [])), "\n".join(fields.get("data", []))
    )


@asynccontextmanager
async def event_stream(app: Starlette, url: str, **headers: str) -> AsyncIterator[EventStream]:
    """Open a stream as the owner's browser would; it is left at the end."""
    stream, left = EventStream(), asyncio.Event()
    address = urlsplit(url)
    sent = {
        "host": "127.0.0.1:3040",
        "accept": "text/event-stream",
        "cookie": f"trigger-lite-3040={SESSION}",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": address.path,
        "raw_path": address.path.encode(),
        "query_string": address.query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 3040),
    }

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        stream.take(dict(message))

    running = asyncio.create_task(app(scope, receive, send))
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await stream.begun.wait()
        yield stream
    finally:
        left.set()
        async with asyncio.timeout(WAIT_SECONDS):
            await running
