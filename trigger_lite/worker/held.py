"""A run this worker holds, from the server's push until the server's last word on it."""

import asyncio
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from trigger_lite.protocol.execution import AttemptInfo, Execution
from trigger_lite.protocol.run_errors import InternalError
from trigger_lite.protocol.times import iso
from trigger_lite.protocol.worker import Run
from trigger_lite.worker.output import AttemptOutput

if TYPE_CHECKING:
    from trigger_lite.worker.child_process import ChildProcess


class Stage(Enum):
    """Where a held run stands."""

    WAITING = "for a child to begin in"
    RUNNING = "in a child"
    REPORTED = "ended; the server has not answered"
    PAUSED = "between two attempts"


class HeldRun:
    """Mutable: one object follows one run through its attempts here."""

    __slots__ = (
        "begun_at",
        "cancel_snapshot",
        "child",
        "complete_seq",
        "env",
        "execution",
        "id",
        "is_retry",
        "output",
        "received_at",
        "retry_delay_ms",
        "snapshot",
        "stage",
        "start_snapshot",
        "started_snapshot",
        "stop_error",
        "timer",
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
        self.is_retry = False
        self.child: ChildProcess | None = None
        self.output: AttemptOutput | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.cancel_snapshot: str | None = None
        self.stop_error: InternalError | None = None
        """Why this worker ends the attempt, whatever the attempt says."""
        self.retry_delay_ms = 0
        self.complete_seq = 0

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
        self.output = None
        self.stage = Stage.PAUSED

    def cancel_timer(self) -> None:
        """Forget the timer, if any."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
