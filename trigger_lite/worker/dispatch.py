"""The runs this worker holds: which wait, which run, which go back, and what the server says of them."""

import asyncio
import time
from collections import deque
from typing import Final

from trigger_lite.protocol.ids import snapshot_id, snapshot_seq
from trigger_lite.protocol.statuses import EXECUTING, ExecutionStatus
from trigger_lite.protocol.worker import (
    Ack,
    Cancel,
    Complete,
    Credits,
    CurrentRun,
    Leave,
    Moved,
    Refused,
    Retry,
    Run,
    ServerMessage,
    Start,
    Welcome,
)
from trigger_lite.protocol.worker import HeldRun as NamedRun
from trigger_lite.worker.attempts import Attempts
from trigger_lite.worker.credits import RunLengths
from trigger_lite.worker.held import HeldRun, Stage
from trigger_lite.worker.outbox import Outbox
from trigger_lite.worker.settings import WorkerSettings

OLDEST_BEGIN_SECONDS: Final = 30.0
"""A run pushed longer ago than this is not begun: the server may have given it to another."""
LATE_STEP_SECONDS: Final = 5.0
"""How long a run whose end was refused is kept, when it may have been in the middle of a wait."""


class Dispatch:
    """Follows every run from push to last word. All methods are called on the event loop."""

    def __init__(self, settings: WorkerSettings, outbox: Outbox, attempts: Attempts) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._outbox = outbox
        self._attempts = attempts
        self._lengths = RunLengths()
        self._runs: dict[str, HeldRun] = {}
        self._ready: deque[HeldRun] = deque()
        self._running = 0
        self._granted = 0
        self._is_stopping = False
        self._handback: asyncio.TimerHandle | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()
        # Runs whose end was refused because the server is a step of a wait ahead, and about to say so.
        self._late: set[str] = set()
        self._heard = asyncio.Event()
        attempts.on_child_ready = self.assign
        attempts.on_seats_changed = self._seats_changed
        attempts.on_hooks_ended = self._hooks_ended

    # ---- what the connection asks and says ----

    def named_runs(self) -> list[NamedRun]:
        """Return every held run with the newest snapshot known: for Hello and heartbeats."""
        return [NamedRun(held.id, held.snapshot) for held in self._runs.values()]

    def disconnected(self) -> None:
        """Begin nothing that the server pushed until it confirms; runs in children go on."""
        self._granted = 0
        self._ready = deque(held for held in self._ready if held.is_retry)

    def welcome(self, welcome: Welcome) -> None:
        """Compare what this worker holds with what the server knows, before anything is sent again."""
        current = {run.run: run for run in welcome.runs}
        for held in list(self._runs.values()):
            known = current.get(held.id)
            if known is None:
                self._leave(held)
            else:
                self._reconcile(held, known)
        self.assign()

    def receive(self, messages: list[ServerMessage]) -> None:
        """Act on all messages of one frame."""
        for message in messages:
            match message:
                case Ack():
                    self._acknowledged(message)
                case Run():
                    self._pushed(message)
                case Refused():
                    self._refused(message)
                case Cancel():
                    self._cancel(message.run, message.snapshot)
                case Leave():
                    held = self._runs.get(message.run)
                    if held is not None:
                        self._leave(held)
                case Moved():
                    self._moved(message)
        self.assign()

    def top_up(self) -> None:
        """Ask for as many runs as there is room for; without a template for none, they would only go back."""
        if self._is_stopping or not self._attempts.crew.can_grow:
            return
        children = self._settings.concurrency
        target = children + children * self._lengths.ahead_per_child()
        count = target - self._busy - len(self._ready) - self._granted
        if count > 0:
            self._granted += count
            self._outbox.say(Credits(count))

    # ---- what happens here ----

    def assign(self) -> None:
        """Begin what waits, as far as children are free; first what somebody waits to hear."""
        crew, hooks = self._attempts.crew, self._attempts.failure_hooks
        self._tell_hooks()
        while self._ready:
            if self._is_too_old(self._ready[0]):
                self._hand_back(self._ready.popleft())
                continue
            seats = self._settings.concurrency - self._busy
            child = crew.take() if seats > 0 else None
            if child is None:
                crew.want(min(len(self._ready) + hooks.waiting, max(seats, 0)))
                self._watch_waiting()
                return
            held = self._ready.popleft()
            self._running += 1
            self._quiet.clear()
            self._attempts.begin(held, child)
        crew.want(hooks.waiting)

    def _tell_hooks(self) -> None:
        crew, hooks = self._attempts.crew, self._attempts.failure_hooks
        while hooks.waiting and self._busy < self._settings.concurrency:
            child = crew.take()
            if child is None:
                return
            self._running += 1
            hooks.begin(child)

    def attempt_ended(self, held: HeldRun, seconds: float) -> None:
        """Make use of the child that is free now, before anything is reported."""
        self._lengths.measured(seconds)
        self._attempt_gone()
        self.assign()

    def refuse_new(self) -> None:
        """Take no more runs, hand back those that were not begun, and end those that wait too long."""
        self._is_stopping = True
        self._end_outlasting()
        for held in list(self._runs.values()):
            if held.stage is Stage.PAUSED or (held.stage is Stage.WAITING and held.is_retry):
                held.cancel_timer()
                self._attempts.report_stopped(held)
            elif held.stage is Stage.WAITING:
                self._hand_back(held)
        self._ready.clear()

    def _end_outlasting(self) -> None:
        """End the runs that wait longer than a stop does."""
        for held in list(self._runs.values()):
            if held.stage is Stage.RUNNING:
                self._attempts.end_outlasting(held, self._settings.stop_grace)

    def end_running(self) -> None:
        """End what still runs, as if by SIGTERM from outside."""
        for held in list(self._runs.values()):
            if held.stage is Stage.RUNNING:
                self._attempts.stop(held, self._attempts.stop_error)

    def kill_running(self) -> None:
        """End what still runs, at once."""
        for held in list(self._runs.values()):
            if held.stage is Stage.RUNNING and held.child is not None:
                held.stop_error = held.stop_error or self._attempts.stop_error
                self._attempts.crew.kill(held.child)
        self._attempts.failure_hooks.stop()
        self._check_quiet()

    @property
    def quiet(self) -> asyncio.Event:
        """Set while no run is in a child, or will be to have its hooks told."""
        return self._quiet

    @property
    def running(self) -> int:
        """How many runs have their code in children."""
        return self._running - self._attempts.failure_hooks.running

    @property
    def _busy(self) -> int:
        """How many seats are taken: runs that wait leave theirs."""
        return self._running - self._attempts.free_seats

    def _seats_changed(self) -> None:
        if self._is_stopping:
            self._end_outlasting()
        self._outbox.wake()
        self.assign()

    def _hooks_ended(self) -> None:
        self._attempt_gone()
        self.assign()

    # ---- messages ----

    def _pushed(self, run: Run) -> None:
        self._granted -= 1
        held = HeldRun(run, received_at=self._loop.time())
        if self._is_stopping:
            self._outbox.release(held.id, held.snapshot)
            return
        former = self._runs.get(held.id)
        if former is not None:
            # The server gave the run up and gave it out again: what it says now is what holds.
            self._leave(former)
        self._runs[held.id] = held
        self._ready.append(held)

    def _acknowledged(self, ack: Ack) -> None:
        message = self._outbox.settle(ack.seq)
        if message is None:
            return
        held = self._runs.get(message.run)
        if message.kind is not Complete:
            self._attempts.check_backlog()
            if message.kind is Start and held is not None:
                self._attempts.started(held)
            return
        if held is None or held.complete_seq != ack.seq:
            return
        if ack.retry is not None:
            self._retry(held, ack.retry)
        else:
            del self._runs[held.id]
            if self._attempts.failure_hooks.consider(held, ack):
                self._quiet.clear()

    def _refused(self, refused: Refused) -> None:
        message = self._outbox.settle(refused.seq)
        held = self._runs.get(message.run) if message is not None else None
        if message is None or held is None:
            return
        is_last_word = message.kind is Complete and held.complete_seq == refused.seq
        if is_last_word and held.has_waited:
            # Ended in the middle of a wait: the server may be a step ahead, and is about to say so.
            self._late.add(held.id)
            held.timer = self._loop.call_later(LATE_STEP_SECONDS, self._leave, held)
        elif is_last_word or (message.kind is Start and held.cancel_snapshot is None):
            # A start is refused, too, when the cancel was first: then this worker has the run to end.
            self._leave(held)

    def _moved(self, moved: Moved) -> None:
        """Follow a step of a wait; what was known before is ignored (worker-protocol 6.5)."""
        held = self._runs.get(moved.run)
        if held is None or moved.snapshot <= held.snapshot:
            return
        if moved.more:
            # Not there yet: without the rest, all of it is told again.
            if held.stage is Stage.RUNNING:
                self._attempts.resolve(held, moved.waitpoints)
        elif held.stage is Stage.RUNNING:
            held.move_to(moved.snapshot, moved.execution_status)
            if moved.execution_status is ExecutionStatus.EXECUTING:
                self._attempts.resolve(held, moved.waitpoints)
        elif held.stage is Stage.REPORTED:
            held.move_to(moved.snapshot, moved.execution_status)
            self._attempts.report_again(held)
            self._no_longer_late(held)

    def _no_longer_late(self, held: HeldRun) -> None:
        self._late.discard(held.id)
        self._heard.set()

    async def hear_late_steps(self) -> bool:
        """Return once no end of a run waits to be reported again; tell whether any did."""
        waited = bool(self._late)
        while self._late:
            self._heard.clear()
            await self._heard.wait()
        return waited

    def _cancel(self, run: str, snapshot: str) -> None:
        held = self._runs.get(run)
        if held is None:
            # Nothing of it is left here, so its end can be confirmed at once.
            self._attempts.confirm_canceled(run, snapshot)
            return
        was_asked = held.cancel_snapshot is not None
        held.cancel_snapshot = held.snapshot = snapshot
        if held.stage is Stage.RUNNING:
            if not was_asked:
                self._attempts.cancel(held)
            return
        if held.stage is Stage.WAITING:
            self._ready = deque(other for other in self._ready if other is not held)
        held.cancel_timer()
        self._outbox.forget_run(run)
        self._attempts.report_canceled(held)

    def _retry(self, held: HeldRun, retry: Retry) -> None:
        held.prepare_attempt(
            retry.attempt,
            snapshot=retry.snapshot,
            started_snapshot=retry.started_snapshot,
            started_at_ms=time.time_ns() // 1_000_000,
        )
        if self._is_stopping:
            self._attempts.report_stopped(held)
        else:
            held.timer = self._loop.call_later(retry.delay_ms / 1000, self._retry_due, held)

    def _retry_due(self, held: HeldRun) -> None:
        held.timer = None
        held.stage = Stage.WAITING
        held.received_at = self._loop.time()
        self._ready.appendleft(held)
        self.assign()

    # ---- after a reconnect ----

    def _reconcile(self, held: HeldRun, known: CurrentRun) -> None:
        if known.execution_status is ExecutionStatus.PENDING_CANCEL:
            self._cancel(held.id, known.snapshot)
        elif held.knows(known.snapshot):
            if held.stage is Stage.WAITING and not held.is_retry:
                held.received_at = self._loop.time()
                self._ready.append(held)
        elif held.has_waited_till(known):
            return  # a Moved says the rest
        elif held.stage is Stage.REPORTED and known.execution_status in EXECUTING:
            self._follow(held, known)
        else:
            self._leave(held)

    def _follow(self, held: HeldRun, known: CurrentRun) -> None:
        """The server took the completion and granted a retry, but its answer was lost: make the attempt."""
        seq = snapshot_seq(held.id, known.snapshot)
        if seq is None or known.snapshot < held.snapshot:
            self._leave(held)
            return
        self._outbox.forget_run(held.id)
        started = snapshot_id(held.id, seq + 1)
        retry = Retry(known.snapshot, started, held.attempt + 1, held.retry_delay_ms)
        self._retry(held, retry)

    def _leave(self, held: HeldRun) -> None:
        """Forget a run that is not this worker's any more, and end its process."""
        del self._runs[held.id]
        self._no_longer_late(held)
        self._outbox.forget_run(held.id)
        if held.stage is Stage.RUNNING:
            self._attempts.abandon(held)
            self._attempt_gone()
        else:
            held.cancel_timer()
            if held in self._ready:
                self._ready.remove(held)

    def _attempt_gone(self) -> None:
        self._running -= 1
        self._check_quiet()
        self._outbox.wake()

    def _check_quiet(self) -> None:
        if self._running == 0 and self._attempts.failure_hooks.waiting == 0:
            self._quiet.set()

    # ---- runs that wait too long ----

    def _is_too_old(self, held: HeldRun) -> bool:
        return not held.is_retry and self._loop.time() - held.received_at > OLDEST_BEGIN_SECONDS

    def _watch_waiting(self) -> None:
        if self._handback is None:
            delay = self._settings.handback_after
            self._handback = self._loop.call_later(delay, self._hand_back_waiting)

    def _hand_back_waiting(self) -> None:
        """Hand back what waited too long for a busy child; what waits for a new one stays."""
        self._handback = None
        deadline = self._loop.time() - self._settings.handback_after
        spared = self._attempts.crew.starting
        kept: deque[HeldRun] = deque()
        for held in self._ready:
            if held.is_retry or held.received_at > deadline or len(kept) < spared:
                kept.append(held)
            else:
                self._lengths.underestimated(self._settings.handback_after)
                self._hand_back(held)
        self._ready = kept
        if kept:
            self._watch_waiting()

    def _hand_back(self, held: HeldRun) -> None:
        del self._runs[held.id]
        self._outbox.release(held.id, held.snapshot)
