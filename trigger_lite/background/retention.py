"""Removes what is too old, then, while the data is over its size, what is oldest; then gives room back.

A round goes over everything in small steps: looking is for readers, and each step holds the writer for a few
milliseconds, then leaves it alone for longer. Where a round stopped is kept in the database.
"""

import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from trigger_lite.config import Keep
from trigger_lite.engine.retention import Kind, find_old, remove
from trigger_lite.store import logs, marks, space
from trigger_lite.store.store import Store, wall_clock
from trigger_lite.store.transaction import Tx

logger = logging.getLogger(__name__)

FIRST_ROUND_SECONDS: Final = 60.0
ROUND_SECONDS: Final = 600.0
HOLD_SECONDS: Final = 0.005
"""How long a step should hold the writer; never more than 20 ms."""
PAUSE: Final = 4
"""The writer is left alone this many times as long as it was held."""
CHECKPOINT_AFTER: Final = 0.02
"""Seconds of holding the writer after which the log that they filled is brought into the file beside it."""
LOOKED_AT: Final = 500
FRESH_MS: Final = 3_600_000
"""What ended within the last hour stays, however large the data is."""
RELIEF: Final = 0.95
"""Once over its limit, the data is brought down to this part of it."""
MEASURED_EVERY: Final = 20
"""Steps between two looks at the size."""
ANEW_MS: Final = 86_400_000
"""Once a day a walk begins at the oldest again: what it passed over may be over by now."""
SPARE_PAGES: Final = 256
SPARE_SHARE: Final = 0.1
"""Free pages that a file keeps, for what comes next: so many, and this part of it."""

_EARLY: Final = ", early"
_BY_AGE: Final = tuple(kind for kind in Kind if kind is not Kind.KEYED)
_BY_SIZE: Final = (Kind.PAYLOADS, Kind.RUNS, Kind.FAILURES, Kind.BATCHES, Kind.KEYED)


class Pace:
    """How many things one step takes: as many as should hold the writer for HOLD_SECONDS.

    What one thing costs is remembered at its dearest: it is soon believed to be more, slowly to be less.
    """

    def __init__(self, count: int, most: int) -> None:
        self.count = count
        self._most = most
        self._each = 0.0

    def learn(self, taken: int, seconds: float) -> None:
        """Note what a step of `taken` things cost; the next one grows by half at most."""
        self._each = max(seconds / max(1, taken), 0.9 * self._each)
        fitting = HOLD_SECONDS / max(self._each, 1e-6)
        self.count = max(1, min(self._most, math.floor(min(fitting, self.count * 1.5 + 1))))


class Place(msgspec.Struct):
    """How far a walk came: the last id it looked at, and when it began at the oldest (Unix ms)."""

    after: str
    began: int


