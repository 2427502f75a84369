"""Applies a worker's messages in their order and answers each one that asks for it."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from trigger_lite.engine import attempts, deliveries, run_metadata, workers
from trigger_lite.protocol import worker
from trigger_lite.protocol.errors import Refusal, WorkerVersionNotFound
from trigger_lite.protocol.ids import snapshot_seq
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.runs import find_run_in
from trigger_lite.store.transaction import Reader, Tx
from trigger_lite.store.versions import find_version
from trigger_lite.web.services import Services
from trigger_lite.web.worker_api.link import Link
from trigger_lite.web.worker_api.messages import ack_complete, log_row

logger = logging.getLogger(__name__)

MAX_UNANSWERED = 1_000
"""Messages of one worker that may wait for the store; beyond this its socket is not read."""


class Inbox:
    """One connection's messages. Writes are submitted in order and answered as they are committed."""

    def __init__(self, services: Services, environment: EnvironmentRow, link: Link) -> None:
        self._services = services
        self._environment = environment
        self._link = link
        self._answers: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._room = asyncio.Event()
        self._room.set()

    async def take(self, messages: list[worker.WorkerMessage]) -> None:
        """Apply the messages of one frame; returns when the next frame may be read."""
        pending: list[tuple[int, Awaitable[Any]]] = []
        for message in messages:
            if self._services.store.waiting >= self._services.settings.inbox:
                self._answer_later(pending)
                pending = []
                await self._services.store.room()
            self._apply(message, pending)
        self._answer_later(pending)
        await self._room.wait()

    def _apply(self, message: worker.WorkerMessage, pending: list[tuple[int, Awaitable[Any]]]) -> None:
        store, owner, env = self._services.store, self._link.worker_id, self._environment.id
        match message:
            case worker.Start(seq, run, snapshot):
                pending.append((seq, store.submit(attempts.start_attempt, env, run, snapshot, owner)))
            case worker.Complete(seq, run, snapshot, completion):
                flushed = completion.flushed_metadata
                if flushed is not None:
                    pending.append((-1, store.submit(run_metadata.apply_flushed, env, run, flushed)))
                pending.append((seq, store.submit(attempts.complete_attempt, env, run, snapshot, completion)))
            case worker.Credits(count):
                self._link.credits += max(0, count)
                self._services.dispatcher.wake(self._environment.id)
            case worker.Logs(seq, lines):
                pending.append((seq, asyncio.ensure_future(self._keep_logs(lines))))
            case worker.Heartbeat(held):
                self._renew(held)
            case worker.Metadata(seq, run, own, parent, root):
                pending.append((seq, store.submit(run_metadata.change_metadata, env, run, own, parent, root)))
            case worker.Tags(seq, run, tags):
                pending.append((seq, store.submit(run_metadata.add_tags, env, run, tags)))
            case worker.Release(seq, run, snapshot):
                pending.append((seq, store.submit(deliveries.hand_back, env, run, snapshot, owner)))
            case worker.Version(version_id):
                pending.append((-1, store.submit(_change_version, self._environment.id, version_id)))
                self._link.version_id = version_id
                self._services.dispatcher.wake(self._environment.id)
            case worker.Hello():
                logger.warning("worker %s said hello twice", owner)

    def _renew(self, held: list[worker.HeldRun]) -> None:
        for one in held:
            seq = snapshot_seq(one.run, one.snapshot)
            if seq is not None:
                self._services.deadlines.renew(one.run, seq)

    async def _keep_logs(self, lines: list[worker.LogLine]) -> None:
        """Keep the lines of runs that are this environment's; lines of others are dropped."""
        strangers = {line.run for line in lines} - self._link.runs
        if strangers:
            self._link.runs |= await self._services.store.read(_own, self._environment.id, strangers)
        await self._services.logs.add([log_row(line) for line in lines if line.run in self._link.runs])

    # ---- answers ----------------------------------------------------------------------------------

    def _answer_later(self, pending: list[tuple[int, Awaitable[Any]]]) -> None:
        if not pending:
            return
        self._waiting += len(pending)
        if self._waiting >= MAX_UNANSWERED:
            self._room.clear()
        task = asyncio.create_task(self._answer(pending))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, pending: list[tuple[int, Awaitable[Any]]]) -> None:
        for seq, outcome in pending:
            try:
                answer: worker.Ack | worker.Refused = self._ack(seq, await outcome)
            except Refusal as refusal:
                answer = worker.Refused(seq, refusal.message)
            except Exception:
                # Not acknowledged, so the worker sends it again after its next connect.
                logger.exception("a worker's message could not be applied")
                continue
            if seq >= 0:
                self._link.send(answer)
        self._waiting -= len(pending)
        if self._waiting < MAX_UNANSWERED:
            self._room.set()

    def _ack(self, seq: int, result: Any) -> worker.Ack:
        return ack_complete(seq, result) if isinstance(result, attempts.Finished) else worker.Ack(seq)

    async def settle(self) -> None:
        """Wait for the messages that were taken: they are applied whether or not the worker still listens."""
        if self._answers:
            await asyncio.wait(self._answers)


def _change_version(tx: Tx, environment_id: str, version_id: str) -> None:
    if find_version(tx, environment_id, version_id) is None:
        raise WorkerVersionNotFound(version_id)
    workers.promote_waiting(tx, environment_id, version_id)


def _own(tx: Reader, environment_id: str, run_ids: set[str]) -> set[str]:
    return {run_id for run_id in run_ids if find_run_in(tx, environment_id, run_id) is not None}
