"""The end of a run: the one way to FINISHED, with all that hangs on it in the same transaction."""

from collections.abc import Mapping
from typing import Any

from trigger_lite.engine import batch_progress, lifecycle, slots, waitpoints
from trigger_lite.engine.events import ScheduleChanged
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.protocol.statuses import RunStatus
from trigger_lite.store import schedules
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx


def end(
    tx: Tx,
    run: RunRow,
    transition: Transition,
    *,
    description: str,
    outcome: RunStatus | None = None,
    changes: Mapping[str, Any] = {},
    snapshot: Mapping[str, Any] = {},
) -> RunRow:
    """Finish a run: it leaves its line, its slot is free, and who waits for its end hears of it (WP-16).

    `changes` and `snapshot` as in `lifecycle.move`. Raises StaleSnapshot when the run moved meanwhile.
    """
    columns = {"queued": 0, "worker_id": None, "ttl_at": None, "completed_at": tx.now} | dict(changes)
    moved = lifecycle.move(
        tx,
        run,
        transition,
        description=description,
        outcome=outcome,
        changes=columns,
        snapshot=snapshot,
    )
    slots.release(tx, run)
    if run.queued:
        slots.leave_line(tx, run)
    waitpoints.drop_edges(tx, run)
    if run.is_awaited:
        waitpoints.run_ended(tx, moved)
        batch_progress.item_ended(tx, moved)
    if run.schedule_instance_id is not None:
        _let_next_tick_run(tx, run)
    return moved


def _let_next_tick_run(tx: Tx, run: RunRow) -> None:
    """Announce the time that waited for this run of its schedule to be over, if one did."""
    schedule_id = schedules.release_waiting(tx, run.id)
    if schedule_id is not None:
        tx.emit(ScheduleChanged(run.environment_id, schedule_id, tx.now))
