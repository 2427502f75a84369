"""Log lines of one run, narrowed by level; what a page shows."""

from collections.abc import Sequence
from typing import Final

from trigger_lite.store.logs import LogRow
from trigger_lite.store.query import Query
from trigger_lite.store.transaction import Reader

LEVELS: Final = ("TRACE", "DEBUG", "INFO", "LOG", "WARN", "ERROR")
"""From the least to the most urgent."""

_OF_LEVEL: Final = f"level IN ({', '.join(f':level{n}' for n in range(len(LEVELS)))})"
_COLUMNS: Final = ", ".join(LogRow._fields)
_AFTER = Query(
    f"""SELECT {_COLUMNS} FROM log WHERE run_id = :run_id AND seq > :after AND {_OF_LEVEL}
         ORDER BY seq LIMIT :count""",
    LogRow,
)
_BEFORE = Query(
    f"""SELECT {_COLUMNS} FROM log WHERE run_id = :run_id AND seq < :before AND {_OF_LEVEL}
         ORDER BY seq DESC LIMIT :count""",
    LogRow,
)


def levels_from(least: str) -> tuple[str, ...]:
    """Return the levels at least as urgent as this one; INFO and LOG are one."""
    return LEVELS[LEVELS.index("INFO" if least == "LOG" else least) :]


def list_after(tx: Reader, run_id: str, levels: Sequence[str], *, after: int, count: int) -> list[LogRow]:
    """Lines later than `after`, oldest first."""
    return tx.all(_AFTER, run_id=run_id, after=after, count=count, **_binds(levels))


def list_newest(tx: Reader, run_id: str, levels: Sequence[str], *, before: int, count: int) -> list[LogRow]:
    """The newest `count` lines earlier than `before`, oldest first."""
    return tx.all(_BEFORE, run_id=run_id, before=before, count=count, **_binds(levels))[::-1]


def _binds(levels: Sequence[str]) -> dict[str, str]:
    # The same number of binds every time, so that the statement stays one constant.
    return {f"level{n}": levels[min(n, len(levels) - 1)] for n in range(len(LEVELS))}
