"""A run this worker holds, from the server's push until the server's last word on it."""

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Final

import msgspec

from trigger_lite.protocol.execution import AttemptInfo, Completion, Execution
from trigger_lite.protocol.ids import snapshot_seq
from trigger_lite.protocol.run_errors import InternalError
from trigger_lite.protocol.statuses import ExecutionStatus
from trigger_lite.protocol.times import iso
from trigger_lite.protocol.worker import CurrentRun, Run
from trigger_lite.worker.messages import Park
from trigger_lite.worker.output import AttemptOutput

if TYPE_CHECKING:
    from trigger_lite.worker.child_process import ChildProcess


_BLOCKED: Final = frozenset({ExecutionStatus.EXECUTING_WITH_WAITPOINTS, ExecutionStatus.QUEUED_EXECUTING})
_STEPS_OF_A_WAIT: Final = _BLOCKED | {ExecutionStatus.EXECUTING}


class Stage(Enum):
    """Where a held run stands."""

    WAITING = "for a child to begin in"
    RUNNING = "in a child"
    REPORTED = "ended; the server has not answered"
    PAUSED = "between two attempts"
    TELLING = "over; hooks are told so in a child"


class HeldRun:
    """Mutable: one object follows one run through its attempts here."""

    __slots__ = (
        "begun_at",
        "cancel_snapshot",
        "child",
        "complete_seq",
        "completion",
        "env",
        "execution",
        "has_waited",
        "id",
        "is_blocked",
        "is_retry",
        "is_started",
        "output",
        "parked_at",
        "parked_until",
        "received_at",
        "retry_delay_ms",
        "snapshot",
        "stage",
        "start_snapshot",
        "started_snapshot",
        "stop_error",
        "timer",
        "waited",
        "wish",
    )

    def __init__(self, run: Run, *, received_at: float) -> None:
        self.id = run.execution.run.id
        self.execution: Execution = run.execution
        self.env = run.env
        self.stage = Stage.WAITING
        self.start_snapshot = run.snapshot
        self.started_snapshot = run.started_snapshot
        self.snapshot = run.snapshot
        """The newest snapshot this worker knows of: what heartbeats and completions name."""
        self.received_at = received_at
        """Event-loop time."""
        self.begun_at = 0.0
        self.waited = 0.0
        """Seconds of this attempt that its waits took, those that are over."""
        self.parked_at: float | None = None
        """Since when its code waits, in event-loop time."""
        self.parked_until: float | None = None
        """When that wait ends at the latest, if that is known."""
        self.is_started = False
        """Whether the server knows that this attempt has begun: before, it would not let it wait."""
        self.wish: Park | None = None
        """A wait that was asked for before that."""
        self.has_waited = False
        """Whether the attempt's code ever began to wait: the server may then be some steps further."""
        self.is_blocked = False
        """Whether the newest snapshot is one of a wait that is not over."""
        self.is_retry = False
        self.child: ChildProcess | None = None
        self.output: AttemptOutput | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.cancel_snapshot: str | None = None
        self.stop_error: InternalError | None = None
        """Why this worker ends the attempt, whatever the attempt says."""
        self.retry_delay_ms = 0
        self.complete_seq = 0
        self.completion: Completion | None = None
        """How the attempt ended, once that was reported."""

    @property
    def task(self) -> str:
        """The task's id."""
        return self.execution.task.id

    @property
    def attempt(self) -> int:
        """The number of the attempt that is being made, or comes next."""
        return self.execution.attempt.number

    def knows(self, snapshot: str) -> bool:
        """Whether the server's newest snapshot is one that this worker's next messages build on."""
        return snapshot in (self.snapshot, self.start_snapshot, self.started_snapshot)

    def prepare_attempt(
        self, number: int, *, snapshot: str, started_snapshot: str, started_at_ms: int
    ) -> None:
        """Turn to the next attempt, which starts under `snapshot`; it is not begun."""
        attempt = AttemptInfo(number, iso(started_at_ms))
        self.execution = msgspec.structs.replace(self.execution, attempt=attempt)
        self.snapshot = self.start_snapshot = snapshot
        self.started_snapshot = started_snapshot
        self.is_retry = True
        self.is_started = self.has_waited = self.is_blocked = False
        self.completion = None
        self.output = None
        self.stage = Stage.PAUSED

    def active_seconds(self, now: float) -> float:
        """Return how long the attempt's code has run, waits aside; `now` in event-loop time."""
        return (self.parked_at or now) - self.begun_at - self.waited

    @property
    def is_ending(self) -> bool:
        """Whether the attempt is being brought to an end."""
        return self.cancel_snapshot is not None or self.stop_error is not None

    def has_waited_till(self, known: CurrentRun) -> bool:
        """Whether what the server knows is a later step of a wait in this very attempt; a Moved follows."""
        if known.attempt != self.attempt or known.snapshot <= self.snapshot:
            return False
        if self.stage is Stage.RUNNING:
            return known.execution_status in _STEPS_OF_A_WAIT
        if self.stage is not Stage.REPORTED:
            return False
        # One step on from EXECUTING to EXECUTING would be a retry that was granted.
        steps = (snapshot_seq(self.id, known.snapshot) or 0) - (snapshot_seq(self.id, self.snapshot) or 0)
        went_on = known.execution_status is ExecutionStatus.EXECUTING and (self.is_blocked or steps > 1)
        return went_on or known.execution_status in _BLOCKED

    def move_to(self, snapshot: str, status: ExecutionStatus) -> None:
        """Take note of a step of a wait."""
        self.snapshot = snapshot
        self.is_blocked = status in _BLOCKED

    def cancel_timer(self) -> None:
        """Forget the timer, if any."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
