"""Opening a database: the writing connection, and the asynchronous engine that reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import event
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from trigger_lite.store import patience
from trigger_lite.store.dialect import SQLITE, SQLITE_READER, SQLITE_WRITER, PsycopgConnection, postgres
from trigger_lite.store.transaction import Connection, Cursor

READERS = 4
"""Connections that read at once; a page needs one for a few milliseconds."""
LEASE_SECONDS = 2
"""How long a server that just ended, or a connection that broke, may take to let go of its lease."""


class DatabaseUnusable(Exception):
    """The database cannot be opened; the message says why and what to do."""


def _unchanged(value: None) -> None:
    return value


class DatabaseTaken(DatabaseUnusable):
    """Another server writes this database."""


class SqliteDatabase:
    """One file. `synchronous` is FULL for what must survive a power cut, NORMAL for what may not."""

    dialect: Dialect = SQLITE

    def __init__(self, path: Path, *, synchronous: str) -> None:
        self._path = path
        self._synchronous = synchronous

    def connect(self) -> Connection:
        import sqlite3

        # Known to need no conversion: else the driver searches for one for each None, at a quarter of a
        # microsecond, and half of a run's columns are.
        sqlite3.register_adapter(type(None), _unchanged)
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, cached_statements=256)
            for pragma in (*SQLITE_WRITER, f"PRAGMA synchronous = {self._synchronous}"):
                connection.execute(pragma)
        except sqlite3.DatabaseError as error:
            is_damaged = error.sqlite_errorcode in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
            advice = ". Restore it from a backup." if is_damaged else ""
            raise DatabaseUnusable(f"The database {self._path} cannot be opened: {error}{advice}") from error
        self._path.chmod(0o600)
        return connection

    def checkpoint(self) -> None:
        """Bring what was written lately from the log into the file; blocks the caller, not the writer."""
        import sqlite3

        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()

    def read_engine(self) -> AsyncEngine:
        file = f"file:{quote(str(self._path))}"
        url = URL.create("sqlite+aiosqlite", database=file, query={"mode": "ro", "uri": "true"})
        engine = create_async_engine(url, pool_size=READERS, max_overflow=0, paramstyle="named")

        @event.listens_for(engine.sync_engine, "connect")
        def prepare(connection: Any, record: Any) -> None:
            # The driver's own BEGIN comes only before changes; ours makes several reads see one state.
            connection.isolation_level = None
            for pragma in SQLITE_READER:
                connection.execute(pragma)
            patience.watch(connection, record.info)

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: SyncConnection) -> None:
            connection.exec_driver_sql("BEGIN")

        return engine


class PostgresDatabase:
    """A PostgreSQL database by URL. `lease` is the advisory lock that the one writer holds.

    Raises DatabaseUnusable when the URL is none.
    """

    def __init__(self, url: str, *, lease: int) -> None:
        self.dialect: Dialect = postgres()
        try:
            self._url = make_url(url).set(drivername="postgresql+psycopg")
        except (ArgumentError, ValueError) as error:
            raise DatabaseUnusable(  # without the URL, which may hold a password
                "The PostgreSQL URL cannot be read; write postgresql://user:password@host:5432/name"
            ) from error
        self._lease = lease

    def connect(self) -> Connection:
        try:
            import psycopg
        except ImportError as error:
            raise DatabaseUnusable(
                "PostgreSQL needs a driver; install it with: pip install 'trigger-lite[postgres]'"
            ) from error
        plain = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            connection = psycopg.connect(plain, autocommit=True)
        except psycopg.OperationalError as error:
            raise DatabaseUnusable(f"{self._url!r} cannot be reached: {error}") from error
        try:
            # Not for ever: a statement that waits keeps its snapshot, and with it every dead row.
            connection.execute(f"SET lock_timeout = '{LEASE_SECONDS}s'")
            connection.execute("SELECT pg_advisory_lock(%s)", (self._lease,))
            connection.execute("SET lock_timeout = DEFAULT")
        except psycopg.errors.LockNotAvailable as error:
            connection.close()
            raise DatabaseTaken(f"Another server has the database {self._url!r}") from error
        return PsycopgConnection(connection)

    def checkpoint(self) -> None:
        """Nothing to do: PostgreSQL has a process of its own for it."""

    def read_engine(self) -> AsyncEngine:
        return create_async_engine(
            self._url,
            pool_size=READERS,
            max_overflow=0,
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
            paramstyle="pyformat",
        )


Database = SqliteDatabase | PostgresDatabase


class ReadingConnection:
    """SQLAlchemy's connection, seen as the driver's: what a Reader needs."""

    def __init__(self, connection: SyncConnection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any], /) -> Cursor:
        return self._connection.exec_driver_sql(sql, parameters)

    def executemany(self, sql: str, parameters: Sequence[Any], /) -> None:
        raise RuntimeError("a reader does not change anything")

    def close(self) -> None:
        self._connection.close()
