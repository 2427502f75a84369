"""Waiting for a run to change: what long polls stand on."""

import asyncio
from collections import defaultdict

from trigger_lite.engine.bus import Bus
from trigger_lite.engine.events import LogsAdded, RunChanged, RunMoved


class RunWatch:
    """Wakes whoever waits for a run, when it moved, its data changed, or its log grew."""

    def __init__(self, bus: Bus) -> None:
        self.waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.is_closed = False
        bus.subscribe(RunMoved, lambda event: self._wake(event.run_id))
        bus.subscribe(RunChanged, lambda event: self._wake(event.run_id))
        bus.subscribe(LogsAdded, lambda event: self._wake(event.run_id))

    def _wake(self, run_id: str) -> None:
        for event in self.waiting.get(run_id, ()):
            event.set()

    def interest(self, run_id: str) -> "Interest":
        """Begin to watch a run *before* reading it, so that no change between the two is missed."""
        return Interest(self, run_id)

    def close(self) -> None:
        """Let nobody wait any longer: the server stops."""
        self.is_closed = True
        for run_id in self.waiting:
            self._wake(run_id)


class Interest:
    """One watcher of one run; a context manager."""

    def __init__(self, watch: RunWatch, run_id: str) -> None:
        self._watch = watch
        self._run_id = run_id
        self._event = asyncio.Event()

    def __enter__(self) -> "Interest":
        self._watch.waiting[self._run_id].add(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        watchers = self._watch.waiting[self._run_id]
        watchers.discard(self._event)
        if not watchers:
            del self._watch.waiting[self._run_id]

    async def changed(self, seconds: float) -> bool:
        """Wait for the next change; tell whether there was one within `seconds`, before the server stops."""
        if self._watch.is_closed:
            return False
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return not self._watch.is_closed
