"""Why a run is in the state it is in: one sentence for whoever looks at it."""

from collections.abc import Sequence

import msgspec

from trigger_lite.engine.line_reasons import MOST_AHEAD, Reason, explain_line
from trigger_lite.engine.pending_versions import REASONS
from trigger_lite.engine.run_json import decode_error
from trigger_lite.protocol.durations import format_duration
from trigger_lite.protocol.run_errors import InternalError, api_error
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.protocol.waiting import WaitReason
from trigger_lite.store import batches, waitpoints
from trigger_lite.store.runs import RunRow, SnapshotRow
from trigger_lite.store.transaction import Reader
from trigger_lite.store.waitpoints import WaitpointRow


def explain(
    tx: Reader, run: RunRow, snapshots: Sequence[SnapshotRow], error: str | None, *, connected: int
) -> Reason:
    """Return the reason for a run's present state.

    `error` is the run's stored error; `connected` counts the workers connected to its environment.
    """
    match X(run.execution_status):
        case X.DELAYED:
            return Reason("delayed: starts in", until=run.delay_until, kind=WaitReason.DELAYED)
        case X.RUN_CREATED:
            missing = REASONS.get(run.status_reason or "", "no version can run it")
            return Reason(f"parked: {missing}", kind=WaitReason.NO_VERSION)
        case X.QUEUED:
            return _queued(tx, run, connected)
        case X.QUEUED_EXECUTING:
            return Reason("its wait is over: goes on when a slot is free", kind=WaitReason.SLOT)
        case X.PENDING_EXECUTING:
            return Reason("handed to a worker, about to start")
        case X.EXECUTING:
            return _executing(tx, run, snapshots)
        case X.EXECUTING_WITH_WAITPOINTS:
            return msgspec.structs.replace(_waiting(tx, run), kind=WaitReason.WAITPOINT)
        case X.SUSPENDED:
            return Reason("suspended")
        case X.PENDING_CANCEL:
            return Reason("canceled: waiting for its worker to stop")
        case X.FINISHED:
            return _finished(run, error)


# ---- in line ----------------------------------------------------------------------------------------


def _queued(tx: Reader, run: RunRow, connected: int) -> Reason:
    if run.score > tx.now and run.deliveries:
        text = "not started in time by its worker: offered again in"
        return Reason(text, until=run.score, kind=WaitReason.RETRY)
    if run.score > tx.now and run.attempt:
        return _retrying(run, run.score)
    return explain_line(tx, run, connected)


def _retrying(run: RunRow, at: int) -> Reason:
    more = _of_attempts(run, run.attempt + 1)
    return Reason("retrying in", until=at, more=more, kind=WaitReason.RETRY)


# ---- waiting ----------------------------------------------------------------------------------------


def _waiting(tx: Reader, run: RunRow) -> Reason:
    """Name what the run waits for; the rest of a long list is counted."""
    pending = waitpoints.list_pending(tx, run.id, count=MOST_AHEAD + 1)
    batch = next((found for found in pending if found.completes_batch is not None), None)
    if batch is not None:
        return Reason(f"waiting for its batch: {_left_of(tx, batch)} runs are not over")
    if not pending:
        return Reason("waiting: about to go on")
    first = pending[0]
    more = f" and {len(pending) - 1:,} more" if len(pending) > 1 else ""
    match first.kind:
        case "RUN":
            return Reason(f"waiting for {first.completes_run}{more}")
        case "MANUAL":
            text = f"waiting for the token {first.id}{more}"
            return Reason(text if first.due_at is None else f"{text}, times out in", until=first.due_at)
        case _:
            return Reason("waiting: goes on in", until=first.due_at, more=more)


def _left_of(tx: Reader, waitpoint: WaitpointRow) -> str:
    """Count the results that a batch lacks: of runs that go on, and of items that are yet to come."""
    batch = batches.find_batch(tx, waitpoint.completes_batch or "")
    assert batch is not None  # one that is waited for is kept
    return f"{batch.run_count - batch.failed - batch.finished:,} of {batch.run_count:,}"


# ---- with a worker, or over -------------------------------------------------------------------------


def _executing(tx: Reader, run: RunRow, snapshots: Sequence[SnapshotRow]) -> Reason:
    retry_at = snapshots[-1].retry_at if snapshots else None
    if retry_at is None:
        return Reason(f"running{_of_attempts(run, run.attempt)}")
    if retry_at > tx.now:
        return _retrying(run, retry_at)
    return Reason(f"retrying now{_of_attempts(run, run.attempt + 1)}")


def _of_attempts(run: RunRow, number: int) -> str:
    if run.max_attempts is None or run.max_attempts <= 1:
        return "" if number <= 1 else f", attempt {number}"
    return f", attempt {number} of {run.max_attempts}"


def _finished(run: RunRow, error: str | None) -> Reason:
    attempts = "1 attempt" if run.attempt == 1 else f"{run.attempt} attempts"
    match R(run.status):
        case R.COMPLETED_SUCCESSFULLY:
            return Reason("completed" if run.attempt <= 1 else f"completed after {attempts}")
        case R.CANCELED:
            return Reason(f"canceled: {_cause(error)}")
        case R.EXPIRED:
            return Reason(f"expired: not started within its TTL of {format_duration(run.ttl or 0)}")
        case R.TIMED_OUT:
            return Reason(
                f"timed out: its maxDuration of {format_duration(run.max_duration or 0)} is used up"
            )
        case R.CRASHED:
            return Reason(f"crashed after {attempts}: {_cause(error)}")
        case R.SYSTEM_FAILURE:
            return Reason(f"system failure: {_cause(error)}")
        case _:
            return Reason(f"failed after {attempts}")


def _cause(error: str | None) -> str:
    """Return the first line of the error, without the words that every internal error begins with."""
    if error is None:
        return "no reason was given"
    decoded = decode_error(error)
    if isinstance(decoded, InternalError):
        text = decoded.message or decoded.code.value
    else:
        text = api_error(decoded).message
    return text.strip().partition("\n")[0] or "no reason was given"
