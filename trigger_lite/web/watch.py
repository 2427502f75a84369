"""Waiting for a run to change: what long polls and pages stand on."""

import asyncio
from collections import defaultdict

from trigger_lite.engine.bus import Bus
from trigger_lite.engine.events import LogsAdded, RunChanged, RunMoved


class RunWatch:
    """Wakes whoever waits for a run, when it moved, its data changed, or its log grew."""

    def __init__(self, bus: Bus) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        bus.subscribe(RunMoved, lambda event: self._wake(event.run_id))
        bus.subscribe(RunChanged, lambda event: self._wake(event.run_id))
        bus.subscribe(LogsAdded, lambda event: self._wake(event.run_id))

    def _wake(self, run_id: str) -> None:
        for event in self._waiting.get(run_id, ()):
            event.set()

    def interest(self, run_id: str) -> "Interest":
        """Begin to watch a run *before* reading it, so that no change between the two is missed."""
        return Interest(self._waiting, run_id)


class Interest:
    """One watcher of one run; a context manager."""

    def __init__(self, waiting: defaultdict[str, set[asyncio.Event]], run_id: str) -> None:
        self._waiting = waiting
        self._run_id = run_id
        self._event = asyncio.Event()

    def __enter__(self) -> "Interest":
        self._waiting[self._run_id].add(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        watchers = self._waiting[self._run_id]
        watchers.discard(self._event)
        if not watchers:
            del self._waiting[self._run_id]

    async def changed(self, seconds: float) -> bool:
        """Wait for the next change; tell whether there was one within `seconds`."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
