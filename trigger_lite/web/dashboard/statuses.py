"""A run's status as it is shown: always icon, word and colour together."""

from dataclasses import dataclass
from typing import Final

from trigger_lite.protocol.statuses import ExecutionStatus, RunStatus
from trigger_lite.store.runs import RunRow


@dataclass(frozen=True)
class StatusView:
    """`kind` names the colour (a class `s-…`), `icon` a symbol of the sprite, `word` is what people read."""

    kind: str
    icon: str
    word: str


_VIEWS: Final = {
    RunStatus.DELAYED: StatusView("queued", "clock", "Delayed"),
    RunStatus.PENDING_VERSION: StatusView("parked", "boxes", "Pending version"),
    RunStatus.PENDING: StatusView("queued", "ring", "Queued"),
    RunStatus.DEQUEUED: StatusView("executing", "dot", "Dequeued"),
    RunStatus.EXECUTING: StatusView("executing", "dot", "Executing"),
    RunStatus.WAITING_TO_RESUME: StatusView("waiting", "hourglass", "Waiting"),
    RunStatus.COMPLETED_SUCCESSFULLY: StatusView("completed", "check", "Completed"),
    RunStatus.COMPLETED_WITH_ERRORS: StatusView("failed", "cross", "Failed"),
    RunStatus.CANCELED: StatusView("canceled", "barred", "Canceled"),
    RunStatus.SYSTEM_FAILURE: StatusView("crashed", "flame", "System failure"),
    RunStatus.CRASHED: StatusView("crashed", "flame", "Crashed"),
    RunStatus.EXPIRED: StatusView("expired", "struck", "Expired"),
    RunStatus.TIMED_OUT: StatusView("timedout", "stopwatch", "Timed out"),
}
_RETRYING: Final = StatusView("retrying", "again", "Retrying")
_WAITING: Final = StatusView("waiting", "hourglass", "Waiting")
_CANCELING: Final = StatusView("canceled", "barred", "Canceling")


def status_view(run: RunRow) -> StatusView:
    """Return how a run's status is shown.

    One in line for a further attempt is "Retrying", one that waits with its process parked is "Waiting".
    """
    if run.execution_status == ExecutionStatus.PENDING_CANCEL:
        return _CANCELING
    if run.execution_status == ExecutionStatus.EXECUTING_WITH_WAITPOINTS:
        return _WAITING
    if run.status == RunStatus.PENDING and run.attempt > 0:
        return _RETRYING
    return _VIEWS[RunStatus(run.status)]
