"""Queues and their lanes. A lane is the waiting line of one concurrency key of one queue."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from trigger_lite.store.query import Query, Statement
from trigger_lite.store.transaction import Reader, Tx


class CodeLimits(NamedTuple):
    """What the code says of a queue: None where it says nothing. Rates: starts, per ms, starts at once."""

    concurrency_limit: int | None = None
    max_length: int | None = None
    rate_count: int | None = None
    rate_period_ms: int | None = None
    rate_burst: int | None = None
    key_rate_count: int | None = None
    key_rate_period_ms: int | None = None
    key_rate_burst: int | None = None

    @property
    def is_rated(self) -> bool:
        return self.rate_count is not None or self.key_rate_count is not None


NO_LIMITS: Final = CodeLimits()


class QueueRow(NamedTuple):
    """A queue with the limits of its code and the override that may win over the first of them (Q-36)."""

    id: str
    environment_id: str
    name: str
    kind: str  # task or custom
    paused: int
    limit_override: int | None = None
    override_percent: int | None = None  # hundredths of a percent
    overridden_at: int | None = None
    overridden_by: str | None = None
    override_ends_at: int | None = None
    concurrency_limit: int | None = None
    max_length: int | None = None
    rate_count: int | None = None
    rate_period_ms: int | None = None
    rate_burst: int | None = None
    key_rate_count: int | None = None
    key_rate_period_ms: int | None = None
    key_rate_burst: int | None = None

    @property
    def code(self) -> CodeLimits:
        """What the code says: the last columns."""
        return CodeLimits._make(self[-len(CodeLimits._fields) :])

    @property
    def limit(self) -> int | None:
        """The limit in force, before the environment's."""
        return self.concurrency_limit if self.overridden_at is None else self.limit_override


class LaneRow(NamedTuple):
    id: str
    queue_id: str
    lane_key: str
    held: int
    capacity: int
    head_score: int | None
    rated: int
    rate_at: int


QUEUE_COLUMNS: Final = ", ".join(QueueRow._fields)
_QUEUE = f"SELECT {QUEUE_COLUMNS} FROM queue"
_FIND = Query(_QUEUE + " WHERE environment_id = :environment_id AND name = :name", QueueRow)
_GET = Query(_QUEUE + " WHERE id = :id", QueueRow)
_FIND_IN = Query(_QUEUE + " WHERE id = :id AND environment_id = :environment_id", QueueRow)
_LIST = Query(_QUEUE + " WHERE environment_id = :environment_id ORDER BY name", QueueRow)
_INSERT = Statement(
    f"""INSERT INTO queue (id, environment_id, name, kind, created_at, {", ".join(CodeLimits._fields)})
        VALUES (:id, :environment_id, :name, :kind, :now, :{", :".join(CodeLimits._fields)})"""
)
_SET_CODE = Statement(
    f"UPDATE queue SET {', '.join(f'{name} = :{name}' for name in CodeLimits._fields)} WHERE id = :id"
)
_SET_OVERRIDE = Statement(
    """UPDATE queue SET limit_override = :limit, override_percent = :percent, overridden_at = :at,
          overridden_by = :by, override_ends_at = :ends_at
        WHERE id = :id"""
)
_ENDED_OVERRIDES = Query(
    _QUEUE
    + """ WHERE override_ends_at IS NOT NULL AND override_ends_at <= :now
          ORDER BY override_ends_at LIMIT :count""",
    QueueRow,
)
_NEXT_OVERRIDE_END = Query(
    "SELECT min(override_ends_at) FROM queue WHERE override_ends_at IS NOT NULL", lambda at: at
)
_SET_PAUSED = Statement("UPDATE queue SET paused = :paused WHERE id = :id")


# Lane statements. `blocked` is always recomputed by the same expression.
def blocked(
    *, held: str = "held", capacity: str = "capacity", paused: str = "paused", not_before: str = "not_before"
) -> str:
    """Return the SQL of `lane.blocked`, for the values that its columns are about to have."""
    return f"CASE WHEN {paused} = 1 OR {held} >= {capacity} OR {not_before} > 0 THEN 1 ELSE 0 END"


