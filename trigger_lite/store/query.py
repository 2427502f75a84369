"""A named statement, written once and compiled once per dialect."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import text
from sqlalchemy.engine import Dialect

Row = TypeVar("Row")


class Query(Generic[Row]):
    """SQL with `:named` binds, and what a row of its result becomes.

    `row` is called with the columns in order, so the SELECT list and the row's fields agree.
    """

    def __init__(self, sql: str, row: Callable[..., Row]) -> None:
        self._text = text(sql)
        self._compiled: dict[str, str] = {}
        self.row = row

    def sql(self, dialect: Dialect) -> str:
        """Return the statement in the driver's own parameter style."""
        known = self._compiled.get(dialect.name)
        if known is None:
            known = self._compiled[dialect.name] = str(self._text.compile(dialect=dialect))
        return known


class Statement(Query[tuple[Any, ...]]):
    """A statement that changes rows, or one whose rows stay tuples."""

    def __init__(self, sql: str) -> None:
        super().__init__(sql, lambda *columns: columns)


class Insert:
    """An INSERT of whole rows by position: binding fifty values by name costs more than the insert itself."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        self._head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
        self._count = len(columns)
        self._compiled: dict[str, str] = {}

    def sql(self, dialect: Dialect) -> str:
        known = self._compiled.get(dialect.name)
        if known is None:
            mark = "?" if dialect.name == "sqlite" else "%s"
            known = f"{self._head}({', '.join([mark] * self._count)})"
            self._compiled[dialect.name] = known
        return known
