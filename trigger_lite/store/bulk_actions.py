"""Bulk actions: one thing done to many runs, page by page (CN-14, CN-15)."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from trigger_lite.protocol.ids import last_id_like
from trigger_lite.store.query import Insert, Query, Statement
from trigger_lite.store.run_lists import decode_cursor, encode_cursor
from trigger_lite.store.transaction import Reader, Tx


class BulkActionRow(NamedTuple):
    """A bulk action. `filter` is a RunFilter as JSON, or None when its runs were named; times in Unix ms.

    Runs with an id up to `cursor` were looked at; `total` is None where counting would have taken too long.
    """

    id: str
    environment_id: str
    kind: str  # cancel, replay
    status: str  # PENDING, COMPLETED, ABORTED
    name: str | None
    source: str
    filter: str | None
    cursor: str | None
    last_run_id: str | None
    total: int | None
    success: int
    failure: int
    created_at: int
    completed_at: int | None


class BulkItemRow(NamedTuple):
    """What a bulk action did to one run; `new_run_id` is the run that a replay made."""

    bulk_id: str
    run_id: str
    status: str  # PENDING, SUCCEEDED, FAILED
    error: str | None
    new_run_id: str | None


class BulkMark(NamedTuple):
    """A bulk action that touched a run, as the run's page names it."""

    id: str
    kind: str


class BulkRows(NamedTuple):
    """Bulk actions, newest first, with the cursors of the pages beside them: `next` is older."""

    rows: list[BulkActionRow]
    next: str | None
    previous: str | None


_NEWEST: Final = last_id_like("bulk", "bulk_")
_ACTION = f"SELECT {', '.join(BulkActionRow._fields)} FROM bulk_action"
_FIND = Query(_ACTION + " WHERE id = :id", BulkActionRow)
_FIND_IN = Query(_ACTION + " WHERE id = :id AND environment_id = :environment_id", BulkActionRow)
_PENDING = Query(_ACTION + " WHERE status = 'PENDING' ORDER BY id LIMIT :count", BulkActionRow)
_OLDER = Query(
    _ACTION + " WHERE environment_id = :environment_id AND id < :edge ORDER BY id DESC LIMIT :count",
    BulkActionRow,
)
_NEWER = Query(
    _ACTION + " WHERE environment_id = :environment_id AND id > :edge ORDER BY id LIMIT :count",
    BulkActionRow,
)
_COUNT_PENDING = Query(
    """SELECT count(*) FROM bulk_action
        WHERE status = 'PENDING' AND environment_id = :environment_id AND kind = :kind""",
    int,
)
_INSERT = Insert("bulk_action", BulkActionRow._fields)
_ADVANCE = Statement(
    """UPDATE bulk_action SET cursor = :cursor, success = success + :success, failure = failure + :failure
        WHERE id = :id AND status = 'PENDING'"""
)
_END = Statement(
    "UPDATE bulk_action SET status = :status, completed_at = :now WHERE id = :id AND status = 'PENDING'"
)
_INSERT_ITEM = Insert("bulk_item", BulkItemRow._fields)
_PUT_ITEM = Statement(
    """INSERT INTO bulk_item (bulk_id, run_id, status, error, new_run_id)
       VALUES (:bulk_id, :run_id, :status, :error, :new_run_id)
       ON CONFLICT (bulk_id, run_id) DO UPDATE
         SET status = excluded.status, error = excluded.error, new_run_id = excluded.new_run_id"""
)
_NAMED = Query(
    "SELECT run_id FROM bulk_item WHERE bulk_id = :bulk_id AND run_id > :above ORDER BY run_id LIMIT :count",
    str,
)
_FAILED = Query(
    f"""SELECT {", ".join(BulkItemRow._fields)} FROM bulk_item
         WHERE bulk_id = :bulk_id AND status = 'FAILED' ORDER BY run_id LIMIT :count""",
    BulkItemRow,
)
_MARKS = Query(
    """SELECT bulk_action.id, bulk_action.kind FROM bulk_item
         JOIN bulk_action ON bulk_action.id = bulk_item.bulk_id
        WHERE bulk_item.run_id = :run_id AND bulk_item.status = 'SUCCEEDED'
        ORDER BY bulk_item.bulk_id LIMIT :count""",
    BulkMark,
)


