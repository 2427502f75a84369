"""Starting and completing attempts (engine-behaviours 4). A call names the newest snapshot or is refused."""

from typing import Final

import msgspec

from trigger_lite.engine import endings, family, lifecycle, slots, starts, waitpoints
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.engine.requests import is_over, without_nulls
from trigger_lite.engine.retry import Retry, decide_retry
from trigger_lite.engine.run_json import decode_error, encode_error
from trigger_lite.protocol.errors import BadRequest, RunNotFound, StaleSnapshot
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.ids import snapshot_seq
from trigger_lite.protocol.machines import DEFAULT_MACHINE
from trigger_lite.protocol.run_errors import ErrorCode, InternalError, RunError, StringError, final_status
from trigger_lite.protocol.statuses import OWNED_BY_WORKER, RunStatus
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.tasks import MAX_ATTEMPTS, MAX_OUTPUT_BYTES, NO_MAX_DURATION
from trigger_lite.store import environments, runs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx

CANCELED_BY_USER: Final = "Canceled by user"
_COMPLETABLE: Final = OWNED_BY_WORKER | {X.PENDING_CANCEL}


class Started(msgspec.Struct, frozen=True):
    run: RunRow


class Finished(msgspec.Struct, frozen=True):
    """What happens next (AT-08): RUN_FINISHED, RUN_PENDING_CANCEL, RETRY_QUEUED or RETRY_IMMEDIATELY."""

    attempt_status: str
    run: RunRow
    retry_delay_ms: int | None = None


# ---- start ----------------------------------------------------------------------------------------


def start_attempt(tx: Tx, environment_id: str, run_id: str, snapshot: str, worker_id: str) -> Started:
    """Begin the next attempt of a claimed run (AT-01…04).

    Raises StaleSnapshot when the snapshot is not the newest or the run is another worker's, BadRequest when
    the run was never claimed. A repeated start by the worker that made it is answered like the first.
    """
    run = _named_run(tx, environment_id, run_id)
    seq = snapshot_seq(run_id, snapshot)
    if seq != run.snapshot_seq:
        if seq is not None and starts.began_from(tx, run, seq, worker_id):
            return Started(run)
        raise StaleSnapshot(run_id)
    if not lifecycle.is_legal(X(run.execution_status), Transition.START) or run.worker_id is None:
        raise BadRequest(f"{run_id} is {run.execution_status}; only a run handed to a worker can start")
    if run.worker_id != worker_id:
        raise StaleSnapshot(run_id)
    if run.execution_status == X.EXECUTING and not starts.is_between_attempts(tx, run):
        raise BadRequest(f"Attempt {run.attempt} of {run_id} has not ended")
    if run.attempt >= MAX_ATTEMPTS:
        error = InternalError(ErrorCode.TASK_RUN_CRASHED, f"A run gets at most {MAX_ATTEMPTS} attempts")
        return Started(fail_run(tx, run, error))
    return Started(starts.begin_attempt(tx, run))


def _named_run(tx: Tx, environment_id: str, run_id: str) -> RunRow:
    run = runs.find_run_in(tx, environment_id, run_id)
    if run is None:
        raise RunNotFound
    return run


# ---- complete ---------------------------------------------------------------------------------------


def complete_attempt(
    tx: Tx, environment_id: str, run_id: str, snapshot: str, completion: Completion
) -> Finished:
    """End an attempt with its output or its error (AT-06…08, AT-13…18).

    Raises StaleSnapshot or BadRequest, with neither output nor error stored. Metadata that comes along is
    not touched here: it is kept even when the completion is refused (AT-10), so it is a write of its own.
    """
    run = _named_run(tx, environment_id, run_id)
    if snapshot_seq(run_id, snapshot) != run.snapshot_seq or run.execution_status == X.FINISHED:
        raise StaleSnapshot(run_id)
    if X(run.execution_status) not in _COMPLETABLE:
        raise BadRequest(f"{run_id} is {run.execution_status}; only a run that a worker has can be completed")
    run = _count_usage(run, completion)
    if run.execution_status == X.PENDING_CANCEL:
        # A late success does not undo a cancel: terminal is final (CN-05).
        return Finished("RUN_FINISHED", finish_cancel(tx, run))
    if completion.ok:
        return Finished("RUN_FINISHED", _succeed(tx, run, completion))
    assert completion.error is not None  # checked when decoded
    return _fail_attempt(tx, run, completion, completion.error)


def _count_usage(run: RunRow, completion: Completion) -> RunRow:
    """Add up time over attempts (AT-09); no attempt lasted longer than any can."""
    if completion.usage is None:
        return run
    used = min(max(0, completion.usage.duration_ms), NO_MAX_DURATION * 1000)
    return run._replace(usage_ms=run.usage_ms + used)