class Retention:
    """The loop. `keep` says what to leave alone; `longest_hold` is the most a step held the writer (s)."""

    def __init__(
        self,
        state: Store,
        telemetry: Store,
        keep: Keep,
        *,
        measured_every: int = MEASURED_EVERY,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        self._state = state
        self._telemetry = telemetry
        self._keep = keep
        self._measured_every = measured_every
        self._clock = clock
        self._steps: AsyncIterator[float] | None = None
        self._is_first = True
        self._removed: Counter[str] = Counter()
        self._paces = {kind: Pace(10, LOOKED_AT) for kind in Kind}
        self._line_pace = Pace(100, 5_000)
        self._page_pace = Pace(20, 1_000)
        self._unsettled = 0.0
        self.longest_hold = 0.0

    async def tick(self) -> int:
        """Make one step; returns when to make the next (Unix ms)."""
        if self._is_first:  # whoever starts the server wants to see it work first
            self._is_first = False
            return self._in(FIRST_ROUND_SECONDS)
        if self._steps is None:
            self._steps = self.steps()
        try:
            held = await anext(self._steps)
        except StopAsyncIteration:
            self._steps = None
            return self._in(ROUND_SECONDS)
        except BaseException:
            self._steps = None
            raise
        return self._in(held * PAUSE)

    def _in(self, seconds: float) -> int:
        return self._clock() + math.ceil(seconds * 1_000)

    async def _checkpoint(self, held: float) -> None:
        self._unsettled += held
        if self._unsettled >= CHECKPOINT_AFTER:
            self._unsettled = 0.0
            await self._state.checkpoint()
            await self._telemetry.checkpoint()

    async def steps(self) -> AsyncIterator[float]:
        """Make one round; yield, step by step, for how long the writer was held (s)."""
        parts = (
            self._by_age(),
            self._by_size(),
            self._give_back(self._state),
            self._give_back(self._telemetry),
        )
        for part in parts:
            async for held in part:
                self.longest_hold = max(self.longest_hold, held)
                await self._checkpoint(held)
                yield held
        if self._removed.total():
            logger.info("removed by age or size: %s", _listed(self._removed))
        self._removed.clear()

    # ---- by age -------------------------------------------------------------------------------------

    async def _by_age(self) -> AsyncIterator[float]:
        now = self._clock()
        if self._keep.logs is not None:
            async for held in self._old_lines(now - self._keep.logs):
                yield held
        for kind in _BY_AGE:
            age = self._age_of(kind)
            if age is not None:
                async for held in self._walk(kind, now - age, f"retention.{kind}"):
                    yield held

    def _age_of(self, kind: Kind) -> int | None:
        ages = {Kind.PAYLOADS: self._keep.payloads, Kind.FAILURES: self._keep.failures}
        return ages.get(kind, self._keep.runs)

    async def _walk(self, kind: Kind, before: int, name: str) -> AsyncIterator[float]:
        """Go on where the last walk stopped, up to what is younger than `before` (Unix ms)."""
        place = await self._begin(name)
        while True:
            old = await self._state.read(find_old, kind, after=place.after, before=before, count=LOOKED_AT)
            ids = old.ids
            while ids:
                count = self._paces[kind].count
                some, ids = ids[:count], ids[count:]
                place.after = some[-1]
                yield await self._remove(kind, some, before, (name, place))
            if old.last is None:
                break
            place.after = old.last
        await self._state.write_when_free(_keep_place, name, place)

    async def _begin(self, name: str) -> Place:
        text = await self._state.read(marks.find_mark, name)
        place = Place("", 0) if text is None else msgspec.json.decode(text, type=Place)
        is_new = 0 <= self._clock() - place.began < ANEW_MS
        return place if is_new else Place("", self._clock())

    async def _remove(self, kind: Kind, ids: list[str], before: int, reached: "tuple[str, Place]") -> float:
        if kind in (Kind.RUNS, Kind.FAILURES, Kind.KEYED):
            await self._lines_of(ids)
        count, held = await self._state.measure_when_free(_remove_and_mark, kind, ids, before, reached)
        self._paces[kind].learn(len(ids), held)
        self._removed[kind] += count
        return held

    # ---- by size ------------------------------------------------------------------------------------

    async def _by_size(self) -> AsyncIterator[float]:
        limit = self._keep.data
        if limit is None or not await self._is_over(limit):
            return
        steps = 0
        async for held in self._oldest_first():
            yield held
            steps += 1
            if steps % self._measured_every == 0 and not await self._is_over(limit * RELIEF):
                return
        if await self._is_over(limit):
            logger.warning("the data is over its limit (--keep-data), and nothing more of it may be removed")
            await self._state.write_when_free(_forget_places)

    async def _is_over(self, limit: float) -> bool:
        pairs = ((self._state, "state"), (self._telemetry, "telemetry"))
        room = sum([await store.read(space.total_bytes, area) for store, area in pairs])
        if room <= limit:
            return False
        return sum([await store.read(space.used_bytes, area) for store, area in pairs]) > limit

    async def _oldest_first(self) -> AsyncIterator[float]:
        """All that may go: logs, then payloads, then runs, then failures, then runs with living keys."""
        before = self._clock() - FRESH_MS
        async for held in self._old_lines(before):
            yield held
        for kind in _BY_SIZE:
            async for held in self._walk(kind, before, f"retention.{kind}{_EARLY}"):
                yield held

    # ---- log lines --------------------------------------------------------------------------------------

    async def _old_lines(self, before: int) -> AsyncIterator[float]:
        is_more = True
        while is_more:
            count = self._line_pace.count
            deleted, held = await self._telemetry.measure_when_free(_delete_old_lines, before, count)
            self._line_pace.learn(max(deleted, count // 10), held)
            self._removed["log lines"] += deleted
            is_more = deleted == count
            yield held

    async def _lines_of(self, run_ids: list[str]) -> None:
        """Delete what runs printed that are about to be removed."""
        for run_id in await self._telemetry.read(logs.list_with_lines, run_ids):
            is_more = True
            while is_more:
                count = self._line_pace.count
                deleted, held = await self._telemetry.measure_when_free(_delete_lines_of, run_id, count)
                self._line_pace.learn(max(deleted, count // 10), held)
                is_more = deleted == count

    # ---- room -----------------------------------------------------------------------------------------

    async def _give_back(self, store: Store) -> AsyncIterator[float]:
        """Make the file shorter, by all its free pages but a few."""
        pages = await store.read(space.find_pages)
        spare = max(SPARE_PAGES, round((pages.all - pages.free) * SPARE_SHARE))
        while pages.free > spare:
            count = min(self._page_pace.count, pages.free - spare)
            _, held = await store.measure_when_free(space.give_back, count)
            self._page_pace.learn(count, held)
            yield held
            before, pages = pages, await store.read(space.find_pages)
            if pages.free >= before.free:
                break  # a file from before pages could be given back


# ---- what runs on the writer's thread -----------------------------------------------------------------


def _remove_and_mark(tx: Tx, kind: Kind, ids: list[str], before: int, reached: tuple[str, Place]) -> int:
    _keep_place(tx, *reached)
    return remove(tx, kind, ids, before)


def _keep_place(tx: Tx, name: str, place: Place) -> None:
    marks.put_mark(tx, name, msgspec.json.encode(place).decode())


def _forget_places(tx: Tx) -> None:
    """Let the next walks by size begin at the oldest."""
    for kind in _BY_SIZE:
        _keep_place(tx, f"retention.{kind}{_EARLY}", Place("", 0))


def _delete_old_lines(tx: Tx, before: int, count: int) -> int:
    return logs.delete_old_lines(tx, before=before, count=count)


def _delete_lines_of(tx: Tx, run_id: str, count: int) -> int:
    return logs.delete_lines_of(tx, run_id, count=count)


def _listed(removed: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in removed.items() if count)
