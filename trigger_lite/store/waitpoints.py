"""Waitpoints, and which run waits for which."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select

from trigger_lite.store import schema
from trigger_lite.store.query import Insert, Query, Statement
from trigger_lite.store.transaction import Reader, Tx


class WaitpointRow(NamedTuple):
    """A waitpoint without its output. Times in Unix ms; `tags` is a JSON list."""

    id: str
    environment_id: str
    kind: str
    status: str
    idempotency_key: str | None = None
    idempotency_expires_at: int | None = None
    completes_run: str | None = None
    completes_batch: str | None = None
    due_at: int | None = None
    output_type: str | None = None
    is_error: int = 0
    tags: str = "[]"
    created_at: int = 0
    completed_at: int | None = None


class EdgeRow(NamedTuple):
    """A run waits for a waitpoint; `batch_index` is -1 outside a batch."""

    run_id: str
    waitpoint_id: str
    batch_index: int
    batch_id: str | None


class EndedRow(NamedTuple):
    """A completed waitpoint with what completed it: its own output, or the result of the run."""

    waitpoint: WaitpointRow
    output: str | None
    run_output: str | None
    run_output_type: str | None
    run_error: str | None
    run_status: str | None


_COLUMNS = ", ".join(WaitpointRow._fields)
_WAITPOINT = f"SELECT {_COLUMNS} FROM waitpoint"
_FIND = Query(_WAITPOINT + " WHERE id = :id", WaitpointRow)
_FIND_IN = Query(_WAITPOINT + " WHERE id = :id AND environment_id = :environment_id", WaitpointRow)
_BY_KEY = Query(
    _WAITPOINT + " WHERE environment_id = :environment_id AND idempotency_key = :key", WaitpointRow
)
_OF_RUN = Query(_WAITPOINT + " WHERE completes_run = :run_id", WaitpointRow)
_OF_BATCH = Query(_WAITPOINT + " WHERE completes_batch = :batch_id", WaitpointRow)
_OUTPUT = Query("SELECT output FROM waitpoint WHERE id = :id", lambda output: (output,))
_DUE = Query(
    _WAITPOINT
    + " WHERE status = 'PENDING' AND due_at IS NOT NULL AND due_at <= :now ORDER BY due_at LIMIT :count",
    WaitpointRow,
)
_NEXT_DUE = Query(
    "SELECT min(due_at) FROM waitpoint WHERE status = 'PENDING' AND due_at IS NOT NULL", lambda at: at
)
_INSERT = Insert("waitpoint", WaitpointRow._fields)
_COMPLETE = Statement(
    """UPDATE waitpoint SET status = 'COMPLETED', output = :output, output_type = :output_type,
          is_error = :is_error, completed_at = :now
        WHERE id = :id AND status = 'PENDING'"""
)
_RELEASE_KEY = Statement(
    "UPDATE waitpoint SET idempotency_key = NULL, idempotency_expires_at = NULL WHERE id = :id"
)

_EDGE = "SELECT run_id, waitpoint_id, batch_index, batch_id FROM run_waitpoint"
_INSERT_EDGE = Statement(
    """INSERT INTO run_waitpoint (run_id, waitpoint_id, batch_index, batch_id)
       VALUES (:run_id, :waitpoint_id, :batch_index, :batch_id) ON CONFLICT DO NOTHING"""
)
_EDGES = Query(_EDGE + " WHERE run_id = :run_id ORDER BY batch_index, waitpoint_id", EdgeRow)
_WAITING = Query("SELECT DISTINCT run_id FROM run_waitpoint WHERE waitpoint_id = :id ORDER BY run_id", str)
# The newest first: what was waited for last is most likely what is still missing.
_PENDING = Query(
    """SELECT e.waitpoint_id FROM run_waitpoint e JOIN waitpoint w ON w.id = e.waitpoint_id
        WHERE e.run_id = :run_id AND w.status = 'PENDING' ORDER BY e.waitpoint_id DESC LIMIT 1""",
    str,
)
_PENDING_OF = Query(
    f"""SELECT {", ".join("w." + name for name in WaitpointRow._fields)}
          FROM run_waitpoint e JOIN waitpoint w ON w.id = e.waitpoint_id
         WHERE e.run_id = :run_id AND w.status = 'PENDING' ORDER BY e.waitpoint_id DESC LIMIT :count""",
    WaitpointRow,
)
_DELETE_EDGES = Statement("DELETE FROM run_waitpoint WHERE run_id = :run_id")
_AT_ONCE = 500


def insert_waitpoint(tx: Tx, row: WaitpointRow) -> None:
    tx.insert(_INSERT, row)


def insert_waitpoints(tx: Tx, rows: Sequence[WaitpointRow]) -> None:
    tx.insert_many(_INSERT, rows)


def find_waitpoint(tx: Reader, waitpoint_id: str) -> WaitpointRow | None:
    return tx.first(_FIND, id=waitpoint_id)


def find_waitpoint_in(tx: Reader, environment_id: str, waitpoint_id: str) -> WaitpointRow | None:
    """The waitpoint, if it is one of this environment."""
    return tx.first(_FIND_IN, environment_id=environment_id, id=waitpoint_id)


def find_by_key(tx: Reader, environment_id: str, key: str) -> WaitpointRow | None:
    return tx.first(_BY_KEY, environment_id=environment_id, key=key)


def find_of_run(tx: Reader, run_id: str) -> WaitpointRow | None:
    """The waitpoint that the end of this run completes."""
    return tx.first(_OF_RUN, run_id=run_id)


def find_of_batch(tx: Reader, batch_id: str) -> WaitpointRow | None:
    return tx.first(_OF_BATCH, batch_id=batch_id)


def find_output(tx: Reader, waitpoint_id: str) -> str | None:
    """What a waitpoint was completed with; of a run's, nothing: its result stands in the run."""
    found = tx.first(_OUTPUT, id=waitpoint_id)
    return None if found is None else found[0]


