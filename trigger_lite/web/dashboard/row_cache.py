"""Rows of the list as fragments: rendered once after each change and shared by all open pages."""

import asyncio
from collections.abc import Iterable
from typing import Final

from trigger_lite.store.run_lists import list_errors, list_rows
from trigger_lite.store.runs import RunRow
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Reader
from trigger_lite.web.dashboard.hub import Hub
from trigger_lite.web.dashboard.list_views import row_view
from trigger_lite.web.dashboard.pages import Pages

MAX_ROWS: Final = 2_000


class RowCache:
    """Fragments by run; one read of the database serves every page that shows the same runs."""

    def __init__(self, store: Store, pages: Pages, hub: Hub) -> None:
        self._store = store
        self._pages = pages
        self._hub = hub
        self._fragments: dict[str, str] = {}
        self._reading = asyncio.Lock()
        hub.on_change(lambda run_id: self._fragments.pop(run_id, None))

    async def fragments(self, environment_id: str, slug: str, run_ids: Iterable[str]) -> list[str]:
        """Return the rows of those of these runs that are in the environment, as of now."""
        wanted = sorted(run_ids)
        async with self._reading:
            missing = [run_id for run_id in wanted if run_id not in self._fragments]
            fresh = await self._render(environment_id, slug, missing) if missing else {}
        found = {**self._fragments, **fresh}
        return [found[run_id] for run_id in wanted if run_id in found]

    async def _render(self, environment_id: str, slug: str, run_ids: list[str]) -> dict[str, str]:
        before = self._hub.position
        rows, errors, now = await self._store.read(_read_rows, environment_id, run_ids)
        fresh = {
            run.id: self._pages.fragment(
                "_row.html", row_view(run, errors.get(run.id), slug=slug, now=now), swapped=True
            )
            for run in rows
        }
        # What changed while it was read may be old already: shown, but not kept.
        changed = self._hub.changed_since(before, frozenset(fresh)) or set()
        if len(self._fragments) + len(fresh) > MAX_ROWS:
            self._fragments.clear()
        self._fragments.update({run_id: html for run_id, html in fresh.items() if run_id not in changed})
        return fresh


def _read_rows(
    tx: Reader, environment_id: str, run_ids: list[str]
) -> tuple[list[RunRow], dict[str, str], int]:
    rows = [run for run in list_rows(tx, run_ids) if run.environment_id == environment_id]
    return rows, list_errors(tx, [run.id for run in rows if run.is_failed]), tx.now
