"""Delayed runs enter their queue when their time comes, which may be moved (TR-10, ST-04, CN-09)."""

from collections.abc import Mapping
from typing import Any

from trigger_lite.engine import lifecycle, slots
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.protocol.errors import RunNotFound, Unprocessable
from trigger_lite.protocol.statuses import ExecutionStatus, RunStatus, api_status
from trigger_lite.protocol.times import iso
from trigger_lite.store import runs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx


def enqueue_delayed(tx: Tx, count: int) -> int:
    """Put up to `count` delayed runs whose time has come in line; returns how many."""
    due = runs.list_delay_ended(tx, count=count)
    for run in due:
        lane = slots.rejoin(tx, run)
        lifecycle.move(
            tx,
            run,
            Transition.DELAY_ENDS,
            description=f"Its start time came: queued in {run.queue_name}",
            changes={
                "queued": 1,
                "lane_id": lane,
                "queued_at": tx.now,
                # The TTL counts from the first time in line (TR-12).
                "ttl_at": tx.now + run.ttl * 1000 if run.ttl else None,
            },
        )
    return len(due)


def reschedule(tx: Tx, environment_id: str, run_id: str, until: int) -> RunRow:
    """Let a delayed run start at `until` (Unix ms) instead, sooner or later (CN-09).

    Raises RunNotFound, or Unprocessable when the run is delayed no more.
    """
    run = runs.find_run_in(tx, environment_id, run_id)
    if run is None:
        raise RunNotFound
    if run.execution_status != ExecutionStatus.DELAYED:
        status = api_status(RunStatus(run.status))
        raise Unprocessable(f"{run_id} is {status}; only a DELAYED run can be rescheduled")
    return move_start(tx, run, until, description=f"Rescheduled to {iso(until)}")


def move_start(
    tx: Tx, run: RunRow, until: int, *, description: str, changes: Mapping[str, Any] = {}
) -> RunRow:
    """Move the start of a delayed run to `until` (Unix ms), and its place in line with it.

    A child that its parent waits for keeps the place that its parent had (TR-15). `changes` are further
    columns of the run.
    """
    queue_time = run.queue_time if run.resume_parent else until
    times = {"delay_until": until, "queue_time": queue_time, "score": queue_time - run.priority_ms}
    return lifecycle.move(
        tx, run, Transition.RESCHEDULE, description=description, changes={**changes, **times}
    )
