"""When the machine's clock is set back, runs that came or were put off meanwhile must not wait for it.

Only what was reckoned from the wrong time is moved. A date that somebody named stays what it was.
"""

from collections.abc import Sequence

from trigger_lite.engine.events import QueueChanged
from trigger_lite.store import clock_jumps, runs
from trigger_lite.store.transaction import Tx


def bring_back(tx: Tx, run_ids: Sequence[str]) -> None:
    """Move the places in line of waiting runs by as much as the clock was ahead when they were put there."""
    lanes, queues = set(), set()
    for run_id in run_ids:
        run = runs.find_run(tx, run_id)
        if run is None or not run.queued or run.updated_at <= tx.now:
            continue
        ahead = run.updated_at - tx.now
        ttl_at = None if run.ttl_at is None else run.ttl_at - ahead
        changes = {"score": run.score - ahead, "ttl_at": ttl_at, "updated_at": tx.now}
        runs.update_run(tx, run, changes)
        lanes.add(run.lane_id)
        queues.add((run.environment_id, run.queue_id))
    for lane_id in sorted(lanes):
        clock_jumps.renew_head(tx, lane_id)
    for environment_id, queue_id in sorted(queues):
        tx.emit(QueueChanged(environment_id, queue_id))
