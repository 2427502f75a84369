"""A database that is only looked at: beside the server that writes it, or without one."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import msgspec
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from trigger_lite.store.database import Database, DatabaseUnusable, ReadingConnection
from trigger_lite.store.migrate import migrations
from trigger_lite.store.query import Query, Statement
from trigger_lite.store.store import wall_clock
from trigger_lite.store.transaction import Reader

P = ParamSpec("P")
R = TypeVar("R")

_INTEGRITY = Query("PRAGMA quick_check(5)", str)
_LEASED = Query(
    """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :lease
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())""",
    int,
)


class Schema(msgspec.Struct, frozen=True):
    """The changes to a schema that a database lacks, and those that this version does not know."""

    missing: list[str]
    unknown: list[str]


class Inspection:
    """Reads, and changes nothing: neither rows nor the schema."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._readers = database.read_engine()

    async def read(self, fn: Callable[Concatenate[Reader, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn(reader, *args)`. Raises DatabaseUnusable with the driver's words when it cannot be read."""

        def run(connection: SyncConnection) -> R:
            return fn(
                Reader(ReadingConnection(connection), self._database.dialect, wall_clock()), *args, **kwargs
            )

        try:
            async with self._readers.connect() as connection:
                return await connection.run_sync(run)
        except (DBAPIError, NoSuchModuleError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise DatabaseUnusable(f"The database cannot be read: {reason}") from error

    async def close(self) -> None:
        await self._readers.dispose()


def compare_schema(tx: Reader, area: str) -> Schema:
    """Compare the schema of a database with that of this version."""
    done = Statement(f"SELECT number, name FROM {area}_migration ORDER BY number")
    present: dict[int, str] = {row[0]: row[1] for row in tx.all(done)}
    known = migrations(area, tx.dialect)
    missing = [migration.name for migration in known if migration.number not in present]
    numbers = {migration.number for migration in known}
    return Schema(missing, [name for number, name in present.items() if number not in numbers])


def find_damage(tx: Reader) -> list[str]:
    """What SQLite says of a damaged file, nothing when it is whole; PostgreSQL looks after its own."""
    return [line for line in tx.all(_INTEGRITY) if line != "ok"] if tx.dialect.name == "sqlite" else []


def is_leased(tx: Reader, lease: int) -> bool:
    """Tell whether a server writes a PostgreSQL database now."""
    return (tx.first(_LEASED, lease=lease) or 0) > 0
