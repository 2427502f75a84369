"""Rates of queues and of their keys: the buckets, and the lanes that wait for a token.

The lanes of a queue with a rate are found through their queue, so that a queue without tokens costs one row
however many lanes it has. A lane whose own bucket is empty is parked until its next token comes.
"""

from typing import NamedTuple

from trigger_lite.store.query import Query, Statement
from trigger_lite.store.queues import HEAD, LANE, CodeLimits, LaneRow, blocked
from trigger_lite.store.transaction import Reader, Tx


class MeterRow(NamedTuple):
    """A queue with a rate. `rate_at` is when its bucket is full again (Unix ns).

    `head_score` is that of its first lane that is free to start, `first_parked` and `last_parked` when the
    first and the last of its parked lanes are to be looked at (Unix ms).
    """

    queue_id: str
    rate_count: int | None
    rate_period_ms: int | None
    rate_burst: int | None
    key_rate_count: int | None
    key_rate_period_ms: int | None
    key_rate_burst: int | None
    rate_at: int
    head_score: int | None
    first_parked: int | None
    last_parked: int | None


_METERS = Query(
    f"""SELECT * FROM (
          SELECT id, {", ".join(CodeLimits._fields[2:])}, rate_at,
              (SELECT min(head_score) FROM lane WHERE lane.queue_id = queue.id
                  AND head_score IS NOT NULL AND blocked = 0 AND rated = 1) AS head_score,
              (SELECT min(not_before) FROM lane
                WHERE lane.queue_id = queue.id AND not_before > 0) AS first_parked,
              (SELECT max(not_before) FROM lane
                WHERE lane.queue_id = queue.id AND not_before > 0) AS last_parked
            FROM queue WHERE environment_id = :environment_id
                AND (rate_count IS NOT NULL OR key_rate_count IS NOT NULL)) AS meter
        WHERE head_score IS NOT NULL OR first_parked IS NOT NULL""",
    MeterRow,
)
_RATED_LANES = Query(
    LANE
    + """ WHERE queue_id = :queue_id AND head_score IS NOT NULL AND blocked = 0 AND rated = 1
            AND head_score <= :now
          ORDER BY head_score LIMIT :count""",
    LaneRow,
)
_SPEND = Statement("UPDATE queue SET rate_at = :rate_at WHERE id = :queue_id")
_KEPT = "CASE WHEN rate_at > :fullest THEN :fullest ELSE rate_at END"
_RATE_AT = Query("SELECT rate_at FROM queue WHERE id = :queue_id", int)
_BOUND = Statement(f"UPDATE queue SET rate_at = {_KEPT} WHERE id = :queue_id")
# An emptied lane is parked until its bucket is full, another one for as long as it is told.
_TAKEN_UNTIL = f"CASE WHEN :full_at > 0 AND {HEAD} IS NULL THEN :full_at ELSE :not_before END"
_TAKE = Statement(
    f"""UPDATE lane SET held = held + :count, waiting = waiting - :count, head_score = {HEAD},
          rate_at = :rate_at, not_before = {_TAKEN_UNTIL},
          blocked = {blocked(held="held + :count", not_before=_TAKEN_UNTIL)} WHERE id = :id"""
)
# Who comes to an emptied lane does not wait until its bucket is full, but takes what is in it.
_JOINED_UNTIL = "CASE WHEN head_score IS NULL THEN 0 ELSE not_before END"
_JOIN = Query(
    f"""UPDATE lane SET head_score = CASE WHEN head_score < :score THEN head_score ELSE :score END,
          waiting = waiting + 1, not_before = {_JOINED_UNTIL}, blocked = {blocked(not_before=_JOINED_UNTIL)}
        WHERE queue_id = :queue_id AND lane_key = :lane_key RETURNING id""",
    str,
)
_DUE = """id IN (SELECT id FROM lane WHERE queue_id = :queue_id AND not_before > 0 AND not_before <= :now
    ORDER BY not_before LIMIT :count)"""
