"""Lists of batches, newest first, by cursor."""

from typing import Final, NamedTuple

from trigger_lite.protocol.ids import last_id_like
from trigger_lite.store.batches import BatchRow
from trigger_lite.store.query import Query
from trigger_lite.store.run_lists import decode_cursor, encode_cursor
from trigger_lite.store.transaction import Reader

_BATCH = f"SELECT {', '.join(BatchRow._fields)} FROM batch WHERE environment_id = :environment_id"
_NEWEST = Query(_BATCH + " AND id < :below ORDER BY id DESC LIMIT :count", BatchRow)
_NEWER = Query(_BATCH + " AND id > :above ORDER BY id LIMIT :count", BatchRow)
_ABOVE_ALL: Final = last_id_like("batch", "batch_")


class BatchRows(NamedTuple):
    """Batches, newest first, with the cursors of the pages beside them: `next` is older, `previous` newer."""

    rows: list[BatchRow]
    next: str | None
    previous: str | None


def list_batches(
    tx: Reader, environment_id: str, *, size: int, after: str | None = None, before: str | None = None
) -> BatchRows:
    """List the `size` batches that follow a cursor; `before` goes back towards the newest and wins.

    Raises BadRequest for a cursor that is none.
    """
    if before is not None:
        above = decode_cursor(before, "batch")
        found = tx.all(_NEWER, environment_id=environment_id, above=above, count=size + 1)
        rows = found[:size][::-1]
        newer, older = len(found) > size, bool(rows)
    else:
        below = _ABOVE_ALL if after is None else decode_cursor(after, "batch")
        found = tx.all(_NEWEST, environment_id=environment_id, below=below, count=size + 1)
        rows = found[:size]
        newer, older = bool(rows) and after is not None, len(found) > size
    return BatchRows(
        rows,
        next=encode_cursor(rows[-1].id) if older else None,
        previous=encode_cursor(rows[0].id) if newer else None,
    )
