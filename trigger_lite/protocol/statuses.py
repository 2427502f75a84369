"""The three layers of state, kept apart everywhere.

`RunStatus` is stored, `ApiStatus` is what SDK users read, `ExecutionStatus` is the state of the
newest snapshot, which workers speak (engine-behaviours 1a and 1b).
"""

from enum import StrEnum
from typing import Final


class RunStatus(StrEnum):
    DELAYED = "DELAYED"
    PENDING_VERSION = "PENDING_VERSION"
    PENDING = "PENDING"
    DEQUEUED = "DEQUEUED"
    EXECUTING = "EXECUTING"
    WAITING_TO_RESUME = "WAITING_TO_RESUME"
    COMPLETED_SUCCESSFULLY = "COMPLETED_SUCCESSFULLY"
    COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"
    CANCELED = "CANCELED"
    SYSTEM_FAILURE = "SYSTEM_FAILURE"
    CRASHED = "CRASHED"
    EXPIRED = "EXPIRED"
    TIMED_OUT = "TIMED_OUT"


class ExecutionStatus(StrEnum):
    RUN_CREATED = "RUN_CREATED"
    DELAYED = "DELAYED"
    QUEUED = "QUEUED"
    QUEUED_EXECUTING = "QUEUED_EXECUTING"
    PENDING_EXECUTING = "PENDING_EXECUTING"
    EXECUTING = "EXECUTING"
    EXECUTING_WITH_WAITPOINTS = "EXECUTING_WITH_WAITPOINTS"
    SUSPENDED = "SUSPENDED"
    PENDING_CANCEL = "PENDING_CANCEL"
    FINISHED = "FINISHED"


class ApiStatus(StrEnum):
    PENDING_VERSION = "PENDING_VERSION"
    QUEUED = "QUEUED"
    DEQUEUED = "DEQUEUED"
    EXECUTING = "EXECUTING"
    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"
    FAILED = "FAILED"
    CRASHED = "CRASHED"
    SYSTEM_FAILURE = "SYSTEM_FAILURE"
    DELAYED = "DELAYED"
    EXPIRED = "EXPIRED"
    TIMED_OUT = "TIMED_OUT"


TERMINAL: Final = frozenset(
    {
        RunStatus.COMPLETED_SUCCESSFULLY,
        RunStatus.COMPLETED_WITH_ERRORS,
        RunStatus.CANCELED,
        RunStatus.SYSTEM_FAILURE,
        RunStatus.CRASHED,
        RunStatus.EXPIRED,
        RunStatus.TIMED_OUT,
    }
)

# What a run that ended like this means for its idempotency key (ID-04): these give it up.
RELEASES_IDEMPOTENCY_KEY: Final = TERMINAL - {RunStatus.COMPLETED_SUCCESSFULLY, RunStatus.CANCELED}

HOLDS_SLOT: Final = frozenset(
    {
        ExecutionStatus.PENDING_EXECUTING,
        ExecutionStatus.EXECUTING,
    }
)
EXECUTING: Final = frozenset({ExecutionStatus.EXECUTING, ExecutionStatus.EXECUTING_WITH_WAITPOINTS})
DEQUEUEABLE: Final = frozenset({ExecutionStatus.QUEUED, ExecutionStatus.QUEUED_EXECUTING})
INITIAL: Final = frozenset({ExecutionStatus.RUN_CREATED, ExecutionStatus.DELAYED})
OWNED_BY_WORKER: Final = frozenset(
    {
        ExecutionStatus.PENDING_EXECUTING,
        ExecutionStatus.EXECUTING,
        ExecutionStatus.EXECUTING_WITH_WAITPOINTS,
        ExecutionStatus.QUEUED_EXECUTING,
    }
)

_API: Final = {
    RunStatus.DELAYED: ApiStatus.DELAYED,
    RunStatus.PENDING_VERSION: ApiStatus.PENDING_VERSION,
    RunStatus.PENDING: ApiStatus.QUEUED,
    RunStatus.DEQUEUED: ApiStatus.DEQUEUED,
    RunStatus.EXECUTING: ApiStatus.EXECUTING,
    RunStatus.WAITING_TO_RESUME: ApiStatus.WAITING,
    RunStatus.COMPLETED_SUCCESSFULLY: ApiStatus.COMPLETED,
    RunStatus.COMPLETED_WITH_ERRORS: ApiStatus.FAILED,
    RunStatus.CANCELED: ApiStatus.CANCELED,
    RunStatus.SYSTEM_FAILURE: ApiStatus.SYSTEM_FAILURE,
    RunStatus.CRASHED: ApiStatus.CRASHED,
    RunStatus.EXPIRED: ApiStatus.EXPIRED,
    RunStatus.TIMED_OUT: ApiStatus.TIMED_OUT,
}
_BEFORE_VERSIONS: Final = {RunStatus.DEQUEUED: "EXECUTING", RunStatus.WAITING_TO_RESUME: "FROZEN"}
_LEGACY_NAMES: Final = {
    "FROZEN": RunStatus.WAITING_TO_RESUME,
    "REATTEMPTING": RunStatus.EXECUTING,
    "WAITING_FOR_DEPLOY": RunStatus.PENDING_VERSION,
    "INTERRUPTED": RunStatus.COMPLETED_WITH_ERRORS,
}
_STORED: Final = {api: stored for stored, api in _API.items()}


def api_status(status: RunStatus) -> ApiStatus:
    """Return what SDK users read for a stored status."""
    return _API[status]


def legacy_api_status(status: RunStatus) -> str:
    """Return the status word for clients that send no API version header."""
    return _BEFORE_VERSIONS.get(status, _API[status].value)


def stored_status(name: str) -> RunStatus | None:
    """Return the stored status for an API or legacy status word, or None when there is no such word."""
    if name in ApiStatus.__members__:
        return _STORED[ApiStatus(name)]
    return _LEGACY_NAMES.get(name)


def is_completed(status: ApiStatus) -> bool:
    """Tell whether a run is over (ST-14: EXPIRED and TIMED_OUT count, or pollers would never end)."""
    return _STORED[status] in TERMINAL