def _succeed(tx: Tx, run: RunRow, completion: Completion) -> RunRow:
    if not lifecycle.is_legal(X(run.execution_status), Transition.SUCCEED):
        raise BadRequest(f"{run.id} is {run.execution_status}; only a started attempt can succeed")
    if completion.output is not None and is_over(completion.output, MAX_OUTPUT_BYTES):
        message = f"The output is over the limit of {MAX_OUTPUT_BYTES} bytes"
        return fail_run(tx, run, InternalError(ErrorCode.TASK_OUTPUT_ERROR, message))
    changes = {
        "output": None if completion.output is None else without_nulls(completion.output),
        "output_type": without_nulls(completion.output_type or "application/json"),
        "usage_ms": run.usage_ms,
    }
    return endings.end(tx, run, Transition.SUCCEED, description="Completed", changes=changes)


def _fail_attempt(tx: Tx, run: RunRow, completion: Completion, error: RunError) -> Finished:
    is_dev = environments.get_environment(tx, run.environment_id).is_dev
    if isinstance(error, InternalError) and error.code is ErrorCode.TASK_RUN_CANCELLED:
        return Finished("RUN_FINISHED", fail_run(tx, run, error))
    retry = decide_retry(run, error, completion.retry, now=tx.now, is_dev=is_dev)
    if retry is None:
        return Finished("RUN_FINISHED", fail_run(tx, run, error, is_dev=is_dev))
    if not lifecycle.is_legal(X(run.execution_status), Transition.RETRY_LATER):
        # Left to the start timeout: nothing was attempted, so nothing counts as an attempt.
        raise BadRequest(f"{run.id} is {run.execution_status}; only a started attempt can be tried again")
    if retry.is_soon and run.execution_status == X.EXECUTING:
        return Finished("RETRY_IMMEDIATELY", _retry_soon(tx, run, error, retry), retry.delay_ms)
    return Finished("RETRY_QUEUED", retry_later(tx, run, error, retry), retry.delay_ms)


def _retry_soon(tx: Tx, run: RunRow, error: RunError, retry: Retry) -> RunRow:
    return lifecycle.move(
        tx,
        run,
        Transition.RETRY_SOON,
        description=f"Attempt {run.attempt} failed; the next starts in the same worker",
        changes={"usage_ms": run.usage_ms},
        snapshot={"error": encode_error(error), "retry_at": tx.now + retry.delay_ms},
    )


def retry_later(tx: Tx, run: RunRow, error: RunError, retry: Retry) -> RunRow:
    """Put the run back in line for `retry.at`, its slot free meanwhile (AT-18)."""
    at = tx.now + retry.delay_ms
    waiting = run._replace(score=at)
    lane = slots.rejoin(tx, waiting)
    moved = lifecycle.move(
        tx,
        run,
        Transition.RETRY_LATER,
        description=f"Attempt {run.attempt} failed; the next waits in line",
        changes={
            "queued": 1,
            "worker_id": None,
            "score": at,
            "lane_id": lane,
            "machine": retry.machine or run.machine or DEFAULT_MACHINE,
            "usage_ms": run.usage_ms,
        },
        snapshot={"error": encode_error(error), "retry_at": at},
    )
    slots.release(tx, run)
    waitpoints.drop_edges(tx, run)
    return moved


def fail_run(tx: Tx, run: RunRow, error: RunError, *, is_dev: bool = False) -> RunRow:
    """End the run with this error (AT-11, ST-15…17)."""
    outcome = final_status(error, is_dev=is_dev)
    text = encode_error(error)
    moved = endings.end(
        tx,
        run,
        Transition.FAIL,
        outcome=outcome,
        description=f"Ended as {outcome} after {run.attempt} attempt(s)",
        changes={"error": text, "is_failed": 1, "usage_ms": run.usage_ms},
        snapshot={"error": text},
    )
    if outcome is RunStatus.CANCELED:
        family.cancel_children(tx, run, CANCELED_BY_USER)
    return moved


# ---- cancel ---------------------------------------------------------------------------------------


def finish_cancel(tx: Tx, run: RunRow) -> RunRow:
    """Finish a cancel: confirmed by its worker, or out of time (HB-05). Children follow (CN-04)."""
    moved = endings.end(
        tx, run, Transition.CANCEL, description="Cancel confirmed", changes={"usage_ms": run.usage_ms}
    )
    family.cancel_children(tx, run, _reason_of_cancel(tx, run))
    return moved


def _reason_of_cancel(tx: Tx, run: RunRow) -> str:
    text = runs.get_data(tx, run.id).error
    error = None if text is None else decode_error(text)
    return error.raw if isinstance(error, StringError) else CANCELED_BY_USER


def cancel_run(tx: Tx, environment_id: str, run_id: str, reason: str = CANCELED_BY_USER) -> RunRow:
    """Cancel a run; one that is over is left alone (CN-01…06). Raises RunNotFound."""
    return family.cancel(tx, _named_run(tx, environment_id, run_id), without_nulls(reason))