LANE = f"SELECT {', '.join(LaneRow._fields)} FROM lane"
HEAD = "(SELECT min(score) FROM run WHERE run.lane_id = lane.id AND run.queued = 1)"
# A key's bucket outlives the last run in line until it is full, for the next run of the key to find it.
PARKED = f"CASE WHEN rate_at > 0 AND {HEAD} IS NULL THEN rate_at / 1000000 + 1 ELSE not_before END"
_JOIN_LANE = Query(
    """UPDATE lane SET head_score = CASE WHEN head_score < :score THEN head_score ELSE :score END,
          waiting = waiting + 1
        WHERE queue_id = :queue_id AND lane_key = :lane_key RETURNING id""",
    str,
)
_INSERT_LANE = Statement(
    """INSERT INTO lane (id, environment_id, queue_id, lane_key, head_score, waiting, capacity, paused, rated,
          blocked)
       VALUES (:id, :environment_id, :queue_id, :lane_key, :score, :waiting, :capacity, :paused, :rated,
          :blocked)"""
)
_DUE_LANES = Query(
    LANE
    + """ WHERE environment_id = :environment_id AND head_score IS NOT NULL AND blocked = 0 AND rated = 0
            AND head_score <= :now
          ORDER BY head_score LIMIT :count""",
    LaneRow,
)
_NEXT_DUE = Query(
    """SELECT min(head_score) FROM lane
        WHERE environment_id = :environment_id AND head_score IS NOT NULL AND blocked = 0 AND rated = 0
          AND head_score > :now""",
    lambda score: score,
)
_TAKE = Statement(
    f"""UPDATE lane SET held = held + :count, waiting = waiting - :count, head_score = {HEAD},
          blocked = {blocked(held="held + :count")} WHERE id = :id"""
)
_HOLD = Statement(f"UPDATE lane SET held = held + 1, blocked = {blocked(held='held + 1')} WHERE id = :id")
_RELEASE = Statement(f"UPDATE lane SET held = held - 1, blocked = {blocked(held='held - 1')} WHERE id = :id")
_LEAVE_LANE = Statement(
    f"""UPDATE lane SET waiting = waiting - 1, head_score = {HEAD}, not_before = {PARKED},
          blocked = {blocked(not_before=PARKED)} WHERE id = :id"""
)
_DROP_EMPTY = Statement(
    """DELETE FROM lane
        WHERE id = :id AND head_score IS NULL AND held = 0 AND lane_key <> '' AND rate_at = 0"""
)
_REFRESH = Statement(
    f"""UPDATE lane SET capacity = :capacity, paused = :paused,
          blocked = {blocked(capacity=":capacity", paused=":paused")}
        WHERE queue_id = :queue_id"""
)
_HELD_BY_RUNS = """(SELECT count(*) FROM run
    WHERE run.worker_id IS NOT NULL AND run.holds_slot = 1 AND run.lane_id = lane.id)"""
_REPAIR = Statement(
    f"""UPDATE lane SET held = {_HELD_BY_RUNS}, head_score = {HEAD},
          waiting = (SELECT count(*) FROM run WHERE run.lane_id = lane.id AND run.queued = 1),
          not_before = {PARKED}, blocked = {blocked(held=_HELD_BY_RUNS, not_before=PARKED)}
        WHERE id = :id"""
)
_COUNT_WAITING = Query(
    """SELECT coalesce(sum(waiting), 0) FROM (SELECT waiting FROM lane
        WHERE queue_id = :queue_id AND waiting > 0 LIMIT :most) AS lanes""",
    int,
)
_AHEAD = Query(
    """SELECT count(*) FROM (SELECT 1 FROM run
        WHERE lane_id = :lane_id AND queued = 1 AND (score < :score OR (score = :score AND id < :id))
        LIMIT :most) AS ahead""",
    int,
)
_LANE_OF = Query(LANE + " WHERE queue_id = :queue_id AND lane_key = :lane_key", LaneRow)
_GET_LANE = Query(LANE + " WHERE id = :id", LaneRow)


def find_queue(tx: Reader, environment_id: str, name: str) -> QueueRow | None:
    return tx.first(_FIND, environment_id=environment_id, name=name)


def find_queue_in(tx: Reader, environment_id: str, queue_id: str) -> QueueRow | None:
    """The queue, if it is one of this environment."""
    return tx.first(_FIND_IN, id=queue_id, environment_id=environment_id)


