"""What an open list of runs is sent: changed rows, how many new runs there are, the tabs' counts."""

import time
from typing import Final

from trigger_lite.protocol.errors import BadRequest
from trigger_lite.protocol.ids import is_id
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.run_lists import count_newer
from trigger_lite.store.transaction import Reader
from trigger_lite.web.dashboard.dashboard import Dashboard
from trigger_lite.web.dashboard.filters import RunQuery, unpack
from trigger_lite.web.dashboard.hub import Viewer
from trigger_lite.web.dashboard.list_views import TabView, new_runs_view, tab_views
from trigger_lite.web.dashboard.reads import PAGE

COUNT_SECONDS: Final = 1.0
MOST_NEW: Final = 100


class ListStream:
    """The list with one filter, showing these runs."""

    line = 0

    def __init__(
        self, dashboard: Dashboard, environment: EnvironmentRow, query: RunQuery, run_ids: frozenset[str]
    ) -> None:
        self._dashboard = dashboard
        self._environment = environment
        self._query = query
        self._counted_at = 0.0
        self._new = 0
        self._tabs: list[TabView] = []
        self.run_ids = run_ids

    @classmethod
    def open(cls, dashboard: Dashboard, environment: EnvironmentRow, packed: str, shown: str) -> "ListStream":
        """`packed` is the list's filter, `shown` the ids of its rows without `run_`, joined by dots."""
        run_ids = frozenset(f"run_{body}" for body in shown.split(".") if body)
        if len(run_ids) > PAGE or not all(is_id("run", run_id) for run_id in run_ids):
            raise BadRequest("show must name the runs of one page")
        try:
            query = unpack(packed)
        except ValueError:
            raise BadRequest("topics must name a list of this server") from None
        return cls(dashboard, environment, query, run_ids)

    async def updates(self, viewer: Viewer) -> list[str]:
        changed = viewer.take_changed()
        sent = []
        if changed:
            environment = self._environment
            rows = await self._dashboard.rows.fragments(environment.id, environment.slug, changed)
            sent.append("".join(rows))
        if self._is_time_to_count(viewer, bool(changed)):
            sent.append(await self._counts(viewer))
        return [html for html in sent if html]

    def _is_time_to_count(self, viewer: Viewer, changed: bool) -> bool:
        """Counting is put off, never left out: the viewer stays awake until it is done."""
        if not (changed or viewer.has_new_runs or viewer.has_line_moved):
            return False
        if time.monotonic() - self._counted_at < COUNT_SECONDS:
            self._put_off(viewer)
            return False
        viewer.has_new_runs = viewer.has_line_moved = False
        self._counted_at = time.monotonic()
        return True

    def _put_off(self, viewer: Viewer) -> None:
        viewer.has_new_runs = True
        viewer.wake()

    async def _counts(self, viewer: Viewer) -> str:
        """Return what changed of the tabs' counts and of the bar of new runs."""
        pages, base = self._dashboard.pages, f"/{self._environment.slug}/runs"
        counts = await self._dashboard.counts.of(self._environment.id)
        if not counts.is_current:
            self._put_off(viewer)
        tabs = tab_views(self._query, counts.by_tab, base)
        sent = [
            pages.fragment("_count.html", tab, swapped=True)
            for tab, before in zip(tabs, self._tabs or tabs, strict=True)
            if tab.count and (not self._tabs or tab.count != before.count)
        ]
        self._tabs = tabs
        new = await self._dashboard.services.store.read(self._count_new)
        if new != self._new:
            self._new = new
            view = new_runs_view(new, self._query, base, loads_itself=not self.run_ids)
            sent.append(pages.fragment("_new_runs.html", view, swapped=True))
        return "".join(sent)

    def _count_new(self, tx: Reader) -> int:
        if not self._query.is_newest_page:
            return 0
        wanted = self._query.run_filter(self._environment.id, tx.now)
        return count_newer(tx, wanted, max(self.run_ids, default=None), most=MOST_NEW)
