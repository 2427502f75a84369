"""Making attempts: begin one in a child, follow it, end it when it must end, report how it ended."""

import asyncio
import signal
import time
from collections.abc import Callable

import msgspec

from trigger_lite.protocol.execution import Completion, Usage
from trigger_lite.protocol.run_errors import ErrorCode, InternalError, RunError, api_error
from trigger_lite.protocol.tasks import MIN_MAX_DURATION, NO_MAX_DURATION
from trigger_lite.protocol.waitpoints import CompletedWaitpoint
from trigger_lite.protocol.worker import LogLine, LogSource
from trigger_lite.worker.child_process import ChildProcess
from trigger_lite.worker.crew import Crew
from trigger_lite.worker.events import LogPrinted, Problem, RunFinished, RunStarted, WorkerObserver
from trigger_lite.worker.exits import error_of_exit
from trigger_lite.worker.failure_hooks import FailureHooks
from trigger_lite.worker.held import HeldRun, Stage
from trigger_lite.worker.log_shipping import LogShipping
from trigger_lite.worker.messages import (
    CANCEL_SIGNAL,
    Begin,
    Finished,
    FromChild,
    MetadataChanged,
    Park,
    Parked,
    Resolved,
    Said,
    TagsAdded,
    Told,
    Unpark,
)
from trigger_lite.worker.outbox import Outbox
from trigger_lite.worker.output import AttemptOutput
from trigger_lite.worker.parking import Parking
from trigger_lite.worker.settings import WorkerSettings


