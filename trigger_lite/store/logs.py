"""Log lines of runs, in the telemetry database."""

from collections.abc import Sequence
from typing import NamedTuple

from trigger_lite.store.query import Insert, Query, Statement
from trigger_lite.store.transaction import Reader, Tx


class LogRow(NamedTuple):
    """One line; `seq` orders all lines of the database, `at` is Unix ms, `attributes` JSON."""

    seq: int
    run_id: str
    attempt: int
    at: int
    level: str
    source: str
    message: str
    attributes: str | None


_COLUMNS = ", ".join(LogRow._fields)
_INSERT = Insert("log", LogRow._fields)
_LAST = Query("SELECT max(seq) FROM log", lambda seq: int(seq or 0))
_AFTER = Query(
    f"SELECT {_COLUMNS} FROM log WHERE run_id = :run_id AND seq > :after ORDER BY seq LIMIT :count", LogRow
)
_OLDEST = Query("SELECT seq, at FROM log ORDER BY seq LIMIT :count", lambda seq, at: (int(seq), int(at)))
_DELETE_OLD = Statement("DELETE FROM log WHERE seq <= :upto AND (at < :before OR at > :now)")
_HAS_LINES = Query("SELECT run_id FROM log WHERE run_id = :run_id LIMIT 1", str)
_DELETE_OF = Statement(
    """DELETE FROM log WHERE seq IN
         (SELECT seq FROM log WHERE run_id = :run_id ORDER BY seq LIMIT :count)"""
)


def last_seq(tx: Reader) -> int:
    return tx.first(_LAST) or 0


def insert_lines(tx: Tx, lines: Sequence[LogRow]) -> None:
    tx.insert_many(_INSERT, lines)


def list_lines_after(tx: Reader, run_id: str, *, after: int, count: int) -> list[LogRow]:
    """Lines of a run later than `after`, oldest first."""
    return tx.all(_AFTER, run_id=run_id, after=after, count=count)


def delete_old_lines(tx: Tx, *, before: int, count: int) -> int:
    """Delete the lines written before a time (Unix ms) among the first `count`; returns how many.

    A worker's clock may be wrong: a line of the future goes with those that came after it.
    """
    old = [seq for seq, at in tx.all(_OLDEST, count=count) if at < before]
    return tx.run(_DELETE_OLD, upto=old[-1], before=before, now=tx.now) if old else 0


def list_with_lines(tx: Reader, run_ids: Sequence[str]) -> list[str]:
    """Those of some runs that have lines."""
    return [run_id for run_id in run_ids if tx.first(_HAS_LINES, run_id=run_id) is not None]


def delete_lines_of(tx: Tx, run_id: str, *, count: int) -> int:
    """Delete up to `count` lines of a run; returns how many."""
    return tx.run(_DELETE_OF, run_id=run_id, count=count)
