"""The life of a run as its snapshots tell it: the steps of the timeline, and the attempts."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.store.runs import RunRow, SnapshotRow


@dataclass(frozen=True)
class Step:
    """A point of the timeline. `kind` names its colour and icon; `at` is Unix ms."""

    word: str
    kind: str
    icon: str
    at: int


@dataclass(frozen=True)
class Attempt:
    """One attempt. `outcome` is running, succeeded, failed or stopped; times in Unix ms, `error` JSON."""

    number: int
    started_at: int
    ended_at: int | None
    outcome: str
    error: str | None
    retry_at: int | None
    worker_id: str | None


def attempts_of(run: RunRow, snapshots: Sequence[SnapshotRow]) -> list[Attempt]:
    """Return the attempts that were started, oldest first."""
    found: list[Attempt] = []
    for before, snapshot in itertools.pairwise(snapshots):
        if snapshot.attempt > before.attempt:
            found.append(
                Attempt(
                    snapshot.attempt, snapshot.created_at, None, "running", None, None, snapshot.worker_id
                )
            )
        elif found and found[-1].ended_at is None and _ends(before, snapshot):
            found[-1] = _ended(found[-1], snapshot)
    return found


def _ends(before: SnapshotRow, snapshot: SnapshotRow) -> bool:
    """Tell whether the attempt of `before` is over at `snapshot`."""
    running = before.execution_status in (X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS, X.PENDING_CANCEL)
    return running and (snapshot.error is not None or snapshot.execution_status in (X.FINISHED, X.QUEUED))


def _ended(attempt: Attempt, snapshot: SnapshotRow) -> Attempt:
    if snapshot.run_status == "COMPLETED_SUCCESSFULLY":
        outcome = "succeeded"
    else:
        outcome = "stopped" if snapshot.run_status == "CANCELED" else "failed"
    return Attempt(
        attempt.number,
        attempt.started_at,
        snapshot.created_at,
        outcome,
        snapshot.error,
        snapshot.retry_at,
        attempt.worker_id,
    )


def steps_of(run: RunRow, snapshots: Sequence[SnapshotRow], *, final: Step | None) -> list[Step]:
    """Return the timeline's points in order; `final` is how the run ended."""
    steps = [Step("Triggered", "neutral", "bolt", run.created_at)]
    before: SnapshotRow | None = None
    for snapshot in snapshots:
        steps += _steps_at(before, snapshot)
        before = snapshot
    return [*steps, final] if final is not None else steps


def _steps_at(before: SnapshotRow | None, snapshot: SnapshotRow) -> list[Step]:
    at = snapshot.created_at
    match X(snapshot.execution_status):
        case X.RUN_CREATED:
            return [Step("Parked", "parked", "boxes", at)]
        case X.PENDING_CANCEL:
            return [Step("Cancel requested", "canceled", "barred", at)]
        case X.QUEUED if before is not None:
            return [_back_in_line(before, snapshot)]
        case X.EXECUTING if before is not None and snapshot.attempt > before.attempt:
            return [Step(f"Try {snapshot.attempt}", "executing", "dot", at)]
        case X.EXECUTING if snapshot.error is not None:
            return [Step(f"Try {snapshot.attempt} failed", "retrying", "cross", at)]
        case _:
            return []


def _back_in_line(before: SnapshotRow, snapshot: SnapshotRow) -> Step:
    at = snapshot.created_at
    if snapshot.error is not None:
        return Step(f"Try {snapshot.attempt} failed", "retrying", "cross", at)
    if before.execution_status == X.DELAYED:
        return Step("Delay ended", "queued", "clock", at)
    if before.execution_status == X.RUN_CREATED:
        return Step("Version arrived", "queued", "ring", at)
    return Step("Handed back", "queued", "again", at)
