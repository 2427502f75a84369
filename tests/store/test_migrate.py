"""Migrations: what they build is what the schema says, once, whole, and never backwards."""

from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import MetaData

from tests.store.conftest import OpenStore
from trigger_lite.store import schema
from trigger_lite.store.database import Database
from trigger_lite.store.migrate import DatabaseTooNew, migrate, migrations
from trigger_lite.store.transaction import Connection

AREAS = {"state": schema.STATE, "telemetry": schema.TELEMETRY}


def _shape(url: str) -> dict[str, Any]:
    """Everything that reflection tells of a database: columns, keys, indexes, partial conditions."""
    engine = sqlalchemy.create_engine(url)
    inspector = sqlalchemy.inspect(engine)
    shape = {
        table: {
            "columns": [_plain(column) for column in inspector.get_columns(table)],
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "indexes": sorted((_plain(index) for index in inspector.get_indexes(table)), key=str),
            "foreign keys": inspector.get_foreign_keys(table),
        }
        for table in inspector.get_table_names()
        if not table.endswith("_migration")
    }
    engine.dispose()
    return shape


def _plain(described: Any) -> Any:
    """Write types and conditions as text, so that two reflections can be compared."""
    if isinstance(described, dict):
        return {name: _plain(value) for name, value in described.items()}
    return str(described)


def _shape_of_schema(url: str, metadata: MetaData) -> dict[str, Any]:
    for table in metadata.tables.values():
        for index in table.indexes:
            if "where" in index.info:
                index.dialect_options["postgresql"]["where"] = sqlalchemy.text(index.info["where"])
    engine = sqlalchemy.create_engine(url)
    metadata.create_all(engine)
    engine.dispose()
    return _shape(url)


def _drop_all(url: str) -> None:
    engine = sqlalchemy.create_engine(url)
    found = MetaData()
    found.reflect(engine)
    found.drop_all(engine)
    engine.dispose()


def _tables(connection: Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM state_migration", {}).fetchall()
    return {row[0] for row in rows}


@pytest.fixture
def url(database: Database, database_url: str) -> str:
    """The address of what `database` opens."""
    path = getattr(database, "_path", None)
    if path is not None:
        return f"sqlite:///{path}"
    return database_url.replace("postgresql:", "postgresql+psycopg:")


@pytest.mark.parametrize("area", AREAS)
def test_the_migrations_build_what_the_schema_says(database: Database, url: str, area: str) -> None:
    connection = database.connect()
    migrate(connection, database.dialect, area)
    connection.close()
    migrated = _shape(url)
    assert set(migrated) == set(AREAS[area].tables)
    _drop_all(url)
    assert migrated == _shape_of_schema(url, AREAS[area])


def test_partial_indexes_keep_their_conditions(database: Database, url: str) -> None:
    connection = database.connect()
    migrate(connection, database.dialect, "state")
    connection.close()
    partial = {
        index["name"]
        for table in _shape(url).values()
        for index in table["indexes"]
        if any(option.endswith("_where") for option in index.get("dialect_options", {}))
    }
    named = {
        index.name
        for table in schema.STATE.tables.values()
        for index in table.indexes
        if "where" in index.info
    }
    assert partial == named != set()


@pytest.mark.parametrize("area", AREAS)
def test_a_second_start_applies_nothing(database: Database, area: str) -> None:
    connection = database.connect()
    assert migrate(connection, database.dialect, area) == [m.name for m in migrations(area, database.dialect)]
    assert migrate(connection, database.dialect, area) == []
    connection.close()


def test_state_and_telemetry_may_share_a_database(database: Database) -> None:
    connection = database.connect()
    for area in AREAS:
        assert migrate(connection, database.dialect, area)
    connection.close()


async def test_a_database_of_a_newer_version_is_refused_untouched(
    database: Database, url: str, open_store: OpenStore
) -> None:
    connection = database.connect()
    migrate(connection, database.dialect, "state")
    connection.execute("INSERT INTO state_migration (number, name) VALUES (999, '0999_from_later')", {})
    connection.close()
    before = _shape(url)
    with pytest.raises(DatabaseTooNew, match="0999_from_later"):
        await open_store()
    assert _shape(url) == before


def test_a_migration_that_fails_leaves_nothing_and_can_be_tried_again(database: Database, url: str) -> None:
    connection = database.connect()
    connection.execute("CREATE TABLE run (id TEXT)", {})
    with pytest.raises(Exception, match="run"):
        migrate(connection, database.dialect, "state")
    assert set(_shape(url)) == {"run"}
    assert _tables(connection) == set()
    connection.execute("DROP TABLE run", {})
    migrate(connection, database.dialect, "state")
    connection.close()
    assert set(_shape(url)) == set(schema.STATE.tables)
