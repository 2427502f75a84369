"""The dashboard put together: what its handlers work with, and how they answer."""

import asyncio
import gzip
import time
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from trigger_lite.protocol.errors import NotFound
from trigger_lite.protocol.version import __version__
from trigger_lite.store.accounts import SessionRow
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.web.dashboard import cookies, guard
from trigger_lite.web.dashboard.assets import Assets
from trigger_lite.web.dashboard.count_cache import CountCache
from trigger_lite.web.dashboard.hub import Hub
from trigger_lite.web.dashboard.pages import Pages, Shell, View
from trigger_lite.web.dashboard.row_cache import RowCache
from trigger_lite.web.dashboard.throttle import Throttle
from trigger_lite.web.services import Services

_WORTH_COMPRESSING: Final = 1_000
_HASHES_AT_ONCE: Final = 2
"""Comparing a password takes 32 MB; more than this at once must wait."""


@dataclass(frozen=True)
class Dashboard:
    """The rooms behind the pages, and the pages' own machinery."""

    services: Services
    assets: Assets
    pages: Pages
    hub: Hub
    rows: RowCache
    counts: CountCache
    by_address: Throttle = field(default_factory=Throttle)
    by_account: Throttle = field(default_factory=lambda: Throttle(free_tries=50))
    hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_HASHES_AT_ONCE))

    @classmethod
    def build(cls, services: Services) -> "Dashboard":
        """Read templates and files, and begin to follow the bus."""
        assets = Assets.load()
        pages, hub = Pages(assets), Hub(services.bus)
        rows, counts = RowCache(services.store, pages, hub), CountCache(services.store, hub)
        return cls(services, assets, pages, hub, rows, counts)

    def close(self) -> None:
        """End the streams of open pages, so that a stopping server need not wait for them."""
        self.hub.close()

    def environment(self, request: Request) -> EnvironmentRow:
        """Return the environment that the address names. Raises NotFound."""
        slug = request.path_params["environment"]
        found = self.services.keys.by_slug(slug)
        if found is None:
            raise NotFound(f"There is no environment {slug!r}")
        return found

    def shell(self, request: Request, title: str, section: str = "") -> Shell:
        session: SessionRow | None = getattr(request.state, "session", None)
        return Shell(
            title=title,
            environment=request.path_params.get("environment", ""),
            environments=tuple(e.slug for e in self.services.keys.environments()),
            section=section,
            theme=cookies.theme_of(request),
            form_token="" if session is None else guard.mask(session.form_token),
            is_signed_in=session is not None,
            insecure=guard.is_exposed(request),
            path=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            version=__version__,
        )

    def reply(self, request: Request, view: View, shell: Shell, *, status: int = 200) -> Response:
        """Answer with a page, or with its `<main>` alone when htmx asked."""
        whole = "hx-request" not in request.headers
        return reply_html(request, self.pages.page(view, shell, whole=whole), status=status)


def reply_html(request: Request, html: str, *, status: int = 200) -> Response:
    """Answer with HTML, compressed when that is worth it and the browser takes it."""
    headers = {"vary": "accept-encoding, cookie, hx-request"}
    body = html.encode(errors="replace")
    if len(body) > _WORTH_COMPRESSING and "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        body = gzip.compress(body, 5, mtime=0)
    return HTMLResponse(body, status_code=status, headers=headers)


def now_ms() -> int:
    return time.time_ns() // 1_000_000
