"""Runs what schedules have due: a few instances at a time, each in a transaction of its own."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from trigger_lite.engine.firing import fire, fire_queued, skip
from trigger_lite.engine.schedules import repair_plans
from trigger_lite.protocol.errors import DatabaseFailed, Refusal, ServerBusy
from trigger_lite.protocol.times import iso
from trigger_lite.store.schedules import DueRow, find_next_due, list_due
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Reader

logger = logging.getLogger(__name__)

AT_ONCE: Final = 100
IN_TURN: Final = 20
"""Times that share a commit, so that nothing else waits long for the writer."""
TRIES: Final = 5
"""A time that cannot run is tried so often, and then skipped (SC-17)."""
RETRY_SECONDS: Final = 1.0
CLOCK_SLACK_SECONDS: Final = 1.0
_DEVELOPMENT: Final = "DEVELOPMENT"


class ScheduleTicks:
    """The loop of schedules. `connected` counts the workers of an environment.

    A time that cannot run is tried again after `retry_seconds`, and each time after twice as long. That is
    kept in memory: after a restart it is tried anew.
    """

    def __init__(
        self,
        store: Store,
        connected: Callable[[str], int],
        *,
        retry_seconds: float = RETRY_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._connected = connected
        self._retry_seconds = retry_seconds
        self._now = now
        self._latest = 0.0
        self._repair_after: str | None = ""
        # By instance and time: how often it failed, and when it is tried again (Unix ms).
        self._failed: dict[tuple[str, int], tuple[int, int]] = {}

    async def tick(self) -> int | None:
        """Run what is due; returns when the next is (Unix ms), None when nothing is planned."""
        now, due = await self._store.read(_look, AT_ONCE + len(self._failed))
        self._failed = {key: self._failed[key] for key in map(_key, due) if key in self._failed}
        await self._repair()
        ready = [row for row in due if self._failed.get(_key(row), (0, 0))[1] <= now][:AT_ONCE]
        for start in range(0, len(ready), IN_TURN):
            await self._act_on(ready[start : start + IN_TURN])
        if len(ready) == AT_ONCE or self._repair_after is not None:
            return now
        planned = await self._store.read(find_next_due, now)
        times = [again for _, again in self._failed.values()] + ([] if planned is None else [planned])
        return min(times, default=None)

    async def _repair(self) -> None:
        """Look over the plans of all schedules once, and again whenever the clock went back (SC-05)."""
        before, self._latest = self._latest, self._now()
        if self._latest < before - CLOCK_SLACK_SECONDS:
            self._repair_after = ""
        if self._repair_after is None:
            return
        repaired = await self._store.write_when_free(repair_plans, self._repair_after, AT_ONCE)
        self._repair_after = repaired.last
        for schedule_id in repaired.unplannable:
            logger.warning("the schedule %s cannot be planned: its time zone is not known here", schedule_id)

    async def _act_on(self, rows: list[DueRow]) -> None:
        """Act on a few together; raises what stops them all, when each was tried."""
        for result in await asyncio.gather(*map(self._act, rows), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _act(self, row: DueRow) -> None:
        """Run one time, or skip it where nobody is there to run it (SC-16)."""
        if row.environment_type == _DEVELOPMENT and not self._connected(row.environment_id):
            await self._store.submit_when_free(skip, row.instance_id, row.at)
            return
        try:
            await self._store.submit_when_free(
                fire_queued if row.is_queued else fire, row.instance_id, row.at
            )
        except (DatabaseFailed, ServerBusy):
            raise
        except Refusal as refusal:
            await self._fail(row, refusal.message)
        except Exception as error:
            logger.exception("the schedule %s failed", row.schedule_id)
            await self._fail(row, str(error))
        else:
            self._failed.pop(_key(row), None)

    async def _fail(self, row: DueRow, reason: str) -> None:
        """Try again a little later, or let the time pass; later times are not stopped by it (SC-17)."""
        tries = self._failed.get(_key(row), (0, 0))[0] + 1
        what = f"the schedule {row.schedule_id} cannot run at {iso(row.at)}: {reason}"
        if tries >= TRIES:
            logger.error("%s; skipped after %d tries", what, tries)
            del self._failed[_key(row)]
            await self._store.submit_when_free(skip, row.instance_id, row.at)
            return
        seconds = self._retry_seconds * 2 ** (tries - 1)
        logger.warning("%s; tried again in %g s", what, seconds)
        self._failed[_key(row)] = (tries, int((self._now() + seconds) * 1_000))


def _key(row: DueRow) -> tuple[str, int]:
    return row.instance_id, row.at


def _look(tx: Reader, count: int) -> tuple[int, list[DueRow]]:
    """Return what is due, and at what moment that was looked at."""
    return tx.now, list_due(tx, count=count)
