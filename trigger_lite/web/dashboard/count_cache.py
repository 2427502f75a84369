"""The counts of the status tabs, counted at most once a second for all open pages of an environment."""

import asyncio
import time
from typing import Final, NamedTuple

from trigger_lite.store.store import Store
from trigger_lite.web.dashboard.hub import Hub
from trigger_lite.web.dashboard.reads import read_counts

LIFE_SECONDS: Final = 1.0


class Counts(NamedTuple):
    """Runs by tab; `is_current` unless something changed since they were counted."""

    by_tab: dict[str, int]
    is_current: bool


class _Counted(NamedTuple):
    at: float
    seq: int
    by_tab: dict[str, int]


class CountCache:
    """Counts by environment. Who gets some that are not current asks again a little later."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._counted: dict[str, _Counted] = {}
        self._counting = asyncio.Lock()

    async def of(self, environment_id: str) -> Counts:
        async with self._counting:
            found = self._counted.get(environment_id)
            if found is None or self._is_due(found):
                at, seq = time.monotonic(), self._hub.position.seq
                found = _Counted(at, seq, await self._store.read(read_counts, environment_id))
                self._counted[environment_id] = found
        return Counts(found.by_tab, found.seq == self._hub.position.seq)

    def _is_due(self, counted: _Counted) -> bool:
        is_old = time.monotonic() - counted.at >= LIFE_SECONDS
        return is_old and counted.seq != self._hub.position.seq
