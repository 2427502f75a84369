"""Why a run or an attempt failed, as stored and as it travels (management-api 5, worker-protocol 6.3)."""

from enum import StrEnum
from typing import Final

import msgspec

from trigger_lite.protocol.statuses import RunStatus

MAX_NAME: Final = 1_024
MAX_TEXT: Final = 16_384


class ErrorCode(StrEnum):
    """The closed list of built-in codes; official clients reject any other."""

    COULD_NOT_FIND_EXECUTOR = "COULD_NOT_FIND_EXECUTOR"
    COULD_NOT_FIND_TASK = "COULD_NOT_FIND_TASK"
    COULD_NOT_IMPORT_TASK = "COULD_NOT_IMPORT_TASK"
    CONFIGURED_INCORRECTLY = "CONFIGURED_INCORRECTLY"
    TASK_ALREADY_RUNNING = "TASK_ALREADY_RUNNING"
    TASK_EXECUTION_FAILED = "TASK_EXECUTION_FAILED"
    TASK_EXECUTION_ABORTED = "TASK_EXECUTION_ABORTED"
    TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE = "TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE"
    TASK_PROCESS_SIGKILL_TIMEOUT = "TASK_PROCESS_SIGKILL_TIMEOUT"
    TASK_PROCESS_SIGSEGV = "TASK_PROCESS_SIGSEGV"
    TASK_PROCESS_SIGTERM = "TASK_PROCESS_SIGTERM"
    TASK_PROCESS_OOM_KILLED = "TASK_PROCESS_OOM_KILLED"
    TASK_PROCESS_MAYBE_OOM_KILLED = "TASK_PROCESS_MAYBE_OOM_KILLED"
    TASK_RUN_CANCELLED = "TASK_RUN_CANCELLED"
    TASK_INPUT_ERROR = "TASK_INPUT_ERROR"
    TASK_OUTPUT_ERROR = "TASK_OUTPUT_ERROR"
    TASK_MIDDLEWARE_ERROR = "TASK_MIDDLEWARE_ERROR"
    HANDLE_ERROR_ERROR = "HANDLE_ERROR_ERROR"
    GRACEFUL_EXIT_TIMEOUT = "GRACEFUL_EXIT_TIMEOUT"
    TASK_RUN_HEARTBEAT_TIMEOUT = "TASK_RUN_HEARTBEAT_TIMEOUT"
    TASK_RUN_CRASHED = "TASK_RUN_CRASHED"
    TASK_RUN_UNCAUGHT_EXCEPTION = "TASK_RUN_UNCAUGHT_EXCEPTION"
    MAX_DURATION_EXCEEDED = "MAX_DURATION_EXCEEDED"
    DISK_SPACE_EXCEEDED = "DISK_SPACE_EXCEEDED"
    POD_EVICTED = "POD_EVICTED"
    POD_UNKNOWN_ERROR = "POD_UNKNOWN_ERROR"
    TASK_HAS_N0_EXECUTION_SNAPSHOT = "TASK_HAS_N0_EXECUTION_SNAPSHOT"
    TASK_DEQUEUED_INVALID_STATE = "TASK_DEQUEUED_INVALID_STATE"
    TASK_DEQUEUED_QUEUE_NOT_FOUND = "TASK_DEQUEUED_QUEUE_NOT_FOUND"
    TASK_RUN_DEQUEUED_MAX_RETRIES = "TASK_RUN_DEQUEUED_MAX_RETRIES"
    TASK_RUN_STALLED_EXECUTING = "TASK_RUN_STALLED_EXECUTING"
    TASK_RUN_STALLED_EXECUTING_WITH_WAITPOINTS = "TASK_RUN_STALLED_EXECUTING_WITH_WAITPOINTS"
    OUTDATED_SDK_VERSION = "OUTDATED_SDK_VERSION"
    TASK_DID_CONCURRENT_WAIT = "TASK_DID_CONCURRENT_WAIT"
    RECURSIVE_WAIT_DEADLOCK = "RECURSIVE_WAIT_DEADLOCK"
    BATCH_ITEM_COULD_NOT_TRIGGER = "BATCH_ITEM_COULD_NOT_TRIGGER"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSPECIFIED_ERROR = "UNSPECIFIED_ERROR"


