"""Brings a database to the newest schema: numbered SQL files, forward only, each in its own transaction."""

from importlib.resources import files
from typing import Final, NamedTuple

from sqlalchemy.engine import Dialect

from trigger_lite.store.transaction import Connection

_TABLE: Final = "CREATE TABLE IF NOT EXISTS schema_migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL)"


class DatabaseTooNew(Exception):
    """The database was written by a newer trigger-lite; this one does not touch it."""


class Migration(NamedTuple):
    number: int
    name: str
    sql: str


def migrations(area: str, dialect: Dialect) -> list[Migration]:
    """List the migrations of `state` or `telemetry`, oldest first.

    `0002_x.postgres.sql` replaces `0002_x.sql` on PostgreSQL, where the two must differ.
    """
    folder = files("trigger_lite.store") / "migrations" / area
    texts = {entry.name: entry.read_text() for entry in folder.iterdir() if entry.name.endswith(".sql")}
    found = []
    for name in sorted(name for name in texts if not name.endswith(".postgres.sql")):
        own = name.removesuffix(".sql") + ".postgres.sql"
        chosen = own if dialect.name == "postgresql" and own in texts else name
        found.append(Migration(int(name[:4]), name.removesuffix(".sql"), texts[chosen]))
    return found


def migrate(connection: Connection, dialect: Dialect, area: str) -> list[str]:
    """Apply what is missing and return the names applied.

    Raises DatabaseTooNew when the database has a migration that this version does not know.
    """
    table = _TABLE.replace("schema_migration", f"{area}_migration")
    connection.execute(table, {})
    rows = connection.execute(f"SELECT number, name FROM {area}_migration", {}).fetchall()
    done: dict[int, str] = {row[0]: row[1] for row in rows}
    known = migrations(area, dialect)
    unknown = sorted(set(done) - {m.number for m in known})
    if unknown:
        raise DatabaseTooNew(
            f"The database has the schema change {done[unknown[-1]]!r}, which this version does not know. "
            "Run the newer trigger-lite that made it, or restore a backup from before."
        )
    pending = [m for m in known if m.number not in done]
    for migration in pending:
        _apply(connection, area, migration)
    return [m.name for m in pending]


def _apply(connection: Connection, area: str, migration: Migration) -> None:
    connection.execute("BEGIN", {})
    try:
        for statement in migration.sql.split(";\n"):
            if statement.strip():
                connection.execute(statement, {})
        record = (
            f"INSERT INTO {area}_migration (number, name) VALUES ({migration.number}, '{migration.name}')"
        )
        connection.execute(record, {})
    except BaseException:
        connection.execute("ROLLBACK", {})
        raise
    connection.execute("COMMIT", {})
