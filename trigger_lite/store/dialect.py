"""What differs between the databases, and nothing else."""

import sqlite3
from functools import cache
from typing import Any

from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect

SQLITE: Dialect = sqlite.dialect(paramstyle="named")


@cache
def postgres() -> Dialect:
    """PostgreSQL's dialect, imported by who uses it: it is a tenth of an SQLite server's start."""
    from sqlalchemy.dialects import postgresql

    dialect: Dialect = postgresql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]
    return dialect


# Differs on SQLite because: durability and concurrency are set per connection there.
SQLITE_WRITER = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # only heeded by a file that is still empty
    "PRAGMA journal_mode = WAL",
    # Where the library is built to overwrite what is deleted, ten megabytes would hold the writer for 30 ms.
    "PRAGMA secure_delete = FAST",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -8000",
)
SQLITE_READER = ("PRAGMA query_only = ON", "PRAGMA busy_timeout = 5000", "PRAGMA cache_size = -2000")


def begin(dialect: Dialect) -> str:
    # Differs on SQLite because a deferred transaction could fail when it first writes.
    return "BEGIN IMMEDIATE" if dialect is SQLITE else "BEGIN"


def is_lost(connection: object) -> bool:
    """Tell whether a connection must be opened anew. Differs on SQLite because a file cannot hang up."""
    return isinstance(connection, PsycopgConnection) and connection.is_closed


def is_outage(error: BaseException | None) -> bool:
    """Tell whether a driver's error is about the state of the database, not about the statement.

    Differs on SQLite because the drivers' OperationalError covers both: there SQLITE_ERROR is that of a wrong
    statement, on PostgreSQL class 54 that of a value too large for an index. 25006 is a database that only
    reads, such as one that was replaced by its replica.
    """
    if getattr(error, "sqlstate", None) == "25006":
        return True
    if not any(kind.__name__ == "OperationalError" for kind in type(error).__mro__):
        return False
    state = getattr(error, "sqlstate", None) or ""
    return getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR and state[:2] != "54"


class PsycopgConnection:
    """A psycopg connection with the two calls of `transaction.Connection`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    @property
    def is_closed(self) -> bool:
        return bool(self._connection.closed)

    def execute(self, sql: str, parameters: Any = None) -> Any:
        return self._cursor.execute(sql, parameters or None)

    def executemany(self, sql: str, parameters: Any) -> None:
        self._cursor.executemany(sql, parameters)

    def close(self) -> None:
        self._connection.close()
