"""The counts of the status tabs, counted at most once a second for all open pages of an environment."""

import asyncio
import time
from typing import Final

from trigger_lite.store.store import Store
from trigger_lite.web.dashboard.reads import read_counts

LIFE_SECONDS: Final = 1.0


class CountCache:
    """Counts by environment, as old as LIFE_SECONDS at most."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counts: dict[str, tuple[float, dict[str, int]]] = {}
        self._counting = asyncio.Lock()

    async def of(self, environment_id: str) -> dict[str, int]:
        async with self._counting:
            at, counts = self._counts.get(environment_id, (0.0, {}))
            if not counts or time.monotonic() - at >= LIFE_SECONDS:
                at, counts = time.monotonic(), await self._store.read(read_counts, environment_id)
                self._counts[environment_id] = (at, counts)
            return counts
