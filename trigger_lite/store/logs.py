"""Log lines of runs, in the telemetry database."""

from collections.abc import Sequence
from typing import NamedTuple

from trigger_lite.store.query import Insert, Query
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


def last_seq(tx: Reader) -> int:
    return tx.first(_LAST) or 0


def insert_lines(tx: Tx, lines: Sequence[LogRow]) -> None:
    tx.insert_many(_INSERT, lines)


def list_lines_after(tx: Reader, run_id: str, *, after: int, count: int) -> list[LogRow]:
    """Lines of a run later than `after`, oldest first."""
    return tx.all(_AFTER, run_id=run_id, after=after, count=count)
