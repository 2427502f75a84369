"""Follows the bus and tells each open page what of what it shows has changed."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from trigger_lite.engine.bus import Bus
from trigger_lite.engine.events import LogsAdded, RunChanged, RunMoved
from trigger_lite.protocol.errors import ServerBusy

MAX_VIEWERS: Final = 200
RING: Final = 2_048
"""Changes remembered for pages that connect, or connect again, a moment after they were made."""


class Position(NamedTuple):
    """A point in the sequence of changes; `epoch` is another one after every start of the server."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"


class Viewer:
    """One open page: which runs it shows, and what of it is out of date."""

    def __init__(self, environment_id: str, run_ids: frozenset[str]) -> None:
        self.environment_id = environment_id
        self.run_ids = run_ids
        self.changed: set[str] = set()
        self.has_new_runs = False
        self.has_new_lines = False
        self.has_line_moved = False
        self._event = asyncio.Event()

    def wake(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait until something is out of date; tell whether something was within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True

    def take_changed(self) -> set[str]:
        taken, self.changed = self.changed, set()
        return taken


class Hub:
    """Every open page, and the last changes. One per server; lives on the event loop."""

    def __init__(self, bus: Bus) -> None:
        self._epoch = secrets.token_hex(4)
        self._seq = 0
        self._ring: deque[tuple[int, str]] = deque(maxlen=RING)
        self._viewers: set[Viewer] = set()
        self._closed = False
        self._listeners: list[Callable[[str], object]] = []
        bus.subscribe(RunMoved, self._moved)
        bus.subscribe(RunChanged, self._changed)
        bus.subscribe(LogsAdded, self._lines_added)

    @property
    def position(self) -> Position:
        """Where the sequence stands. Ask *before* reading what a page shows, so that it misses nothing."""
        return Position(self._epoch, self._seq)

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    @contextmanager
    def viewing(self, environment_id: str, run_ids: frozenset[str]) -> Iterator[Viewer]:
        """Follow these runs. Raises ServerBusy when too many pages are open already."""
        if len(self._viewers) >= MAX_VIEWERS or self._closed:
            raise ServerBusy
        viewer = Viewer(environment_id, run_ids)
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    def changed_since(self, position: Position, run_ids: frozenset[str]) -> set[str] | None:
        """Return which of these runs changed since, or None when the position is of another start.

        A position older than what is remembered makes all of them count as changed.
        """
        if position.epoch != self._epoch:
            return None
        if position.seq == self._seq:
            return set()
        if not self._ring or self._ring[0][0] > position.seq + 1:
            return set(run_ids)
        return {run_id for seq, run_id in self._ring if seq > position.seq and run_id in run_ids}

    def on_change(self, listener: Callable[[str], object]) -> None:
        """Call `listener` with the id of every run that changes, before any page hears of it."""
        self._listeners.append(listener)

    def close(self) -> None:
        """End every stream, because the server stops."""
        self._closed = True
        for viewer in self._viewers:
            viewer.wake()

    # ---- the bus ------------------------------------------------------------------------------------

    def _moved(self, event: RunMoved) -> None:
        is_new = event.snapshot_seq == 1
        left_line = event.transition == "dequeue"
        self._note(event.run_id)
        for viewer in self._viewers:
            if event.run_id in viewer.run_ids:
                viewer.changed.add(event.run_id)
                viewer.wake()
            elif viewer.environment_id == event.environment_id:
                viewer.has_new_runs |= is_new
                viewer.has_line_moved |= left_line or event.freed_slot
                viewer.wake()

    def _changed(self, event: RunChanged) -> None:
        self._note(event.run_id)
        for viewer in self._viewers:
            if event.run_id in viewer.run_ids:
                viewer.changed.add(event.run_id)
                viewer.wake()

    def _lines_added(self, event: LogsAdded) -> None:
        for viewer in self._viewers:
            if event.run_id in viewer.run_ids:
                viewer.has_new_lines = True
                viewer.wake()

    def _note(self, run_id: str) -> None:
        self._seq += 1
        self._ring.append((self._seq, run_id))
        for listener in self._listeners:
            listener(run_id)