_DROP_FULL = Statement(
    f"DELETE FROM lane WHERE head_score IS NULL AND held = 0 AND lane_key <> '' AND {_DUE}"
)
_RELEASE = Statement(
    f"""UPDATE lane SET rate_at = CASE WHEN head_score IS NULL THEN 0 ELSE rate_at END,
          not_before = 0, blocked = {blocked(not_before="0")} WHERE {_DUE}"""
)
_BROUGHT_BACK = "CASE WHEN head_score IS NULL THEN :latest ELSE 0 END"
_BRING_BACK = Statement(
    f"""UPDATE lane SET not_before = {_BROUGHT_BACK}, blocked = {blocked(not_before=_BROUGHT_BACK)}
        WHERE queue_id = :queue_id AND not_before > 0 AND not_before > :latest"""
)
_KEPT_UNTIL = f"CASE WHEN head_score IS NULL AND {_KEPT} > 0 THEN {_KEPT} / 1000000 + 1 ELSE 0 END"
_REFRESH = Statement(
    f"""UPDATE lane SET rated = :rated, rate_at = {_KEPT}, not_before = {_KEPT_UNTIL},
          blocked = {blocked(not_before=_KEPT_UNTIL)} WHERE queue_id = :queue_id"""
)
_DROP_EMPTY = Statement(
    """DELETE FROM lane WHERE queue_id = :queue_id
        AND head_score IS NULL AND held = 0 AND lane_key <> '' AND rate_at = 0"""
)


def list_meters(tx: Reader, environment_id: str) -> list[MeterRow]:
    """The queues of an environment that have a rate, and a run that waits or a lane that is parked."""
    return tx.all(_METERS, environment_id=environment_id)


def list_rated_lanes(tx: Reader, queue_id: str, *, count: int) -> list[LaneRow]:
    """Lanes of a queue with a rate that may start a run now, oldest head first."""
    return tx.all(_RATED_LANES, queue_id=queue_id, now=tx.now, count=count)


def get_rate_at(tx: Reader, queue_id: str) -> int:
    """When the bucket of a queue is full again (Unix ns)."""
    return tx.first(_RATE_AT, queue_id=queue_id) or 0


def update_rate_at(tx: Tx, queue_id: str, rate_at: int) -> None:
    """Keep when the bucket of a queue is full again (Unix ns)."""
    tx.run(_SPEND, queue_id=queue_id, rate_at=rate_at)


def bound_rate_at(tx: Tx, queue_id: str, fullest: int) -> None:
    """Let the bucket of a queue be full at `fullest` (Unix ns), if it would not be sooner."""
    tx.run(_BOUND, queue_id=queue_id, fullest=fullest)


def take_rated_slots(
    tx: Tx, lane_id: str, count: int, *, rate_at: int, full_at: int, not_before: int
) -> None:
    """Count slots as held, and keep what is left in the lane's bucket.

    It is full again at `rate_at` (Unix ns) or `full_at` (Unix ms), both 0 when it is now. `not_before` is
    when it has its next token (Unix ms), 0 when it has one.
    """
    tx.run(_TAKE, id=lane_id, count=count, rate_at=rate_at, full_at=full_at, not_before=not_before)


def join_rated_lane(tx: Tx, queue_id: str, *, lane_key: str, score: int) -> str | None:
    """Announce a waiting run to its lane; returns the lane's id, or None when there is no such lane yet."""
    return tx.first(_JOIN, queue_id=queue_id, lane_key=lane_key, score=score)


def release_parked(tx: Tx, queue_id: str, *, count: int) -> None:
    """Let parked lanes start runs again whose time has come, and forget those that nobody waits in."""
    tx.run(_DROP_FULL, queue_id=queue_id, now=tx.now, count=count)
    tx.run(_RELEASE, queue_id=queue_id, now=tx.now, count=count)


def bring_back(tx: Tx, queue_id: str, *, latest: int) -> None:
    """Let lanes be looked at that are parked for later than any can be: the clock was set back."""
    tx.run(_BRING_BACK, queue_id=queue_id, latest=latest)


def refresh_rates(tx: Tx, queue_id: str, *, is_rated: bool, fullest: int) -> None:
    """Tell the lanes of a queue of another rate; every key is looked at again.

    `fullest` is when an empty bucket would be full (Unix ns), 0 when keys have no rate any more.
    """
    tx.run(_REFRESH, queue_id=queue_id, rated=int(is_rated), fullest=fullest)
    tx.run(_DROP_EMPTY, queue_id=queue_id)
