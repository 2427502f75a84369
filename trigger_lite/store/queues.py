"""Queues and their lanes. A lane is the waiting line of one concurrency key of one queue."""

from typing import NamedTuple

from trigger_lite.store.query import Query, Statement
from trigger_lite.store.transaction import Reader, Tx


class QueueRow(NamedTuple):
    id: str
    environment_id: str
    name: str
    kind: str  # task or custom
    concurrency_limit: int | None
    paused: int


class LaneRow(NamedTuple):
    id: str
    queue_id: str
    lane_key: str
    held: int
    capacity: int


_QUEUE = "SELECT id, environment_id, name, kind, concurrency_limit, paused FROM queue"
_FIND = Query(_QUEUE + " WHERE environment_id = :environment_id AND name = :name", QueueRow)
_GET = Query(_QUEUE + " WHERE id = :id", QueueRow)
_LIST = Query(_QUEUE + " WHERE environment_id = :environment_id ORDER BY name", QueueRow)
_INSERT = Statement(
    """INSERT INTO queue (id, environment_id, name, kind, concurrency_limit, created_at)
       VALUES (:id, :environment_id, :name, :kind, :concurrency_limit, :now)"""
)
_SET_LIMIT = Statement("UPDATE queue SET concurrency_limit = :concurrency_limit WHERE id = :id")
_SET_PAUSED = Statement("UPDATE queue SET paused = :paused WHERE id = :id")

# Lane statements. `blocked` is always recomputed by the same expression.
_BLOCKED = "CASE WHEN paused = 1 OR {held} >= {capacity} THEN 1 ELSE 0 END"
_HEAD = "(SELECT min(score) FROM run WHERE run.lane_id = lane.id AND run.queued = 1)"
_JOIN_LANE = Query(
    """UPDATE lane SET head_score = CASE WHEN head_score < :score THEN head_score ELSE :score END
        WHERE queue_id = :queue_id AND lane_key = :lane_key RETURNING id""",
    str,
)
_INSERT_LANE = Statement(
    """INSERT INTO lane (id, environment_id, queue_id, lane_key, head_score, capacity, paused, blocked)
       VALUES (:id, :environment_id, :queue_id, :lane_key, :score, :capacity, :paused, :blocked)"""
)
_DUE_LANES = Query(
    """SELECT id, queue_id, lane_key, held, capacity FROM lane
        WHERE environment_id = :environment_id AND head_score IS NOT NULL AND blocked = 0
          AND head_score <= :now
        ORDER BY head_score LIMIT :count""",
    LaneRow,
)
_NEXT_DUE = Query(
    """SELECT min(head_score) FROM lane
        WHERE environment_id = :environment_id AND head_score IS NOT NULL AND blocked = 0
          AND head_score > :now""",
    lambda score: score,
)
_TAKE = Statement(
    f"""UPDATE lane SET held = held + :count, head_score = {_HEAD},
          blocked = {_BLOCKED.format(held="held + :count", capacity="capacity")} WHERE id = :id"""
)
_RELEASE = Statement(
    f"""UPDATE lane SET held = held - 1,
          blocked = {_BLOCKED.format(held="held - 1", capacity="capacity")} WHERE id = :id"""
)
_RENEW_HEAD = Statement(f"UPDATE lane SET head_score = {_HEAD} WHERE id = :id")
_DROP_EMPTY = Statement(
    "DELETE FROM lane WHERE id = :id AND head_score IS NULL AND held = 0 AND lane_key <> ''"
)
_REFRESH = Statement(
    """UPDATE lane SET capacity = :capacity, paused = :paused,
          blocked = CASE WHEN :paused = 1 OR held >= :capacity THEN 1 ELSE 0 END
        WHERE queue_id = :queue_id"""
)
_HELD_BY_RUNS = """(SELECT count(*) FROM run
    WHERE run.worker_id IS NOT NULL AND run.holds_slot = 1 AND run.lane_id = lane.id)"""
_REPAIR = Statement(
    f"""UPDATE lane SET held = {_HELD_BY_RUNS}, head_score = {_HEAD},
          blocked = {_BLOCKED.format(held=_HELD_BY_RUNS, capacity="capacity")}"""
)
_COUNT_QUEUED = Query(
    """SELECT count(*) FROM (SELECT 1 FROM run JOIN lane ON run.lane_id = lane.id
        WHERE lane.queue_id = :queue_id AND run.queued = 1 LIMIT :most) AS waiting""",
    int,
)
_AHEAD = Query(
    """SELECT count(*) FROM (SELECT 1 FROM run
        WHERE lane_id = :lane_id AND queued = 1 AND (score < :score OR (score = :score AND id < :id))
        LIMIT :most) AS ahead""",
    int,
)
_LANE_OF = Query(
    """SELECT id, queue_id, lane_key, held, capacity FROM lane
        WHERE queue_id = :queue_id AND lane_key = :lane_key""",
    LaneRow,
)
_GET_LANE = Query("SELECT id, queue_id, lane_key, held, capacity FROM lane WHERE id = :id", LaneRow)


