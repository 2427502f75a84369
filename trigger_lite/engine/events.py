"""What happened, announced after the commit that made it so. Subscribers are woken and informed, no more."""

import msgspec

from trigger_lite.protocol.statuses import ExecutionStatus, RunStatus


class Event(msgspec.Struct, frozen=True):
    """Base of all events."""

    environment_id: str


class RunMoved(Event, frozen=True):
    """A run has a new snapshot. Times are Unix ms.

    `worker_id` is the worker that owns or just owned it; `timer_at` when time alone may move it next.
    """

    run_id: str
    task_id: str
    transition: str
    execution_status: ExecutionStatus
    status: RunStatus
    snapshot_seq: int
    attempt: int
    worker_id: str | None
    freed_slot: bool
    timer_at: int | None
    at: int


class RunChanged(Event, frozen=True):
    """A run's tags or metadata changed; its snapshot did not."""

    run_id: str
    task_id: str


class VersionRegistered(Event, frozen=True):
    """A worker version became the current one."""

    version_id: str
    version: str


class MoreParked(Event, frozen=True):
    """More runs than one step promotes wait for this version, whose worker is connected."""

    version_id: str


class WaitPlanned(Event, frozen=True):
    """A wait that time alone ends was planned, for `due_at` (Unix ms)."""

    due_at: int


class QueueChanged(Event, frozen=True):
    """A queue's limit or pause changed: waiting runs may be able to start."""

    queue_id: str


class BulkActionCreated(Event, frozen=True):
    """A bulk action was made and is to be worked on."""

    bulk_id: str


class ScheduleChanged(Event, frozen=True):
    """A schedule was made, changed or removed; `next_at` is when it is to be looked at next (Unix ms)."""

    schedule_id: str
    next_at: int | None


class DatabaseReopened(Event, frozen=True):
    """A writer's connection was lost and opened again; what was being committed may be so, unannounced.

    `area` is `state` or `telemetry`; `environment_id` is empty.
    """

    area: str


class LogsAdded(Event, frozen=True):
    """Lines were added to a run's log. `environment_id` is empty: log lines are keyed by run alone."""

    run_id: str
    last_seq: int
