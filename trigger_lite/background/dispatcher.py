"""Joins engine and worker connections: waiting runs on one side, free workers on the other."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Coroutine, Iterable
from typing import Final, NamedTuple, Protocol

from trigger_lite.engine.deliveries import hand_back
from trigger_lite.engine.events import MoreParked, QueueChanged, RunMoved, VersionRegistered
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.engine.queues import Claim, Claims, Offer, claim_runs
from trigger_lite.engine.wait_state import read_wait_state
from trigger_lite.engine.workers import promote_waiting
from trigger_lite.protocol.errors import DatabaseFailed, Refusal
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.statuses import ExecutionStatus
from trigger_lite.protocol.worker import Moved
from trigger_lite.store.runs import RunRow
from trigger_lite.store.store import Store

logger = logging.getLogger(__name__)

AFTER_ERROR_SECONDS: Final = 1.0
_STEPS_OF_A_WAIT: Final = frozenset(
    {
        Transition.BLOCK,
        Transition.UNBLOCK,
        Transition.UNBLOCK_WITHOUT_SLOT,
        Transition.SLOT_FOUND,
    }
)


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

    def moved(self, step: Moved) -> None:
        """Tell the worker of a step of a wait."""

    async def sent(self) -> None:
        """Return when all it was told is on its way, or the connection is gone."""


class Clockwork(Protocol):
    def wake(self, name: str, at_ms: int | None = None) -> None: ...


class _Asked(NamedTuple):
    """A claim that the store was asked for, and the connections it is for."""

    links: dict[str, Link]
    claims: Awaitable[Claims]


class Dispatcher:
    """One claim at a time per environment; whoever asks meanwhile is served by the next one."""

    def __init__(self, store: Store, clock: Clockwork) -> None:
        self._store = store
        self._clock = clock
        # By environment and worker: a name is a worker's own only within its environment.
        self._links: dict[tuple[str, str], Link] = {}
        self._busy: set[str] = set()
        self._asked: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        # By environment: runs whose wait is over and that need a slot, though no worker has room for more.
        self._resuming: dict[str, set[str]] = {}
        self._stopped = False

    # ---- connections ------------------------------------------------------------------------------

    def add(self, link: Link) -> None:
        self._links[link.environment_id, link.worker_id] = link
        self.wake(link.environment_id)

    def remove(self, link: Link) -> None:
        if self._links.get((link.environment_id, link.worker_id)) is link:
            del self._links[link.environment_id, link.worker_id]

    def has(self, environment_id: str, worker_id: str) -> bool:
        """Tell whether this worker is connected."""
        return (environment_id, worker_id) in self._links

    def connected(self, environment_id: str) -> int:
        """Count the workers connected to an environment."""
        return len(self._links_of(environment_id))

    def _links_of(self, environment_id: str) -> list[Link]:
        return [link for link in self._links.values() if link.environment_id == environment_id]

    def leave(self, environment_id: str, worker_id: str, run_id: str) -> None:
        """Tell a worker, if it is connected, that a run is no longer its own."""
        link = self._links.get((environment_id, worker_id))
        if link is not None:
            link.leave(run_id)

    # ---- what happened ------------------------------------------------------------------------------

    def run_moved(self, event: RunMoved) -> None:
        self._note_resuming(event.environment_id, event.run_id, event.execution_status)
        if event.execution_status is ExecutionStatus.QUEUED or event.freed_slot:
            self.wake(event.environment_id)
        if event.transition in _STEPS_OF_A_WAIT and event.worker_id is not None:
            self.tell_wait(event.environment_id, event.worker_id, event.run_id)
        if event.transition == Transition.REQUEST_CANCEL:
            link = self._links.get((event.environment_id, event.worker_id or ""))
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

    def resume(self, runs: Iterable[RunRow]) -> None:
        """Take note of runs that workers had when this server started: some may only want a slot."""
        for run in runs:
            self._note_resuming(run.environment_id, run.id, ExecutionStatus(run.execution_status))

    def _note_resuming(self, environment_id: str, run_id: str, status: ExecutionStatus) -> None:
        if status is ExecutionStatus.QUEUED_EXECUTING:
            self._resuming.setdefault(environment_id, set()).add(run_id)
        elif environment_id in self._resuming:
            self._resuming[environment_id].discard(run_id)

    # ---- waits --------------------------------------------------------------------------------------

    def tell_wait(self, environment_id: str, worker_id: str, run_id: str) -> None:
        """Tell a worker where a run of its stands because of a wait, if it is connected."""
        link = self._links.get((environment_id, worker_id))
        if link is not None and not self._stopped:
            self._begin(self._tell_wait(link, run_id))

    async def _tell_wait(self, link: Link, run_id: str) -> None:
        try:
            await self._tell_parts(link, run_id)
        except Exception:
            # Its next heartbeat names an old snapshot, and it is told then.
            logger.exception("what ended the wait of %s could not be read", run_id)

    async def _tell_parts(self, link: Link, run_id: str) -> None:
        """Tell what fits into one message, then the rest: only what is on its way is held in memory."""
        place, told, snapshot = (link.environment_id, link.worker_id), 0, None
        while self._links.get(place) is link:
            step = await self._store.read(read_wait_state, *place, run_id, told)
            if step is None or step.snapshot != (snapshot or step.snapshot):
                return
            link.moved(step)
            if not step.more:
                return
            await link.sent()
            told, snapshot = told + len(step.waitpoints), step.snapshot

    def promote_all(self) -> None:
        """Put parked runs in line that a connected version can run: its hello may have been missed."""
        for environment_id, version_id in {(x.environment_id, x.version_id) for x in self._links.values()}:
            self._begin(self._promote(environment_id, version_id))

    # ---- dispatching --------------------------------------------------------------------------------

    def wake(self, environment_id: str) -> None:
        """Look for work of an environment.

        The store is asked at once: the claim shares the commit of what this turn of the loop submitted.
        """
        self._asked.add(environment_id)
        if environment_id in self._busy:
            return
        asked = self._ask(environment_id)
        if asked is not None:
            self._busy.add(environment_id)
            self._begin(self._dispatch(environment_id, asked))

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
        except DatabaseFailed:
            logger.info("promoting parked runs is put off until the database works again")
        except Exception:
            logger.exception("promoting parked runs failed; the version's next worker tries again")

    async def stop(self) -> None:
        """Claim nothing any more; returns when the last claim is delivered (LK-08)."""
        self._stopped = True
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _dispatch(self, environment_id: str, asked: _Asked | None) -> None:
        try:
            while asked is not None:
                await self._act_on(environment_id, asked)
                asked = self._ask(environment_id)
        except Exception as error:
            if not isinstance(error, DatabaseFailed):  # which the database's own lines explain
                logger.exception("dispatching failed; it is tried again")
            self._clock.wake("dispatch", int((time.time() + AFTER_ERROR_SECONDS) * 1000))
        finally:
            self._busy.discard(environment_id)

    def _ask(self, environment_id: str) -> _Asked | None:
        """Ask the store for a claim, if somebody wants one and a worker has room."""
        if environment_id not in self._asked or self._stopped:
            return None
        self._asked.discard(environment_id)
        links = {link.worker_id: link for link in self._links_of(environment_id)}
        offers = [Offer(link.worker_id, link.version_id, link.credits) for link in links.values()]
        if not any(offer.credits > 0 for offer in offers) and not self._resuming.get(environment_id):
            return None
        return _Asked(links, self._store.submit_when_free(claim_runs, environment_id, offers))

    async def _act_on(self, environment_id: str, asked: _Asked) -> None:
        claims = await asked.claims
        for claim in claims.runs:
            await self._deliver(claim, asked.links[claim.worker_id])
        if claims.runs or claims.has_more:
            self._asked.add(environment_id)  # there may be more than one claim takes
        elif claims.next_due is not None:
            self._clock.wake("dispatch", claims.next_due)

    async def _deliver(self, claim: Claim, link: Link) -> None:
        """Send a run over the very connection it was claimed for; a newer one said hello without it."""
        if self._links.get((link.environment_id, link.worker_id)) is not link:
            await self._hand_back(claim.run, link.worker_id)
            return
        link.credits -= 1
        try:
            link.push(claim)
        except Exception:
            logger.exception("%s could not be sent to its worker", claim.run.id)

    async def _hand_back(self, run: RunRow, worker_id: str) -> None:
        snapshot = snapshot_id(run.id, run.snapshot_seq)
        try:
            await self._store.write_when_free(hand_back, run.environment_id, run.id, snapshot, worker_id)
        except Refusal as refusal:
            logger.info("a run claimed for a worker that is gone moved on: %s", refusal.message)
