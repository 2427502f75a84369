"""How long the runs that workers have may stay silent (engine-behaviours 5).

Kept in memory: a heartbeat writes nothing (HB-08). After a restart every such run gets a full fresh time.
"""

import time
from collections.abc import Callable, Iterable

from trigger_lite.config import Settings
from trigger_lite.engine.events import RunMoved
from trigger_lite.protocol.statuses import ExecutionStatus
from trigger_lite.store.runs import RunRow


class Deadlines:
    """When each owned run times out; the newest snapshot's deadline only (HB-01, HB-07)."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = {
            ExecutionStatus.PENDING_EXECUTING: settings.start_timeout,
            ExecutionStatus.EXECUTING: settings.run_timeout,
            ExecutionStatus.EXECUTING_WITH_WAITPOINTS: settings.run_timeout,
            ExecutionStatus.PENDING_CANCEL: settings.cancel_timeout,
        }
        # By environment and run: its newest snapshot, when it times out, and what a heartbeat gives it then.
        self._runs: dict[tuple[str, str], tuple[int, float, float]] = {}

    def arm_all(self, runs: Iterable[RunRow]) -> None:
        """Give every run a full fresh time (HB-08)."""
        for run in runs:
            self._arm((run.environment_id, run.id), ExecutionStatus(run.execution_status), run.snapshot_seq)

    def follow(self, event: RunMoved) -> None:
        """Arm, re-arm or forget a run that moved."""
        self._arm((event.environment_id, event.run_id), event.execution_status, event.snapshot_seq)

    def _arm(self, run: tuple[str, str], status: ExecutionStatus, seq: int) -> None:
        seconds = self._seconds.get(status)
        if seconds is None:
            self._runs.pop(run, None)
        else:
            renewal = 0.0 if status is ExecutionStatus.PENDING_CANCEL else seconds
            self._runs[run] = (seq, self._clock() + seconds, renewal)

    def renew(self, environment_id: str, run_id: str, seq: int) -> bool:
        """Note a heartbeat; one that names an older snapshot or another environment's run renews nothing.

        Returns whether the snapshot was that of the run's present deadline.

        Nor does one of a run being cancelled: the cancel is finished in its time, however alive the worker
        is (HB-05).
        """
        known = self._runs.get((environment_id, run_id))
        if known is not None and known[0] == seq:
            self._runs[environment_id, run_id] = (seq, max(known[1], self._clock() + known[2]), known[2])
            return True
        return False

    def renew_all(self) -> None:
        """Give every run a full fresh time: nobody was heard while the database did not answer."""
        for run, (seq, deadline, renewal) in self._runs.items():
            self._runs[run] = (seq, max(deadline, self._clock() + renewal), renewal)

    def lapsed(self) -> list[tuple[str, int]]:
        """List (run, snapshot seq) of runs that are out of time; each is listed until it moves."""
        now = self._clock()
        return [(run_id, seq) for (_, run_id), (seq, deadline, _) in self._runs.items() if deadline <= now]

    def next_lapse_ms(self) -> int | None:
        """Return when the next run may be out of time (Unix ms), or None when no worker has any."""
        if not self._runs:
            return None
        soonest = min(deadline for _, deadline, _ in self._runs.values())
        return int((time.time() + max(0.05, soonest - self._clock())) * 1000)

    @property
    def watched(self) -> frozenset[ExecutionStatus]:
        """The states in which silence has an end."""
        return frozenset(self._seconds)

    @property
    def soonest_ms(self) -> int:
        """When a run that moved just now could be out of time, at the earliest (Unix ms)."""
        return int((time.time() + self.shortest_seconds) * 1000)

    @property
    def shortest_seconds(self) -> float:
        return min(self._seconds.values())
