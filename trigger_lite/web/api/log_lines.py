"""Log lines as the API and the commands show them."""

from typing import Any

import orjson

from trigger_lite.protocol.statuses import TERMINAL, RunStatus
from trigger_lite.store import logs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Reader


def read_lines(tx: Reader, run_id: str, after: int, count: int) -> list[dict[str, Any]]:
    """Read lines of a run later than `after`, oldest first."""
    return [_line(row) for row in logs.list_lines_after(tx, run_id, after=after, count=count)]


def _line(row: logs.LogRow) -> dict[str, Any]:
    line = {
        "seq": row.seq,
        "at": row.at,
        "level": row.level,
        "source": row.source,
        "message": row.message,
        "attempt": row.attempt,
    }
    if row.attributes is not None:
        line["attributes"] = orjson.loads(row.attributes)
    return line


def finished_log(run: RunRow, lines: list[dict[str, Any]], limit: int) -> bool:
    """Tell whether no more lines will come: the run is over and this was the last page.

    A worker ships the lines of a run before its completion, so a finished run has all of them.
    """
    return RunStatus(run.status) in TERMINAL and run.completed_at is not None and len(lines) < limit
