"""Delayed runs enter their queue when their time comes (TR-10, ST-04)."""

from trigger_lite.engine import lifecycle, slots
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.store import runs
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
