"""Applies a worker's messages in their order and answers each one that asks for it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec

from trigger_lite.engine import attempts, deliveries, run_metadata, workers
from trigger_lite.protocol import worker
from trigger_lite.protocol.errors import DatabaseFailed, Refusal, WorkerVersionNotFound
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.ids import snapshot_seq
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.runs import find_run_in
from trigger_lite.store.transaction import Reader, Tx
from trigger_lite.store.versions import find_version
from trigger_lite.web.services import Services
from trigger_lite.web.worker_api.link import Link
from trigger_lite.web.worker_api.messages import ack_complete, log_row

P = ParamSpec("P")
logger = logging.getLogger(__name__)

MAX_UNANSWERED: Final = 1_000
"""Messages of one worker that may wait for the store; beyond this its socket is not read."""
MAX_KEEPING: Final = 8
"""Messages of log lines, each of which may be large, that wait to be written at once."""
NO_ANSWER: Final = -1


class Inbox:
    """One connection's messages. Writes are submitted in order and answered as they are committed.

    `broken` is set when the database failed: what was not answered stays unanswered, so that the worker sends
    it again, in its order, over its next connection.
    """

    def __init__(self, services: Services, environment: EnvironmentRow, link: Link) -> None:
        self._services = services
        self._environment = environment
        self._link = link
        self._pending: list[tuple[int, asyncio.Future[Any]]] = []
        self._answers: set[asyncio.Task[None]] = set()
        self._logging: set[asyncio.Task[None]] = set()
        self._log_order = asyncio.Lock()
        self._waiting = 0
        self._room = asyncio.Event()
        self._room.set()
        self.broken = asyncio.Event()

    async def take(self, messages: list[worker.WorkerMessage]) -> None:
        """Apply the messages of one frame; returns when the next frame may be read."""
        for message in messages:
            await self._apply(message)
        self._answer_later()
        await self._room.wait()

    async def _apply(self, message: worker.WorkerMessage) -> None:
        owner = self._link.worker_id
        match message:
            case worker.Start(seq, run, snapshot):
                await self._submit(seq, attempts.start_attempt, run, snapshot, owner)
            case worker.Complete(seq, run, snapshot, completion):
                await self._complete(seq, run, snapshot, completion)
            case worker.Credits(count):
                self._link.credits += max(0, count)
                self._services.dispatcher.wake(self._environment.id)
            case worker.Logs(seq, lines):
                await self._log(seq, lines)
            case worker.Heartbeat(held):
                self._renew(held)
            case worker.Metadata(seq, run, own, parent, root):
                await self._submit(seq, run_metadata.change_metadata, run, own, parent, root)
            case worker.Tags(seq, run, tags):
                await self._submit(seq, run_metadata.add_tags, run, tags)
            case worker.Release(seq, run, snapshot):
                await self._submit(seq, deliveries.hand_back, run, snapshot, owner)
            case worker.Version(version_id):
                await self._submit(NO_ANSWER, _change_version, version_id)
                self._link.version_id = version_id
                self._services.dispatcher.wake(self._environment.id)
            case worker.Hello():
                logger.warning("worker %s said hello twice", owner)

    async def _complete(self, seq: int, run: str, snapshot: str, completion: Completion) -> None:
        """End an attempt, once all that was printed before is on disk: nobody reads on after the end."""
        if self._logging:
            await asyncio.wait(self._logging)
        if completion.flushed_metadata is not None:
            await self._submit(NO_ANSWER, run_metadata.apply_flushed, run, completion.flushed_metadata)
        await self._submit(seq, attempts.complete_attempt, run, snapshot, completion)

    async def _submit(
        self, seq: int, fn: Callable[Concatenate[Tx, str, P], Any], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Have `fn(tx, environment id, *args)` written, in turn, and its outcome answered."""
        await self._services.store.room()
        self._follow(seq, self._services.store.submit(fn, self._environment.id, *args, **kwargs))

    async def _log(self, seq: int, lines: list[worker.LogLine]) -> None:
        while len(self._logging) >= MAX_KEEPING:
            await asyncio.wait(self._logging, return_when=asyncio.FIRST_COMPLETED)
        keeping = asyncio.create_task(self._keep_logs(lines))
        self._logging.add(keeping)
        keeping.add_done_callback(self._logging.discard)
        self._follow(seq, keeping)

    async def _keep_logs(self, lines: list[worker.LogLine]) -> None:
        """Keep the lines of runs that are this environment's; lines of others are dropped."""
        async with self._log_order:
            named = {line.run for line in lines}
            own = named & self._link.runs
            if own != named:
                own |= await self._services.store.read(_own, self._environment.id, named - own)
                self._link.remember(own)
        # Numbered before anything else can happen: lines stay in the order they came in.
        await self._services.logs.add([log_row(line) for line in lines if line.run in own])

    def _renew(self, held: list[worker.HeldRun]) -> None:
        for one in held:
            seq = snapshot_seq(one.run, one.snapshot)
            if seq is not None and not self._services.deadlines.renew(self._environment.id, one.run, seq):
                # The worker knows an older snapshot (HB-01): the end of a wait may have got lost on the way.
                self._services.dispatcher.tell_wait(self._environment.id, self._link.worker_id, one.run)

    # ---- answers ----------------------------------------------------------------------------------

    def _follow(self, seq: int, outcome: "asyncio.Future[Any]") -> None:
        outcome.add_done_callback(self._check)
        self._pending.append((seq, outcome))

    def _check(self, outcome: "asyncio.Future[Any]") -> None:
        # At once, not when its answer is due: what comes after a message that failed is refused for want of
        # it, and the worker must not hear that.
        if not outcome.cancelled() and isinstance(outcome.exception(), DatabaseFailed):
            self.broken.set()

    def _answer_later(self) -> None:
        pending, self._pending = self._pending, []
        if not pending:
            return
        self._waiting += len(pending)
        if self._waiting >= MAX_UNANSWERED:
            self._room.clear()
        task = asyncio.create_task(self._answer(pending))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, pending: "list[tuple[int, asyncio.Future[Any]]]") -> None:
        for seq, outcome in pending:
            answer = await _answer_to(seq, outcome)
            if seq != NO_ANSWER and not self.broken.is_set():
                self._link.send(answer)
        self._waiting -= len(pending)
        if self._waiting < MAX_UNANSWERED:
            self._room.set()

    async def settle(self) -> None:
        """Wait for the messages that were taken: they are applied whether or not the worker still listens."""
        self._answer_later()
        if self._answers:
            await asyncio.wait(self._answers)


async def _answer_to(seq: int, outcome: "asyncio.Future[Any]") -> worker.Ack | worker.Refused:
    try:
        result = await outcome
    except Refusal as refusal:
        return worker.Refused(seq, refusal.message)
    except Exception:
        # A defect: refused, because sent again it would fail again, and for ever.
        logger.exception("a worker's message could not be applied")
        return worker.Refused(seq, "The server could not apply this; its log says why")
    return ack_complete(seq, result) if isinstance(result, attempts.Finished) else worker.Ack(seq)


def _change_version(tx: Tx, environment_id: str, version_id: str) -> None:
    if find_version(tx, environment_id, version_id) is None:
        raise WorkerVersionNotFound(version_id)
    workers.promote_waiting(tx, environment_id, version_id)


def _own(tx: Reader, environment_id: str, run_ids: set[str]) -> set[str]:
    return {run_id for run_id in run_ids if find_run_in(tx, environment_id, run_id) is not None}