class Cause(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    message: str
    name: str | None = None
    stack_trace: str | None = None


class BuiltInError(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, tag_field="type", tag="BUILT_IN_ERROR"
):
    """An exception of user code."""

    name: str
    message: str
    stack_trace: str
    causes: list[Cause] | None = None


class StringError(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="STRING_ERROR"):
    """A plain reason, such as why a run was cancelled."""

    raw: str


class CustomError(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="CUSTOM_ERROR"):
    """Something that was thrown but is no exception; `raw` is JSON text."""

    raw: str


class InternalError(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, tag_field="type", tag="INTERNAL_ERROR"
):
    """A failure that the platform names: a code of the closed list."""

    code: ErrorCode
    message: str | None = None
    stack_trace: str | None = None


RunError = BuiltInError | StringError | CustomError | InternalError

_CRASHED: Final = frozenset(
    {
        ErrorCode.TASK_PROCESS_OOM_KILLED,
        ErrorCode.TASK_PROCESS_MAYBE_OOM_KILLED,
        ErrorCode.TASK_PROCESS_SIGSEGV,
        ErrorCode.DISK_SPACE_EXCEEDED,
        ErrorCode.OUTDATED_SDK_VERSION,
        ErrorCode.HANDLE_ERROR_ERROR,
        ErrorCode.TASK_RUN_CRASHED,
        ErrorCode.TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE,
    }
)
_WITH_ERRORS: Final = frozenset(
    {
        ErrorCode.RECURSIVE_WAIT_DEADLOCK,
        ErrorCode.TASK_INPUT_ERROR,
        ErrorCode.TASK_OUTPUT_ERROR,
        ErrorCode.TASK_MIDDLEWARE_ERROR,
        ErrorCode.TASK_RUN_UNCAUGHT_EXCEPTION,
    }
)
STALLED: Final = frozenset(
    {ErrorCode.TASK_RUN_STALLED_EXECUTING, ErrorCode.TASK_RUN_STALLED_EXECUTING_WITH_WAITPOINTS}
)
OUT_OF_MEMORY: Final = frozenset({ErrorCode.TASK_PROCESS_OOM_KILLED, ErrorCode.TASK_PROCESS_MAYBE_OOM_KILLED})
# AT-15: whatever the retry settings say, these end the run.
NEVER_RETRIED: Final = frozenset(
    {
        ErrorCode.COULD_NOT_FIND_EXECUTOR,
        ErrorCode.COULD_NOT_FIND_TASK,
        ErrorCode.COULD_NOT_IMPORT_TASK,
        ErrorCode.CONFIGURED_INCORRECTLY,
        ErrorCode.TASK_ALREADY_RUNNING,
        ErrorCode.TASK_PROCESS_SIGKILL_TIMEOUT,
        ErrorCode.MAX_DURATION_EXCEEDED,
        ErrorCode.DISK_SPACE_EXCEEDED,
        ErrorCode.OUTDATED_SDK_VERSION,
        ErrorCode.TASK_RUN_HEARTBEAT_TIMEOUT,
        ErrorCode.TASK_DID_CONCURRENT_WAIT,
        ErrorCode.RECURSIVE_WAIT_DEADLOCK,
        ErrorCode.TASK_DEQUEUED_INVALID_STATE,
        ErrorCode.TASK_DEQUEUED_QUEUE_NOT_FOUND,
        ErrorCode.TASK_RUN_DEQUEUED_MAX_RETRIES,
        ErrorCode.TASK_HAS_N0_EXECUTION_SNAPSHOT,
        ErrorCode.BATCH_ITEM_COULD_NOT_TRIGGER,
        ErrorCode.PAYLOAD_TOO_LARGE,
        ErrorCode.UNSPECIFIED_ERROR,
    }
)
# AT-17: the worker could not say whether to retry, so the server decides by the task's settings.
RETRIED_BY_SERVER: Final = frozenset(
    {
        ErrorCode.TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE,
        ErrorCode.TASK_PROCESS_SIGTERM,
        ErrorCode.TASK_PROCESS_SIGSEGV,
        ErrorCode.TASK_RUN_UNCAUGHT_EXCEPTION,
        ErrorCode.TASK_MIDDLEWARE_ERROR,
    }
)


def final_status(error: RunError, *, is_dev: bool) -> RunStatus:
    """Return how a run ends with this error (ST-15…17)."""
    if not isinstance(error, InternalError) or error.code in _WITH_ERRORS:
        return RunStatus.COMPLETED_WITH_ERRORS
    if error.code in _CRASHED:
        return RunStatus.CRASHED
    if error.code in STALLED:
        return RunStatus.CANCELED if is_dev else RunStatus.COMPLETED_WITH_ERRORS
    if error.code is ErrorCode.TASK_RUN_CANCELLED:
        return RunStatus.CANCELED
    if error.code is ErrorCode.MAX_DURATION_EXCEEDED:
        return RunStatus.TIMED_OUT
    return RunStatus.SYSTEM_FAILURE


def _cut(text: str, limit: int) -> str:
    return text.replace("\0", "")[:limit]


def cut_for_storage(error: RunError) -> RunError:
    """Return the error without null bytes and no longer than may be stored (AT-12)."""
    match error:
        case BuiltInError():
            causes = error.causes and [
                Cause(
                    message=_cut(c.message, MAX_TEXT),
                    name=c.name and _cut(c.name, MAX_NAME),
                    stack_trace=c.stack_trace and _cut(c.stack_trace, MAX_TEXT),
                )
                for c in error.causes[:5]
            ]
            return BuiltInError(
                name=_cut(error.name, MAX_NAME),
                message=_cut(error.message, MAX_TEXT),
                stack_trace=_cut(error.stack_trace, MAX_TEXT),
                causes=causes,
            )
        case InternalError():
            return InternalError(
                code=error.code,
                message=error.message and _cut(error.message, MAX_TEXT),
                stack_trace=error.stack_trace and _cut(error.stack_trace, MAX_TEXT),
            )
        case StringError():
            return StringError(_cut(error.raw, MAX_TEXT))
        case CustomError():
            return CustomError(_cut(error.raw, MAX_TEXT))


class ApiError(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The error as SDK users read it."""

    message: str
    name: str | None = None
    stack_trace: str | None = None
    causes: list[Cause] | None = None


def api_error(error: RunError) -> ApiError:
    """Return what the retrieve endpoint shows for a stored error (management-api 5)."""
    match error:
        case BuiltInError():
            return ApiError(error.message, error.name, error.stack_trace, error.causes)
        case StringError() | CustomError():
            return ApiError(error.raw)
        case InternalError():
            detail = f": {error.message}" if error.message else ""
            return ApiError(
                f"trigger.dev internal error ({error.code}){detail}", stack_trace=error.stack_trace
            )
