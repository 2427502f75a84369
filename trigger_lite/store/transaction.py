"""What a query function is given: a reader, or a transaction that may also change things."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Select
from sqlalchemy.engine import Dialect

from trigger_lite.protocol.ids import IdSource
from trigger_lite.store.query import Insert, Query

Row = TypeVar("Row")


class Cursor(Protocol):
    """The part of a driver's cursor that is used."""

    @property
    def rowcount(self) -> int: ...
    def fetchall(self) -> Sequence[Sequence[Any]]: ...
    def fetchone(self) -> Any: ...


class Connection(Protocol):
    """A driver's connection, or SQLAlchemy's face of an asynchronous one."""

    def execute(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any], /) -> Cursor: ...
    def executemany(self, sql: str, parameters: Sequence[Any], /) -> object: ...
    def close(self) -> None: ...


class Reader:
    """Reads at one moment: `now` is Unix milliseconds, and the connection sees one state."""

    def __init__(self, connection: Connection, dialect: Dialect, now: int) -> None:
        self._connection = connection
        self.dialect = dialect
        self.now = now

    def all(self, query: Query[Row], **parameters: Any) -> list[Row]:
        cursor = self._connection.execute(query.sql(self.dialect), parameters)
        row = query.row
        return [row(*columns) for columns in cursor.fetchall()]

    def first(self, query: Query[Row], **parameters: Any) -> Row | None:
        columns = self._connection.execute(query.sql(self.dialect), parameters).fetchone()
        return None if columns is None else query.row(*columns)

    def select(self, statement: Select[Any]) -> list[tuple[Any, ...]]:
        """Run a statement that is built for this one call, such as a filtered list."""
        compiled = statement.compile(dialect=self.dialect, compile_kwargs={"render_postcompile": True})
        cursor = self._connection.execute(compiled.string, dict(compiled.params))
        return [tuple(columns) for columns in cursor.fetchall()]


class Tx(Reader):
    """One function's part of a grouped commit: all of it is kept, or none.

    `has_changed` when it may have changed anything: a database that only reads commits the rest, too.
    """

    def __init__(self, connection: Connection, dialect: Dialect, now: int, ids: IdSource) -> None:
        super().__init__(connection, dialect, now)
        self._ids = ids
        self.events: list[object] = []
        self.has_changed = False

    def run(self, query: Query[Any], **parameters: Any) -> int:
        """Execute a statement and return how many rows it changed."""
        self.has_changed = True
        return self._connection.execute(query.sql(self.dialect), parameters).rowcount

    def run_many(self, query: Query[Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute one statement for many rows."""
        self.has_changed = True
        self._connection.executemany(query.sql(self.dialect), rows)

    def insert(self, insert: Insert, row: Sequence[Any]) -> None:
        """Add one row, its values in the order of the insert's columns."""
        self.has_changed = True
        self._connection.execute(insert.sql(self.dialect), row)

    def insert_many(self, insert: Insert, rows: Sequence[Sequence[Any]]) -> None:
        self.has_changed = True
        self._connection.executemany(insert.sql(self.dialect), rows)

    def new_id(self, prefix: str) -> str:
        return self._ids.new(prefix, self.now)

    def emit(self, event: object) -> None:
        """Announce what happened; subscribers hear of it after the commit, or never."""
        self.events.append(event)