class Attempts:
    """Everything between handing a run to a child and telling the server how it ended.

    `ended` is called with each attempt that is over and how long it ran, waits aside, before it is reported.
    `stop_error` is how a run ends that is cut off because this worker stops.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        outbox: Outbox,
        observer: WorkerObserver,
        *,
        ended: Callable[[HeldRun, float], None],
        template_lost: Callable[[int], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._outbox = outbox
        self._observer = observer
        self._ended = ended
        self._template_lost = template_lost
        code = ErrorCode.TASK_RUN_CANCELLED if settings.cancels_at_stop else ErrorCode.TASK_PROCESS_SIGTERM
        self.stop_error = InternalError(code, "The worker was stopped before the run finished")
        self._logs = LogShipping(outbox)
        self._is_reading = True
        self.crew = Crew(settings, self)
        self._parking = Parking(settings.parked_memory)
        self.failure_hooks = FailureHooks(
            self.crew, settings.hook_limit, over_time=self._hooks_over_time, ended=self._hooks_ended
        )
        self.on_child_ready: Callable[[], None] = lambda: None
        self.on_seats_changed: Callable[[], None] = lambda: None
        self.on_hooks_ended: Callable[[], None] = lambda: None

    def begin(self, held: HeldRun, child: ChildProcess) -> None:
        """Start the run's code in this child."""
        held.stage = Stage.RUNNING
        held.child = child
        held.begun_at = self._loop.time()
        held.output = None
        held.waited = 0.0
        child.run = held
        child.send(Begin(held.execution, held.env))
        self._outbox.start(held.id, held.start_snapshot)
        held.snapshot = held.started_snapshot
        self._limit_time(held)
        self._observer.notice(RunStarted(held.id, held.task, held.attempt))

    def cancel(self, held: HeldRun) -> None:
        """Ask a running attempt to end: its hook now, SIGTERM and SIGKILL later."""
        child = held.child
        if child is not None:
            child.template.signal(child.number, CANCEL_SIGNAL)
            held.cancel_timer()
            held.timer = self._loop.call_later(self._settings.cancel_grace, self._terminate, held)

    def stop(self, held: HeldRun, error: InternalError) -> None:
        """End a running attempt by SIGTERM, later SIGKILL, and report `error` whatever it says."""
        if held.stop_error is None:
            held.stop_error = error
            self._terminate(held)

    def abandon(self, held: HeldRun) -> None:
        """End a running attempt at once and report nothing."""
        held.cancel_timer()
        self._count_wait(held)
        self.crew.allow(self._parking.free_seats)
        child, held.child = held.child, None
        if child is not None:
            self.crew.discard(child)

    def report(self, held: HeldRun, completion: Completion) -> None:
        """Tell the server how the run's attempt ended, after all it printed."""
        self._logs.flush()
        held.stage = Stage.REPORTED
        held.completion = completion
        held.retry_delay_ms = completion.retry.delay if completion.retry else 0
        held.complete_seq = self._outbox.complete(held.id, held.snapshot, completion)

    def report_again(self, held: HeldRun) -> None:
        """Tell it under the newest snapshot: the one it was told under was already history."""
        held.cancel_timer()
        self._outbox.settle(held.complete_seq)
        if held.completion is not None:
            self.report(held, held.completion)

    def report_canceled(self, held: HeldRun) -> None:
        """Confirm the cancellation of a run that is in no child."""
        self.report(held, self._failed(held, InternalError(ErrorCode.TASK_RUN_CANCELLED)))

    def confirm_canceled(self, run: str, snapshot: str) -> None:
        """Confirm the cancellation of a run of which nothing is left here."""
        error = InternalError(ErrorCode.TASK_RUN_CANCELLED)
        self._outbox.complete(run, snapshot, Completion(ok=False, id=run, error=error))

    def report_stopped(self, held: HeldRun) -> None:
        """Report that this worker ends before it could make the next attempt."""
        self.report(held, self._failed(held, self.stop_error))

    def check_backlog(self) -> None:
        """Read children's output only while there is room for it."""
        waiting = self._outbox.unacknowledged_bytes
        limit = self._settings.unacknowledged_log_limit
        if self._is_reading and waiting > limit:
            self._is_reading = False
            self.crew.pause_reading()
        elif not self._is_reading and waiting <= limit // 2:
            self._is_reading = True
            self.crew.resume_reading()

    def flush_logs(self) -> None:
        """Post the lines collected so far."""
        self._logs.flush()

    # ---- waits ----

    @property
    def free_seats(self) -> int:
        """How many runs in children wait and leave their seat to others."""
        return self._parking.free_seats

    def end_outlasting(self, held: HeldRun, seconds: float) -> None:
        """End an attempt, as a stop does, whose wait is known not to end within so many seconds."""
        until = held.parked_until
        if held.parked_at is not None and until is not None and until > self._loop.time() + seconds:
            self.stop(held, self.stop_error)

    def started(self, held: HeldRun) -> None:
        """The server knows that the attempt has begun, so it may wait now."""
        held.is_started = True
        wish, held.wish = held.wish, None
        if wish is not None and held.child is not None:
            self._park(held, wish)

    def resolve(self, held: HeldRun, waitpoints: list[CompletedWaitpoint]) -> None:
        """Tell the run's code what ended its wait."""
        if held.child is not None:
            held.child.send(Resolved(waitpoints))

    def _park(self, held: HeldRun, park: Park) -> None:
        if not held.is_started:
            held.wish = park
            return
        assert held.child is not None
        problem = self._parking.problem(park)
        held.child.send(Parked(problem))
        if problem is not None:
            return
        held.has_waited = True
        held.parked_at = now = self._loop.time()
        held.parked_until = None if park.longest is None else now + park.longest
        self._parking.add(held.id, park)
        if not held.is_ending:
            held.cancel_timer()
        self._seats_changed()

    def _unpark(self, held: HeldRun) -> None:
        held.wish = None
        if held.parked_at is None:
            return
        self._count_wait(held)
        if not held.is_ending:
            self._limit_time(held)
        self._seats_changed()

    def _count_wait(self, held: HeldRun) -> None:
        if held.parked_at is not None:
            held.waited += self._loop.time() - held.parked_at
            held.parked_at = None
        self._parking.remove(held.id)

    def _seats_changed(self) -> None:
        self.crew.allow(self._parking.free_seats)
        self.on_seats_changed()

    def _limit_time(self, held: HeldRun) -> None:
        """Have the attempt ended after its maximum duration, of which its waits are no part (AT-26)."""
        limit = held.execution.run.max_duration
        if limit is not None and 0 < limit < NO_MAX_DURATION:
            left = max(limit, MIN_MAX_DURATION) - held.active_seconds(self._loop.time())
            held.timer = self._loop.call_later(max(left, 0.0), self._over_time, held)

    # ---- what children do ----

    def child_sent(self, child: ChildProcess, message: FromChild) -> None:
        """Take one message of a child."""
        held = child.run
        if held is None:
            return  # about a run that was left
        match message:
            case Finished():
                self._finished(child, held, message.completion)
            case Said():
                self._said(held, message)
            case MetadataChanged():
                self._outbox.metadata(held.id, message)
                self.check_backlog()
            case TagsAdded():
                self._outbox.tags(held.id, message.tags)
            case Park():
                self._park(held, message)
            case Unpark():
                self._unpark(held)
            case Told():
                child.drain_output()
                child.run = None
                self.crew.give_back(child)
                self.failure_hooks.done(held)

    def child_printed(self, child: ChildProcess, source: LogSource, chunk: bytes) -> None:
        """Take bytes of a child's stdout or stderr."""
        held = child.run
        if held is not None:
            self._ship(held, self._output(held).printed(source, chunk, at=_now_ms()))

    def child_ready(self) -> None:
        """A child is free."""
        self.on_child_ready()

    def child_exited(self, child: ChildProcess, code: int) -> None:
        """A child is gone; the run it made, if any, has crashed unless somebody ended it."""
        held = child.run
        if held is None:
            return
        child.run = None
        if held.stage is Stage.TELLING:
            self.failure_hooks.done(held)
        else:
            self._end(held, self._failed(held, error_of_exit(code)))

    def template_lost(self, code: int) -> None:
        """No more children until there is another template."""
        self._template_lost(code)

    def fork_failed(self, reason: str) -> None:
        """Say so; it is tried again."""
        self._observer.notice(Problem(f"Cannot start another process: {reason}"))

    # ---- steps ----

    def _finished(self, child: ChildProcess, held: HeldRun, completion: Completion) -> None:
        child.drain_output()
        child.run = None
        if completion.ok and held.cancel_snapshot is None and held.stop_error is None:
            self.crew.give_back(child)
        else:
            self.crew.dismiss(child)
        self._end(held, completion)

    def _end(self, held: HeldRun, completion: Completion) -> None:
        held.cancel_timer()
        held.child = held.wish = None
        self._count_wait(held)
        self.crew.allow(self._parking.free_seats)
        if held.output is not None:
            self._ship(held, held.output.close(at=_now_ms()))
        now = self._loop.time()
        completion = self._as_reported(held, completion)
        error = _one_line(completion.error)
        self._observer.notice(RunFinished(held.id, held.task, held.attempt, now - held.begun_at, error))
        # Stage first: what follows may hand out children and look at who is running.
        held.stage = Stage.REPORTED
        self._ended(held, held.active_seconds(now))
        self.report(held, completion)

    def _as_reported(self, held: HeldRun, completion: Completion) -> Completion:
        """Return the completion, or what this worker knows better: it was cancelled, or stopped."""
        if held.cancel_snapshot is not None:
            error = InternalError(ErrorCode.TASK_RUN_CANCELLED)
        elif held.stop_error is not None:
            error = held.stop_error
        else:
            return completion
        failed = self._failed(held, error)
        return msgspec.structs.replace(failed, flushed_metadata=completion.flushed_metadata)

    def _failed(self, held: HeldRun, error: InternalError) -> Completion:
        seconds = held.active_seconds(self._loop.time()) if held.stage is Stage.RUNNING else 0.0
        usage = Usage(round(seconds * 1000))
        return Completion(ok=False, id=held.id, error=error, usage=usage, task_identifier=held.task)

    def _over_time(self, held: HeldRun) -> None:
        limit = max(held.execution.run.max_duration or 0, MIN_MAX_DURATION)
        message = f"The run exceeded its maximum duration of {limit} seconds"
        self.stop(held, InternalError(ErrorCode.MAX_DURATION_EXCEEDED, message))

    def _terminate(self, held: HeldRun) -> None:
        child = held.child
        if child is not None:
            child.template.signal(child.number, signal.SIGTERM)
            held.cancel_timer()
            held.timer = self._loop.call_later(self._settings.kill_grace, self.crew.kill, child)

    def _hooks_over_time(self, held: HeldRun) -> None:
        text = (
            f"The hooks of the failure took longer than {self._settings.hook_limit:g} seconds and were ended"
        )
        line = LogLine(held.id, held.attempt, _now_ms(), "ERROR", "system", text)
        self._ship(held, [line])

    def _hooks_ended(self, held: HeldRun) -> None:
        if held.output is not None:
            self._ship(held, held.output.close(at=_now_ms()))
        self.on_hooks_ended()

    def _said(self, held: HeldRun, said: Said) -> None:
        line = self._output(held).said(said.level, said.message, at=said.at, attributes=said.attributes)
        if line is not None:
            self._ship(held, [line])

    def _output(self, held: HeldRun) -> AttemptOutput:
        if held.output is None:
            held.output = AttemptOutput(held.id, held.attempt, limit=self._settings.log_limit)
        return held.output

    def _ship(self, held: HeldRun, lines: list[LogLine]) -> None:
        if lines:
            self._logs.add(lines)
            self.check_backlog()
            for line in lines:
                event = LogPrinted(held.id, held.task, line.level, line.source, line.message)
                self._observer.notice(event)


def _one_line(error: RunError | None) -> str | None:
    return None if error is None else " ".join(api_error(error).message.split())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
