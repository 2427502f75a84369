"""Live pages: a stream of events for each open page, made of fragments that replace their old selves."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final, NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from trigger_lite.protocol.errors import BadRequest
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.web.dashboard.dashboard import Dashboard
from trigger_lite.web.dashboard.guard import session_of
from trigger_lite.web.dashboard.hub import Hub, Position, Viewer
from trigger_lite.web.dashboard.list_stream import ListStream
from trigger_lite.web.dashboard.run_stream import RunStream

GAP_SECONDS: Final = 0.25
"""At most four updates a second for each page."""
HEARTBEAT_SECONDS: Final = 15.0
LIFE_SECONDS: Final = 900.0
"""A stream ends after this and the browser asks anew, so that one whose session ended stops."""
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Since(NamedTuple):
    """What a page has seen already: the changes up to a position, the log lines up to a number."""

    position: Position
    line: int


class Stream(Protocol):
    """What one kind of page sends."""

    run_ids: frozenset[str]

    async def updates(self, viewer: Viewer) -> list[str]:
        """Return the events for what is out of date, and take it off the viewer's list."""

    @property
    def line(self) -> int:
        """The last log line that was sent."""


async def stream(dashboard: Dashboard, request: Request) -> Response:
    """Answer with a page's stream. Raises BadRequest for a topic that is none, ServerBusy for too many."""
    environment = dashboard.environment(request)
    since = parse_since(request.headers.get("last-event-id") or request.query_params.get("since", ""))
    source = await _source(dashboard, environment, request, since)
    events = _events(dashboard.hub, environment.id, source, since)
    first = await anext(events)  # what refuses the stream does so before it begins

    async def body() -> AsyncIterator[str]:
        yield first
        async for event in events:
            yield event

    return StreamingResponse(body(), media_type="text/event-stream", headers=_HEADERS)


async def _source(
    dashboard: Dashboard, environment: EnvironmentRow, request: Request, since: Since
) -> Stream:
    kind, _, rest = request.query_params.get("topics", "").partition(":")
    if kind == "runs":
        shown = request.query_params.get("show", "")
        return ListStream.open(dashboard, environment, rest, shown)
    if kind == "run":
        run_id, _, level = rest.partition(":")
        form_token = session_of(request).form_token
        return await RunStream.open(
            dashboard, environment, run_id, level=level, line=since.line, form_token=form_token
        )
    raise BadRequest("topics must be runs:… or run:…")


async def _events(hub: Hub, environment_id: str, source: Stream, since: Since) -> AsyncIterator[str]:
    with hub.viewing(environment_id, source.run_ids) as viewer:
        missed = hub.changed_since(since.position, source.run_ids)
        if missed is None:
            # The server was started anew: the page is of another time, and fetches itself again.
            yield event("reset", "", Since(hub.position, 0))
            return
        yield "retry: 2000\n\n"
        viewer.changed |= missed
        viewer.has_new_lines = viewer.has_new_runs = True
        viewer.wake()
        end = time.monotonic() + LIFE_SECONDS
        while not hub.is_closed and time.monotonic() < end:
            began = time.monotonic()
            if not await viewer.wait(HEARTBEAT_SECONDS):
                viewer.has_line_moved = True
                yield ": still here\n\n"
            for one in await _updates(hub, source, viewer):
                yield one
            await asyncio.sleep(max(0.0, GAP_SECONDS - (time.monotonic() - began)))


async def _updates(hub: Hub, source: Stream, viewer: Viewer) -> list[str]:
    position = hub.position
    sent = await source.updates(viewer)
    return [event("update", html, Since(position, source.line)) for html in sent]


def event(name: str, data: str, seen: Since) -> str:
    """Return a server-sent event whose id lets a browser go on from here."""
    lines = "".join(f"data: {line}\n" for line in data.replace("\r", "\n").split("\n"))
    return f"event: {name}\nid: {seen.position}.{seen.line}\n{lines}\n"


def parse_since(text: str) -> Since:
    """Read where a page stands. Raises BadRequest when it is no such place."""
    epoch, seq, line = (*text.split("."), "0", "0")[:3]
    if not epoch or not seq.isdigit() or not line.isdigit() or len(text) > 100:
        raise BadRequest("since must be where a page of this server stands")
    return Since(Position(epoch, int(seq)), int(line))
