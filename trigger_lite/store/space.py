"""How much room a database takes, and giving room back. `area` is `state` or `telemetry`."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from sqlalchemy import Table

from trigger_lite.store import schema
from trigger_lite.store.query import Query
from trigger_lite.store.transaction import Reader, Tx

_SAMPLED_BYTES: Final = 4_000_000
_TUPLE_BYTES: Final = 28
"""What PostgreSQL keeps beside the columns of a row."""


class Pages(NamedTuple):
    """An SQLite file: the bytes of a page, all pages, and those that hold nothing."""

    size: int
    all: int
    free: int


class Relation(NamedTuple):
    """A table of PostgreSQL, in bytes: its rows, with what is kept beside them, with its indexes."""

    name: str
    rows: int
    table: int
    total: int


_AREAS: Final = {"state": schema.STATE, "telemetry": schema.TELEMETRY}
_PAGES = Query(
    """SELECT page_size, page_count, freelist_count
         FROM pragma_page_size(), pragma_page_count(), pragma_freelist_count()""",
    Pages,
)
# One page a statement: the driver makes one step of a statement that has no columns.
_GIVE_BACK = Query("PRAGMA incremental_vacuum(1)", lambda *_: None)


def _relations(area: str) -> Query[Relation]:
    names = ", ".join(f"'{name}'" for name in _AREAS[area].tables)
    return Query(
        f"""SELECT relname, pg_relation_size(oid), pg_table_size(oid), pg_total_relation_size(oid)
              FROM pg_class WHERE relkind = 'r' AND relnamespace = CAST(current_schema() AS regnamespace)
                              AND relname IN ({names})""",
        Relation,
    )


def _live(table: Table) -> Query[int]:
    """The bytes of the rows on a sample of a table's pages, with what is kept beside them."""
    columns = " + ".join(f'coalesce(pg_column_size("{column.name}"), 0)' for column in table.columns)
    sql = f"SELECT coalesce(sum({columns} + {_TUPLE_BYTES}), 0) FROM {table.name} TABLESAMPLE SYSTEM (:share)"
    return Query(sql, int)


_RELATIONS: Final = {area: _relations(area) for area in _AREAS}
_LIVE: Final[Mapping[str, Query[int]]] = {
    table.name: _live(table) for tables in _AREAS.values() for table in tables.tables.values()
}


def total_bytes(tx: Reader, area: str) -> int:
    """The room that a database takes, used or not."""
    pages = _pages(tx)
    if pages is not None:
        return pages.size * pages.all
    return sum(relation.total for relation in tx.all(_RELATIONS[area]))


def used_bytes(tx: Reader, area: str) -> int:
    """The room that data takes: what is free for new data does not count.

    Differs on SQLite because a file says itself which of its pages are free; PostgreSQL's tables stay as long
    as they were, so how full they are is estimated from a sample of their pages.
    """
    pages = _pages(tx)
    if pages is not None:
        return pages.size * (pages.all - pages.free)
    return round(sum(_used(tx, relation) for relation in tx.all(_RELATIONS[area])))


def _used(tx: Reader, relation: Relation) -> float:
    if relation.rows == 0:
        return relation.total
    share = min(100.0, 100.0 * _SAMPLED_BYTES / relation.rows)
    live = (tx.first(_LIVE[relation.name], share=share) or 0) * 100.0 / share
    return min(1.0, live / relation.table) * relation.total


def find_pages(tx: Reader) -> Pages:
    """The pages of an SQLite file; of PostgreSQL none: there autovacuum gives room back."""
    return _pages(tx) or Pages(0, 0, 0)


def give_back(tx: Tx, count: int) -> None:
    """Take up to `count` free pages off the end of an SQLite file."""
    for _ in range(count):
        tx.all(_GIVE_BACK)


def _pages(tx: Reader) -> Pages | None:
    return tx.first(_PAGES) if tx.dialect.name == "sqlite" else None