def list_due(tx: Reader, *, count: int) -> list[WaitpointRow]:
    """Dates that came and tokens that timed out."""
    return tx.all(_DUE, now=tx.now, count=count)


def find_next_due(tx: Reader) -> int | None:
    return tx.first(_NEXT_DUE)


def complete_waitpoint(
    tx: Tx, waitpoint_id: str, *, output: str | None, output_type: str | None, is_error: bool
) -> bool:
    """Complete a waitpoint *if it still is pending*; tell whether it was (WP-02)."""
    changed = tx.run(
        _COMPLETE,
        id=waitpoint_id,
        output=output,
        output_type=output_type,
        is_error=int(is_error),
        now=tx.now,
    )
    return changed == 1


def release_key(tx: Tx, waitpoint_id: str) -> None:
    """Take the idempotency key off a waitpoint, so that a new one may have it."""
    tx.run(_RELEASE_KEY, id=waitpoint_id)


# ---- edges ----------------------------------------------------------------------------------------


def insert_edge(tx: Tx, edge: EdgeRow) -> None:
    """Note that a run waits for a waitpoint; the same edge twice is one (WP-09)."""
    tx.run(_INSERT_EDGE, **edge._asdict())


def insert_edges(tx: Tx, edges: Sequence[EdgeRow]) -> None:
    tx.run_many(_INSERT_EDGE, [edge._asdict() for edge in edges])


def list_edges(tx: Reader, run_id: str) -> list[EdgeRow]:
    """What a run waits for, in the order of its batch."""
    return tx.all(_EDGES, run_id=run_id)


def delete_edges(tx: Tx, run_id: str) -> int:
    return tx.run(_DELETE_EDGES, run_id=run_id)


def has_pending(tx: Reader, run_id: str) -> bool:
    """Tell whether anything a run waits for is still missing."""
    return tx.first(_PENDING, run_id=run_id) is not None


def list_pending(tx: Reader, run_id: str, *, count: int) -> list[WaitpointRow]:
    """What a run still waits for, the newest first."""
    return tx.all(_PENDING_OF, run_id=run_id, count=count)


def list_waiting_runs(tx: Reader, waitpoint_id: str) -> list[str]:
    """The runs that wait for a waitpoint."""
    return tx.all(_WAITING, id=waitpoint_id)


def list_ended(tx: Reader, waitpoint_ids: Sequence[str]) -> list[EndedRow]:
    """Waitpoints with what completed them; a text that is kept beside its run comes as an empty one."""
    waitpoint, run = schema.waitpoint, schema.run
    columns = [waitpoint.c[name] for name in WaitpointRow._fields]
    statement = select(
        *columns, waitpoint.c.output, run.c.output, run.c.output_type, run.c.error, run.c.status
    ).select_from(waitpoint.outerjoin(run, run.c.id == waitpoint.c.completes_run))
    found = []
    for start in range(0, len(waitpoint_ids), _AT_ONCE):
        ids = waitpoint_ids[start : start + _AT_ONCE]
        rows = tx.select(statement.where(waitpoint.c.id.in_(ids)))
        width = len(WaitpointRow._fields)
        found += [EndedRow(WaitpointRow(*row[:width]), *row[width:]) for row in rows]
    return found
