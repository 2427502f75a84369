"""The clock: calls each loop when it is due. It is never the truth: what is due stands in rows.

The machine's clock may be set while the server runs: then every loop is called, to look anew at what is due.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from trigger_lite.protocol.errors import DatabaseFailed

logger = logging.getLogger(__name__)

AFTER_ERROR_SECONDS: Final = 5.0
WATCH_SECONDS: Final = 5.0
JUMP_SECONDS: Final = 2.0
"""How far the machine's clock may run ahead of or behind its steady one between two looks."""


class Loop:
    """One row of the table: what to do, and how long to sleep at most.

    `tick` does bounded work, may be repeated safely, and returns when it wants to be called next (Unix ms),
    or None when nothing is waiting.
    """

    def __init__(
        self, name: str, *, at_most_seconds: float, tick: Callable[[], Awaitable[int | None]]
    ) -> None:
        self.name = name
        self.at_most_seconds = at_most_seconds
        self.tick = tick


class Clock:
    """Runs loops on APScheduler: one at a time each, late calls folded into one, woken early on demand.

    `now` is the machine's clock in Unix seconds.
    """

    def __init__(
        self,
        *,
        after_error_seconds: float = AFTER_ERROR_SECONDS,
        watch_seconds: float = WATCH_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._after_error_seconds = after_error_seconds
        self._watch_seconds = watch_seconds
        self._now = now
        self._lead = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._loops: dict[str, Loop] = {}
        self._next: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    def start(self, loops: list[Loop]) -> None:
        """Call every loop now, and from then on as each asks."""
        self._loops = {loop.name: loop for loop in loops}
        self._scheduler.start()
        self._lead = self._now() - time.monotonic()
        self._look_again_later()
        self._call_all()

    def _call_all(self) -> None:
        for name in self._loops:
            self._next[name] = self._now()
            if name not in self._running:
                self._plan(name, self._now())

    def _look_again_later(self) -> None:
        self._watch = asyncio.get_running_loop().call_later(self._watch_seconds, self._look)

    def _look(self) -> None:
        """Look whether the machine's clock was set; the loops were planned by the old time."""
        before, self._lead = self._lead, self._now() - time.monotonic()
        jump = self._lead - before
        if abs(jump) >= JUMP_SECONDS:
            direction = "ahead" if jump > 0 else "back"
            logger.warning("the machine's clock was set %s by %.0f s; looking anew", direction, abs(jump))
            self._call_all()
        self._look_again_later()

    def stop(self) -> None:
        """Call nothing any more; a call under way is cancelled where it waits."""
        if self._watch is not None:
            self._watch.cancel()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for task in self._running.values():
            task.cancel()

    @property
    def is_running(self) -> bool:
        return bool(self._scheduler.running)

    def wake(self, name: str, at_ms: int | None = None) -> None:
        """Call a loop at `at_ms` (Unix ms; now without one), if that is sooner than planned."""
        at = self._now() if at_ms is None else at_ms / 1000
        if at >= self._next.get(name, 0.0):
            return
        self._next[name] = at
        if name not in self._running:
            self._plan(name, at)

    async def _begin(self, name: str) -> None:
        """Start a call as a task of its own.

        The scheduler takes a job for running until it has returned, and drops what is planned for it
        meanwhile; this one returns at once, so that a call may plan the next.
        """
        if name not in self._running:
            self._running[name] = asyncio.create_task(self._call(name))

    async def _call(self, name: str) -> None:
        loop = self._loops[name]
        latest = self._now() + loop.at_most_seconds
        self._next[name] = latest
        try:
            due = await loop.tick()
        except Exception as error:
            if not isinstance(error, DatabaseFailed):  # which the database's own lines explain
                logger.exception("the loop %r failed; it is tried again", name)
            due = int((self._now() + self._after_error_seconds) * 1000)
        finally:
            del self._running[name]
        # What woke the loop meanwhile stands in `_next` and wins when it is sooner.
        self._plan(name, min(latest, self._next[name], latest if due is None else due / 1000))

    def _plan(self, name: str, at: float) -> None:
        if not self._scheduler.running:
            return
        self._next[name] = at
        self._scheduler.add_job(
            self._begin,
            "date",
            run_date=datetime.now(UTC) + timedelta(seconds=max(0.0, at - self._now())),
            id=name,
            args=(name,),
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
            replace_existing=True,
        )
