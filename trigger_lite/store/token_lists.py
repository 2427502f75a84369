"""Filtered lists of wait tokens, newest first, by cursor."""

from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Select, or_, select, text

from trigger_lite.store.run_lists import decode_cursor, encode_cursor
from trigger_lite.store.schema import waitpoint
from trigger_lite.store.transaction import Reader
from trigger_lite.store.waitpoints import WaitpointRow

_COLUMNS: Final = [waitpoint.c[name] for name in WaitpointRow._fields]
# In the words of the partial index that serves it.
_IS_TOKEN: Final = text("waitpoint.kind = 'MANUAL'")
_CONDITIONS: Final = {
    "WAITING": waitpoint.c.status == "PENDING",
    "COMPLETED": (waitpoint.c.status == "COMPLETED") & (waitpoint.c.is_error == 0),
    "TIMED_OUT": (waitpoint.c.status == "COMPLETED") & (waitpoint.c.is_error == 1),
}
STATUSES: Final = frozenset(_CONDITIONS)


class TokenFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which tokens of an environment are meant; what is empty or None does not narrow.

    A token matches `tags` when it has any of them; times in Unix ms, both inclusive.
    """

    environment_id: str
    statuses: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    idempotency_key: str | None = None
    created_from: int | None = None
    created_to: int | None = None


class TokenRows(NamedTuple):
    """Tokens, newest first, with the cursors of the pages beside them: `next` is older, `previous` newer."""

    rows: list[WaitpointRow]
    next: str | None
    previous: str | None


def list_tokens(
    tx: Reader, wanted: TokenFilter, *, size: int, after: str | None = None, before: str | None = None
) -> TokenRows:
    """List the `size` tokens that follow a cursor; `before` goes back towards the newest and wins.

    Raises BadRequest for a cursor that is none.
    """
    statement = _matching(wanted)
    if before is not None:
        edge = decode_cursor(before, "waitpoint")
        statement = statement.where(waitpoint.c.id > edge).order_by(waitpoint.c.id.asc())
    else:
        edge = decode_cursor(after, "waitpoint") if after is not None else ""
        if edge:
            statement = statement.where(waitpoint.c.id < edge)
        statement = statement.order_by(waitpoint.c.id.desc())
    found = [WaitpointRow(*columns) for columns in tx.select(statement.limit(size + 1))]
    rows = found[:size] if before is None else found[:size][::-1]
    has_more = len(found) > size
    older = bool(rows) and (has_more if before is None else True)
    newer = bool(rows) and (has_more if before is not None else bool(edge))
    return TokenRows(
        rows,
        next=encode_cursor(rows[-1].id) if older else None,
        previous=encode_cursor(rows[0].id) if newer else None,
    )


def _matching(wanted: TokenFilter) -> Select[Any]:
    conditions = [waitpoint.c.environment_id == wanted.environment_id]
    if wanted.statuses:
        conditions.append(or_(*(_CONDITIONS[status] for status in wanted.statuses)))
    if wanted.tags:
        # Tags are a JSON list: one is found with its quotes, as it is written there.
        written = [msgspec.json.encode(tag).decode() for tag in wanted.tags]
        conditions.append(or_(*(waitpoint.c.tags.contains(tag, autoescape=True) for tag in written)))
    if wanted.idempotency_key is not None:
        conditions.append(waitpoint.c.idempotency_key == wanted.idempotency_key)
    if wanted.created_from is not None:
        conditions.append(waitpoint.c.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        conditions.append(waitpoint.c.created_at <= wanted.created_to)
    return select(*_COLUMNS).where(_IS_TOKEN, *conditions)
