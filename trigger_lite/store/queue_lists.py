"""Queues as they are looked at: with what runs from them and what waits in them."""

from typing import Any, NamedTuple

from sqlalchemy import or_, select

from trigger_lite.store import schema
from trigger_lite.store.query import Query
from trigger_lite.store.queues import QUEUE_COLUMNS, QueueRow
from trigger_lite.store.transaction import Reader


class QueueLoad(NamedTuple):
    """A queue; `running` counts runs with a slot, `waiting` runs in line, over all of its lanes (Q-25).

    `oldest` is the order key of the first run in line (Unix ms).
    """

    queue: QueueRow
    running: int
    waiting: int
    oldest: int | None


class LaneLoad(NamedTuple):
    """The lane of a concurrency key: `=` and the key, or nothing for runs without one."""

    lane_key: str
    running: int
    waiting: int


def _load(*columns: Any) -> QueueLoad:
    return QueueLoad(QueueRow(*columns[:-3]), *columns[-3:])


_LOADS = f"""SELECT {QUEUE_COLUMNS},
      (SELECT coalesce(sum(held), 0) FROM lane WHERE lane.queue_id = queue.id),
      (SELECT coalesce(sum(waiting), 0) FROM lane WHERE lane.queue_id = queue.id),
      (SELECT min(head_score) FROM lane WHERE lane.queue_id = queue.id)
     FROM queue"""
_PAGE = Query(
    _LOADS + " WHERE environment_id = :environment_id ORDER BY name LIMIT :count OFFSET :skip", _load
)
_ONE = Query(_LOADS + " WHERE id = :id", _load)
_COUNT = Query("SELECT count(*) FROM queue WHERE environment_id = :environment_id", int)


def list_loads(tx: Reader, environment_id: str, *, count: int, skip: int) -> list[QueueLoad]:
    """A page of an environment's queues, by name."""
    return tx.all(_PAGE, environment_id=environment_id, count=count, skip=skip)


def get_load(tx: Reader, queue_id: str) -> QueueLoad:
    found = tx.first(_ONE, id=queue_id)
    if found is None:
        raise LookupError(f"no queue {queue_id}")
    return found


def list_lanes(tx: Reader, queue_id: str, *, count: int) -> list[LaneLoad]:
    """The lanes of a queue with the most runs in line."""
    lane = schema.lane.c
    wanted = (
        select(lane.lane_key, lane.held, lane.waiting)
        .where(lane.queue_id == queue_id, or_(lane.held > 0, lane.waiting > 0))
        .order_by(lane.waiting.desc(), lane.held.desc(), lane.lane_key)
        .limit(count)
    )
    return [LaneLoad._make(columns) for columns in tx.select(wanted)]


def count_queues(tx: Reader, environment_id: str) -> int:
    return tx.first(_COUNT, environment_id=environment_id) or 0
