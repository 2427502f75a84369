"""Joins engine and worker connections: waiting runs on one side, free workers on the other."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Protocol

from trigger_lite.engine.deliveries import hand_back
from trigger_lite.engine.events import MoreParked, QueueChanged, RunMoved, VersionRegistered
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.engine.queues import Claim, Offer, claim_runs
from trigger_lite.engine.workers import promote_waiting
from trigger_lite.protocol.errors import Refusal
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.statuses import ExecutionStatus
from trigger_lite.store.store import Store

logger = logging.getLogger(__name__)


class Link(Protocol):
    """A connected worker, as the dispatcher needs it."""

    worker_id: str
    environment_id: str
    version_id: str
    credits: int

    def push(self, claim: Claim) -> None:
        """Send a claimed run to the worker."""

    def cancel(self, run_id: str, snapshot: str) -> None:
        """Ask the worker to stop a run."""

    def leave(self, run_id: str) -> None:
        """Tell the worker that a run is no longer its own."""


class Clockwork(Protocol):
    def wake(self, name: str, at_ms: int | None = None) -> None: ...


class Dispatcher:
    """One claim at a time per environment; whoever asks meanwhile is served by the next one."""

    def __init__(self, store: Store, clock: Clockwork) -> None:
        self._store = store
        self._clock = clock
        self._links: dict[str, Link] = {}
        self._busy: set[str] = set()
        self._asked: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    # ---- connections ------------------------------------------------------------------------------

    def add(self, link: Link) -> None:
        self._links[link.worker_id] = link
        self.wake(link.environment_id)

    def remove(self, link: Link) -> None:
        if self._links.get(link.worker_id) is link:
            del self._links[link.worker_id]

    def connected(self, environment_id: str) -> int:
        """Count the workers connected to an environment."""
        return sum(link.environment_id == environment_id for link in self._links.values())

    def leave(self, worker_id: str | None, run_id: str) -> None:
        """Tell a worker, if it is connected, that a run is no longer its own."""
        link = self._links.get(worker_id or "")
        if link is not None:
            link.leave(run_id)

    # ---- what happened ------------------------------------------------------------------------------

    def run_moved(self, event: RunMoved) -> None:
        if event.execution_status is ExecutionStatus.QUEUED or event.freed_slot:
            self.wake(event.environment_id)
        if event.transition == Transition.REQUEST_CANCEL:
            link = self._links.get(event.worker_id or "")
            if link is not None:
                link.cancel(event.run_id, snapshot_id(event.run_id, event.snapshot_seq))

    def queue_changed(self, event: QueueChanged) -> None:
        self.wake(event.environment_id)

    def version_registered(self, event: VersionRegistered) -> None:
        self.wake(event.environment_id)

    def more_parked(self, event: MoreParked) -> None:
        """Put the next chunk of parked runs in line."""
        if not self._stopped:
            self._begin(self._promote(event.environment_id, event.version_id))

    # ---- dispatching --------------------------------------------------------------------------------

    def wake(self, environment_id: str) -> None:
        """Look for work of an environment soon."""
        self._asked.add(environment_id)
        if environment_id in self._busy or self._stopped:
            return
        self._busy.add(environment_id)
        self._begin(self._dispatch(environment_id))

    def wake_all(self) -> None:
        for environment_id in {link.environment_id for link in self._links.values()}:
            self.wake(environment_id)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _promote(self, environment_id: str, version_id: str) -> None:
        try:
            await self._store.write_when_free(promote_waiting, environment_id, version_id)
        except Exception:
            logger.exception("promoting parked runs failed; the version's next worker tries again")

    async def stop(self) -> None:
        """Claim nothing any more; returns when the last claim is delivered (LK-08)."""
        self._stopped = True
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _dispatch(self, environment_id: str) -> None:
        try:
            while environment_id in self._asked and not self._stopped:
                self._asked.discard(environment_id)
                await self._claim(environment_id)
        except Exception:
            logger.exception("dispatching failed; the next event tries again")
        finally:
            self._busy.discard(environment_id)

    async def _claim(self, environment_id: str) -> None:
        connected = [
            Offer(link.worker_id, link.version_id, link.credits)
            for link in self._links.values()
            if link.environment_id == environment_id
        ]
        if not any(offer.credits > 0 for offer in connected):
            return
        claims = await self._store.write_when_free(claim_runs, environment_id, connected)
        for claim in claims.runs:
            await self._deliver(claim)
        if claims.runs or claims.has_more:
            self._asked.add(environment_id)  # there may be more than one claim takes
        elif claims.next_due is not None:
            self._clock.wake("dispatch", claims.next_due)

    async def _deliver(self, claim: Claim) -> None:
        link = self._links.get(claim.worker_id)
        if link is not None:
            link.credits -= 1
            link.push(claim)
            return
        run = claim.run
        try:
            await self._store.write_when_free(
                hand_back,
                run.environment_id,
                run.id,
                snapshot_id(run.id, run.snapshot_seq),
                claim.worker_id,
            )
        except Refusal as refusal:
            logger.info("a run claimed for a worker that is gone moved on: %s", refusal.message)
