"""Each test with a `database_url` gets a database of its own, on each kind of database."""

import sqlalchemy


def _tables(url: str) -> list[str]:
    engine = sqlalchemy.create_engine(url)
    try:
        return sqlalchemy.inspect(engine).get_table_names()
    finally:
        engine.dispose()


def test_a_database_is_new_and_takes_tables(database_url: str) -> None:
    assert _tables(database_url) == []
    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE mine (id INTEGER PRIMARY KEY)"))
    engine.dispose()
    assert _tables(database_url) == ["mine"]


def test_another_test_does_not_see_it(database_url: str) -> None:
    assert _tables(database_url) == []