def find_queue(tx: Reader, environment_id: str, name: str) -> QueueRow | None:
    return tx.first(_FIND, environment_id=environment_id, name=name)


def get_queue(tx: Reader, queue_id: str) -> QueueRow:
    found = tx.first(_GET, id=queue_id)
    if found is None:
        raise LookupError(f"no queue {queue_id}")
    return found


def list_queues(tx: Reader, environment_id: str) -> list[QueueRow]:
    return tx.all(_LIST, environment_id=environment_id)


def insert_queue(
    tx: Tx, environment_id: str, *, name: str, kind: str, concurrency_limit: int | None
) -> QueueRow:
    new = tx.new_id("queue")
    tx.run(
        _INSERT,
        id=new,
        environment_id=environment_id,
        name=name,
        kind=kind,
        concurrency_limit=concurrency_limit,
        now=tx.now,
    )
    return QueueRow(new, environment_id, name, kind, concurrency_limit, 0)


def update_queue_limit(tx: Tx, queue_id: str, concurrency_limit: int | None) -> None:
    tx.run(_SET_LIMIT, id=queue_id, concurrency_limit=concurrency_limit)


def update_queue_paused(tx: Tx, queue_id: str, *, paused: bool) -> None:
    tx.run(_SET_PAUSED, id=queue_id, paused=int(paused))


def join_lane(tx: Tx, queue_id: str, *, lane_key: str, score: int) -> str | None:
    """Announce a waiting run to its lane; returns the lane's id, or None when there is no such lane yet."""
    return tx.first(_JOIN_LANE, queue_id=queue_id, lane_key=lane_key, score=score)


def insert_lane(tx: Tx, queue: QueueRow, *, lane_key: str, score: int | None, capacity: int) -> str:
    """Make a lane whose first waiting run has this order key, None without one; returns its id."""
    lane_id = tx.new_id("lane")
    tx.run(
        _INSERT_LANE,
        id=lane_id,
        environment_id=queue.environment_id,
        queue_id=queue.id,
        lane_key=lane_key,
        score=score,
        capacity=capacity,
        paused=queue.paused,
        blocked=int(bool(queue.paused) or capacity <= 0),
    )
    return lane_id


def list_due_lanes(tx: Reader, environment_id: str, *, count: int) -> list[LaneRow]:
    """Lanes with a run that may start now, oldest head first."""
    return tx.all(_DUE_LANES, environment_id=environment_id, now=tx.now, count=count)


def find_next_due(tx: Reader, environment_id: str) -> int | None:
    """When the next lane whose first run waits for its time may be served (Unix ms), or None."""
    return tx.first(_NEXT_DUE, environment_id=environment_id, now=tx.now)


def take_slots(tx: Tx, lane_id: str, count: int) -> None:
    """Count `count` slots as held and find the lane's new head."""
    tx.run(_TAKE, id=lane_id, count=count)


def release_slot(tx: Tx, lane_id: str) -> None:
    tx.run(_RELEASE, id=lane_id)


def renew_head(tx: Tx, lane_id: str) -> None:
    """Find the lane's head again after a run left or joined it in the middle."""
    tx.run(_RENEW_HEAD, id=lane_id)


def drop_lane_if_empty(tx: Tx, lane_id: str) -> None:
    """Forget the lane of a concurrency key that nobody waits in or runs from (Q-13)."""
    tx.run(_DROP_EMPTY, id=lane_id)


def refresh_lanes(tx: Tx, queue_id: str, *, capacity: int, paused: int) -> None:
    """Tell a queue's lanes of a new limit or pause; no run is touched (Q-18)."""
    tx.run(_REFRESH, queue_id=queue_id, capacity=capacity, paused=paused)


def repair_lanes(tx: Tx) -> None:
    """Recount every lane from the runs themselves."""
    tx.run(_REPAIR)


def count_queued(tx: Reader, queue_id: str, *, most: int) -> int:
    """How many runs wait in a queue, counted up to `most`."""
    return tx.first(_COUNT_QUEUED, queue_id=queue_id, most=most) or 0


def count_ahead(tx: Reader, *, lane_id: str, score: int, run_id: str, most: int) -> int:
    """How many runs leave the lane before this one, counted up to `most`."""
    return tx.first(_AHEAD, lane_id=lane_id, score=score, id=run_id, most=most) or 0


def find_lane(tx: Reader, lane_id: str) -> LaneRow | None:
    return tx.first(_GET_LANE, id=lane_id)


def find_lane_of(tx: Reader, queue_id: str, lane_key: str) -> LaneRow | None:
    """The lane of a queue's concurrency key, if anybody waits in it or runs from it."""
    return tx.first(_LANE_OF, queue_id=queue_id, lane_key=lane_key)