def get_queue(tx: Reader, queue_id: str) -> QueueRow:
    found = tx.first(_GET, id=queue_id)
    if found is None:
        raise LookupError(f"no queue {queue_id}")
    return found


def list_queues(tx: Reader, environment_id: str) -> list[QueueRow]:
    return tx.all(_LIST, environment_id=environment_id)


def insert_queue(
    tx: Tx, environment_id: str, *, name: str, kind: str, code: CodeLimits = NO_LIMITS
) -> QueueRow:
    new = tx.new_id("queue")
    tx.run(
        _INSERT,
        id=new,
        environment_id=environment_id,
        name=name,
        kind=kind,
        now=tx.now,
        **code._asdict(),
    )
    return QueueRow(new, environment_id, name, kind, 0, **code._asdict())


def update_queue_code(tx: Tx, queue_id: str, code: CodeLimits) -> None:
    tx.run(_SET_CODE, id=queue_id, **code._asdict())


def update_queue_override(
    tx: Tx, queue_id: str, limit: int, *, percent: int | None, by: str | None, at: int, ends_at: int | None
) -> None:
    """Let this limit win over the code's; `percent` in hundredths says what it was made of."""
    tx.run(_SET_OVERRIDE, id=queue_id, limit=limit, percent=percent, at=at, by=by, ends_at=ends_at)


def delete_queue_override(tx: Tx, queue_id: str) -> None:
    tx.run(_SET_OVERRIDE, id=queue_id, limit=None, percent=None, at=None, by=None, ends_at=None)


def list_ended_overrides(tx: Reader, *, count: int) -> list[QueueRow]:
    """Queues whose override was to hold until now."""
    return tx.all(_ENDED_OVERRIDES, now=tx.now, count=count)


def find_next_override_end(tx: Reader) -> int | None:
    return tx.first(_NEXT_OVERRIDE_END)


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
        waiting=int(score is not None),
        capacity=capacity,
        paused=queue.paused,
        rated=int(queue.code.is_rated),
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
    """Count `count` slots as held by runs that waited in the lane, and find its new head."""
    tx.run(_TAKE, id=lane_id, count=count)


def hold_slot(tx: Tx, lane_id: str) -> None:
    """Count a slot as held by a run that did not wait in the lane."""
    tx.run(_HOLD, id=lane_id)


def release_slot(tx: Tx, lane_id: str) -> None:
    tx.run(_RELEASE, id=lane_id)


def leave_lane(tx: Tx, lane_id: str) -> None:
    """Count one run less in line, and find the lane's head again."""
    tx.run(_LEAVE_LANE, id=lane_id)


def drop_lane_if_empty(tx: Tx, lane_id: str) -> None:
    """Forget the lane of a concurrency key that nobody waits in or runs from (Q-13)."""
    tx.run(_DROP_EMPTY, id=lane_id)


def refresh_lanes(tx: Tx, queue_id: str, *, capacity: int, paused: int) -> None:
    """Tell a queue's lanes of a new limit or pause; no run is touched (Q-18)."""
    tx.run(_REFRESH, queue_id=queue_id, capacity=capacity, paused=paused)


def repair_lanes(tx: Tx, lane_ids: Sequence[str]) -> None:
    """Recount lanes from the runs themselves."""
    tx.run_many(_REPAIR, [{"id": lane_id} for lane_id in lane_ids])


def count_waiting(tx: Reader, queue_id: str, *, most: int) -> int:
    """How many runs wait in a queue: exactly up to `most`, at least that many beyond (Q-20)."""
    return tx.first(_COUNT_WAITING, queue_id=queue_id, most=most) or 0


def count_ahead(tx: Reader, *, lane_id: str, score: int, run_id: str, most: int) -> int:
    """How many runs leave the lane before this one, counted up to `most`."""
    return tx.first(_AHEAD, lane_id=lane_id, score=score, id=run_id, most=most) or 0


def find_lane(tx: Reader, lane_id: str) -> LaneRow | None:
    return tx.first(_GET_LANE, id=lane_id)


def find_lane_of(tx: Reader, queue_id: str, lane_key: str) -> LaneRow | None:
    """The lane of a queue's concurrency key, if anybody waits in it or runs from it."""
    return tx.first(_LANE_OF, queue_id=queue_id, lane_key=lane_key)
