"""Slots and places in line: the counters of lane and environment follow each move of a run (Q-21, 13b.5)."""

from trigger_lite.store import environments, queues, rates
from trigger_lite.store.queues import QueueRow
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Reader, Tx


def lane_key(concurrency_key: str | None) -> str:
    """Name the lane of a concurrency key; any text is a key, the empty one too (Q-14)."""
    return "" if concurrency_key is None else f"={concurrency_key}"


def capacity(tx: Reader, queue: QueueRow) -> int:
    """Slots one lane may hold: the queue's limit, at most the environment's without burst (Q-10, Q-16)."""
    limit = environments.get_load(tx, queue.environment_id).concurrency_limit
    return limit if queue.limit is None else min(queue.limit, limit)


def join(tx: Tx, queue: QueueRow, *, concurrency_key: str | None, score: int) -> str:
    """Put a run of this order key in line; returns its lane, which is made when missing."""
    key = lane_key(concurrency_key)
    join_lane = queues.join_lane if queue.key_rate_count is None else rates.join_rated_lane
    lane_id = join_lane(tx, queue.id, lane_key=key, score=score)
    if lane_id is not None:
        return lane_id
    return queues.insert_lane(tx, queue, lane_key=key, score=score, capacity=capacity(tx, queue))


def rejoin(tx: Tx, run: RunRow) -> str:
    """Put a run that has a queue already in line again, at `run.score`."""
    return join(tx, queues.get_queue(tx, run.queue_id), concurrency_key=run.concurrency_key, score=run.score)


def leave_line(tx: Tx, run: RunRow) -> None:
    """Correct the lane after a waiting run left it without being claimed."""
    queues.leave_lane(tx, run.lane_id)
    queues.drop_lane_if_empty(tx, run.lane_id)


def release(tx: Tx, before: RunRow) -> None:
    """Give back the slot that the run held before it moved; one that held none changes nothing (Q-23)."""
    if not before.holds_slot:
        return
    queues.release_slot(tx, before.lane_id)
    environments.change_held(tx, before.environment_id, -1)
    if before.concurrency_key is not None:
        queues.drop_lane_if_empty(tx, before.lane_id)


def retake(tx: Tx, run: RunRow) -> str | None:
    """Take a slot again for a run whose wait is over; returns its lane, or None when none is free (Q-24).

    The lane of a concurrency key may have been forgotten meanwhile.
    """
    load = environments.get_load(tx, run.environment_id)
    if load.held >= load.slots:
        return None
    lane = queues.find_lane_of(tx, run.queue_id, lane_key(run.concurrency_key))
    if lane is None:
        queue = queues.get_queue(tx, run.queue_id)
        limit = capacity(tx, queue)
        if limit <= 0:
            return None
        lane_id = queues.insert_lane(
            tx, queue, lane_key=lane_key(run.concurrency_key), score=None, capacity=limit
        )
    elif lane.held >= lane.capacity:
        return None
    else:
        lane_id = lane.id
    queues.hold_slot(tx, lane_id)
    environments.change_held(tx, run.environment_id, 1)
    return lane_id


def refresh_queue(tx: Tx, queue: QueueRow) -> None:
    """Tell the lanes of a queue what limit and pause now say (Q-18, Q-33)."""
    queues.refresh_lanes(tx, queue.id, capacity=capacity(tx, queue), paused=queue.paused)