def find_bulk_action(tx: Reader, bulk_id: str) -> BulkActionRow | None:
    return tx.first(_FIND, id=bulk_id)


def find_bulk_action_in(tx: Reader, environment_id: str, bulk_id: str) -> BulkActionRow | None:
    """The bulk action, if it is one of this environment."""
    return tx.first(_FIND_IN, id=bulk_id, environment_id=environment_id)


def list_pending(tx: Reader, *, count: int) -> list[BulkActionRow]:
    """Bulk actions that are not through, oldest first."""
    return tx.all(_PENDING, count=count)


def list_bulk_actions(
    tx: Reader, environment_id: str, *, size: int, after: str | None = None, before: str | None = None
) -> BulkRows:
    """List the `size` bulk actions that follow a cursor, newest first; `before` goes back and wins.

    Raises BadRequest for a cursor that is none.
    """
    if before is not None:
        edge = decode_cursor(before, "bulk")
        found = tx.all(_NEWER, environment_id=environment_id, edge=edge, count=size + 1)
        rows = found[:size][::-1]
        has_older, has_newer = bool(rows), len(found) > size
    else:
        edge = _NEWEST if after is None else decode_cursor(after, "bulk")
        found = tx.all(_OLDER, environment_id=environment_id, edge=edge, count=size + 1)
        rows = found[:size]
        has_older, has_newer = len(found) > size, bool(rows) and after is not None
    return BulkRows(
        rows,
        next=encode_cursor(rows[-1].id) if has_older else None,
        previous=encode_cursor(rows[0].id) if has_newer else None,
    )


def count_pending(tx: Reader, environment_id: str, kind: str) -> int:
    return tx.first(_COUNT_PENDING, environment_id=environment_id, kind=kind) or 0


def insert_bulk_action(tx: Tx, bulk: BulkActionRow, run_ids: Sequence[str]) -> None:
    """Add a bulk action, and the runs it names."""
    tx.insert(_INSERT, bulk)
    if run_ids:
        rows = [BulkItemRow(bulk.id, run_id, "PENDING", None, None) for run_id in run_ids]
        tx.insert_many(_INSERT_ITEM, rows)


def advance(tx: Tx, bulk_id: str, *, cursor: str, success: int, failure: int) -> None:
    """Note how far a bulk action has come, and how many runs it did and could not do."""
    tx.run(_ADVANCE, id=bulk_id, cursor=cursor, success=success, failure=failure)


def end_bulk_action(tx: Tx, bulk_id: str, status: str) -> bool:
    """End a bulk action that is not over; tell whether it was."""
    return tx.run(_END, id=bulk_id, status=status, now=tx.now) == 1


def put_item(tx: Tx, item: BulkItemRow) -> None:
    """Note what was done to a run."""
    tx.run(_PUT_ITEM, **item._asdict())


def list_named(tx: Reader, bulk_id: str, *, above: str, count: int) -> list[str]:
    """The ids that a bulk action names, later than one, in their order."""
    return tx.all(_NAMED, bulk_id=bulk_id, above=above, count=count)


def list_failed(tx: Reader, bulk_id: str, *, count: int) -> list[BulkItemRow]:
    """Runs that a bulk action could not do, with the reasons."""
    return tx.all(_FAILED, bulk_id=bulk_id, count=count)


def list_marks(tx: Reader, run_id: str, *, count: int) -> list[BulkMark]:
    """The bulk actions that touched a run, oldest first."""
    return tx.all(_MARKS, run_id=run_id, count=count)
