"""Why a run is in the state it is in: one sentence for whoever looks at it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from trigger_lite.engine.pending_versions import REASONS
from trigger_lite.engine.run_json import decode_error
from trigger_lite.protocol.durations import format_duration
from trigger_lite.protocol.run_errors import InternalError, api_error
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.store import environments, queues, waitpoints
from trigger_lite.store.runs import RunRow, SnapshotRow
from trigger_lite.store.transaction import Reader

MOST_AHEAD: Final = 1_000
"""Runs ahead in line are counted up to here."""


class Reason(msgspec.Struct, frozen=True):
    """`text`, then the time left until `until` (Unix ms) when time alone changes the state, then `more`."""

    text: str
    until: int | None = None
    more: str = ""


def explain(
    tx: Reader, run: RunRow, snapshots: Sequence[SnapshotRow], error: str | None, *, connected: int
) -> Reason:
    """Return the reason for a run's present state.

    `error` is the run's stored error; `connected` counts the workers connected to its environment.
    """
    match X(run.execution_status):
        case X.DELAYED:
            return Reason("delayed: starts in", until=run.delay_until)
        case X.RUN_CREATED:
            return Reason(f"parked: {REASONS.get(run.status_reason or '', 'no version can run it')}")
        case X.QUEUED:
            return _queued(tx, run, connected)
        case X.QUEUED_EXECUTING:
            return Reason("its wait is over: goes on when a slot is free")
        case X.PENDING_EXECUTING:
            return Reason("handed to a worker, about to start")
        case X.EXECUTING:
            return _executing(tx, run, snapshots)
        case X.EXECUTING_WITH_WAITPOINTS:
            return _waiting(tx, run)
        case X.SUSPENDED:
            return Reason("suspended")
        case X.PENDING_CANCEL:
            return Reason("canceled: waiting for its worker to stop")
        case X.FINISHED:
            return _finished(run, error)


# ---- in line ----------------------------------------------------------------------------------------


def _queued(tx: Reader, run: RunRow, connected: int) -> Reason:
    if run.score > tx.now and run.deliveries:
        return Reason("not started in time by its worker: offered again in", until=run.score)
    if run.score > tx.now and run.attempt:
        return Reason("retrying in", until=run.score, more=_of_attempts(run, run.attempt + 1))
    return Reason(_blocked(tx, run, connected) + _ahead(tx, run))


def _blocked(tx: Reader, run: RunRow, connected: int) -> str:
    """Name what keeps the run in line, the widest cause first."""
    load = environments.get_load(tx, run.environment_id)
    slug = environments.get_environment(tx, run.environment_id).slug
    queue = queues.get_queue(tx, run.queue_id)
    lane = queues.find_lane(tx, run.lane_id)
    if load.paused:
        return f"queued: {slug} is paused"
    if queue.paused:
        return f"queued: {queue.name} is paused"
    if connected == 0:
        return "waiting for a worker: none is connected"
    if load.held >= load.slots:
        return f"queued: {slug} is at its limit {load.held}/{load.slots}"
    if lane is not None and lane.held >= lane.capacity:
        key = "" if run.concurrency_key is None else f" (key {run.concurrency_key})"
        return f"queued: {queue.name}{key} is at its limit {lane.held}/{lane.capacity}"
    return "queued: starts as soon as a worker is free"


def _ahead(tx: Reader, run: RunRow) -> str:
    ahead = queues.count_ahead(tx, lane_id=run.lane_id, score=run.score, run_id=run.id, most=MOST_AHEAD + 1)
    if ahead == 0:
        return ", next in line"
    return f", {MOST_AHEAD:,}+ ahead" if ahead > MOST_AHEAD else f", {ahead:,} ahead"


# ---- waiting ----------------------------------------------------------------------------------------


def _waiting(tx: Reader, run: RunRow) -> Reason:
    """Name what the run waits for; the rest of a long list is counted."""
    pending = waitpoints.list_pending(tx, run.id, count=MOST_AHEAD + 1)
    kinds = {waitpoint.kind for waitpoint in pending}
    if "BATCH" in kinds:
        left = sum(waitpoint.kind == "RUN" for waitpoint in pending)
        return Reason(f"waiting for its batch: {left:,} runs are not over")
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


# ---- with a worker, or over -------------------------------------------------------------------------


def _executing(tx: Reader, run: RunRow, snapshots: Sequence[SnapshotRow]) -> Reason:
    retry_at = snapshots[-1].retry_at if snapshots else None
    if retry_at is None:
        return Reason(f"running{_of_attempts(run, run.attempt)}")
    if retry_at > tx.now:
        return Reason("retrying in", until=retry_at, more=_of_attempts(run, run.attempt + 1))
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
