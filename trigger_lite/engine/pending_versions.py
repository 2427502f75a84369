"""Runs that no version can run yet (engine-behaviours 2d)."""

from typing import Final

from trigger_lite.engine import lifecycle, slots
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.store import runs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx

PROMOTE_CHUNK: Final = 200

REASONS: Final = {
    "NO_WORKER": "no worker of its version is connected",
    "TASK_NOT_IN_LATEST": "the current version does not have its task",
    "TASK_NEVER_REGISTERED": "no worker has registered its task",
}


def park(tx: Tx, run: RunRow, reason: str) -> RunRow:
    """Take a waiting run out of line until a version can run it (PV-01)."""
    parked = lifecycle.move(
        tx,
        run,
        Transition.PARK,
        description=f"Parked: {REASONS[reason]}",
        changes={"queued": 0, "status_reason": reason, "ttl_at": None},
    )
    slots.leave_line(tx, run)
    return parked


def promote_tasks(tx: Tx, environment_id: str, task_ids: list[str]) -> int:
    """Put parked runs of these tasks back in line, oldest first, one chunk; returns how many (PV-02).

    Those that asked for a version by name wait for its worker.
    """
    parked: list[RunRow] = []
    for task_id in task_ids:
        room = PROMOTE_CHUNK - len(parked)
        if room > 0:
            parked += runs.list_pending_version(tx, environment_id, task_id, count=room)
    return _promote_all(tx, parked)


def promote_version(tx: Tx, environment_id: str, version_id: str, task_ids: list[str]) -> int:
    """Put runs back in line that waited for the worker of this version, one chunk; returns how many."""
    parked: list[RunRow] = []
    for task_id in task_ids:
        room = PROMOTE_CHUNK - len(parked)
        if room > 0:
            parked += runs.list_pending_this_version(
                tx, environment_id, task_id, version_id=version_id, count=room
            )
    return _promote_all(tx, parked)


def _promote_all(tx: Tx, parked: list[RunRow]) -> int:
    for run in parked:
        _promote(tx, run)
    return len(parked)


def _promote(tx: Tx, run: RunRow) -> None:
    if run.delay_until is not None and run.delay_until > tx.now:
        lifecycle.move(
            tx,
            run,
            Transition.VERSION_ARRIVES_EARLY,
            description="A version can run it; its start time is not reached",
            # Another run may have taken the debounce key since this one was delayed first.
            changes={"status_reason": None, "debounce_key": None},
        )
        return
    # The place in line stays that of the trigger; the TTL and the wait count from now (PV-03).
    lane = slots.rejoin(tx, run)
    ttl_at = tx.now + run.ttl * 1000 if run.ttl and run.started_at is None else None
    lifecycle.move(
        tx,
        run,
        Transition.VERSION_ARRIVES,
        description="A version can run it: back in line",
        changes={
            "queued": 1,
            "lane_id": lane,
            "status_reason": None,
            "queued_at": tx.now,
            "ttl_at": ttl_at,
        },
    )
