"""Runs that were put in line at a time that is later than now: the machine's clock was set back."""

from trigger_lite.store.query import Query, Statement
from trigger_lite.store.transaction import Reader, Tx

_AHEAD = Query(
    """SELECT id FROM run WHERE lane_id > '' AND queued = 1 AND score > :now AND updated_at > :now
        LIMIT :count""",
    str,
)
_RENEW_HEADS = Statement(
    """UPDATE lane SET head_score =
         (SELECT min(score) FROM run WHERE run.lane_id = lane.id AND run.queued = 1)
        WHERE id = :id"""
)


def list_ahead(tx: Reader, *, count: int) -> list[str]:
    """Waiting runs that were last moved in what is the future again, and may start only then."""
    return tx.all(_AHEAD, now=tx.now, count=count)


def renew_head(tx: Tx, lane_id: str) -> None:
    """Find the head of a lane anew after the order keys of its runs changed."""
    tx.run(_RENEW_HEADS, id=lane_id)
