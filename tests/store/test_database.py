"""Opening a database: durability, permissions, reading without waiting, one writer."""

import asyncio
import os
from pathlib import Path

import pytest
import sqlalchemy

from tests.store.conftest import OpenStore
from tests.store.test_writer import SECONDS, _busy, insert, keys
from tests.support.harness import database_at
from tests.support.postgres import Cluster
from trigger_lite.protocol.errors import DatabaseFailed
from trigger_lite.store.database import Database, DatabaseTaken, SqliteDatabase
from trigger_lite.store.query import Query
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Reader


@pytest.mark.parametrize(("synchronous", "level"), [("FULL", 2), ("NORMAL", 1)])
def test_a_commit_is_as_durable_as_was_asked(tmp_path: Path, synchronous: str, level: int) -> None:
    connection = SqliteDatabase(tmp_path / "state.db", synchronous=synchronous).connect()
    wanted = {"journal_mode": "wal", "synchronous": level, "foreign_keys": 1, "busy_timeout": 5_000}
    found = {name: connection.execute(f"PRAGMA {name}", {}).fetchone()[0] for name in wanted}
    connection.close()
    assert found == wanted


async def test_every_file_of_the_database_is_its_owners_alone(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        database = SqliteDatabase(tmp_path / "state.db", synchronous="FULL")
        store = await Store.open(database, "state", publish=lambda _events: None)
        await store.write(insert, "a")
        await store.read(keys)
        modes = _modes(tmp_path)
        await store.close()
    finally:
        os.umask(mask)
    assert modes == {"state.db": "0o600", "state.db-wal": "0o600", "state.db-shm": "0o600"}


def _modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["a b", "per%20cent", "what?", "#1", "é", "a&b=c"])
async def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    database = SqliteDatabase(tmp_path / name / "state.db", synchronous="OFF")
    store = await Store.open(database, "state", publish=lambda _events: None)
    await store.write(insert, "a")
    assert await store.read(keys) == ["a"]
    await store.close()


# ---- the read side -----------------------------------------------------------------------------------


async def test_a_reader_cannot_change_anything(open_store: OpenStore, database: Database) -> None:
    await open_store()
    engine = database.read_engine()
    async with engine.connect() as connection:
        with pytest.raises(sqlalchemy.exc.DBAPIError, match=r"(?i)read.?only"):
            await connection.exec_driver_sql("INSERT INTO meta (key, value) VALUES ('a', 'b')")
    await engine.dispose()


async def test_a_reader_sees_one_state(open_store: OpenStore, database: Database) -> None:
    store = await open_store()
    await store.write(insert, "a")
    engine = database.read_engine()
    async with engine.connect() as connection:
        before = (await connection.exec_driver_sql("SELECT count(*) FROM meta")).scalar()
        await store.write(insert, "b")
        after = (await connection.exec_driver_sql("SELECT count(*) FROM meta")).scalar()
    await engine.dispose()
    assert (before, after, await store.read(keys)) == (1, 1, ["a", "b"])


async def test_a_reader_does_not_wait_for_the_writer(open_store: OpenStore) -> None:
    store = await open_store()
    await store.write(insert, "a")
    gate, held = await _busy(store)
    async with asyncio.timeout(SECONDS):
        assert await store.read(keys) == ["a"]
    gate.open()
    await held
    assert await store.read(keys) == ["a", "held"]


async def test_many_readers_at_once_are_all_served(open_store: OpenStore) -> None:
    store = await open_store()
    await store.write(insert, "a")
    assert await asyncio.gather(*(store.read(keys) for _ in range(50))) == [["a"]] * 50


async def test_a_reader_that_raises_leaves_its_connection_usable(open_store: OpenStore) -> None:
    store = await open_store()

    def broken(tx: Reader) -> None:
        tx.all(Query("SELECT nothing FROM nowhere", str))

    for _ in range(10):
        with pytest.raises(Exception, match="nowhere"):
            await store.read(broken)
    assert await store.read(keys) == []


# ---- one writer ------------------------------------------------------------------------------------


@pytest.mark.postgres
async def test_a_second_writer_is_refused_until_the_first_lets_go(
    postgres_cluster: Cluster, tmp_path: Path
) -> None:
    with postgres_cluster.database() as url:
        first = await Store.open(database_at(url, tmp_path), "state", publish=lambda _events: None)
        other = await Store.open(database_at(url, tmp_path, lease=2), "state", publish=lambda _events: None)
        await first.write(insert, "a")
        with pytest.raises(DatabaseTaken, match="Another server has the database"):
            await Store.open(database_at(url, tmp_path), "state", publish=lambda _events: None)
        await first.close()
        store = await Store.open(database_at(url, tmp_path), "state", publish=lambda _events: None)
        assert await store.write(keys) == ["a"]
        await store.close()
        await other.close()


@pytest.mark.postgres
async def test_a_writer_whose_connection_broke_opens_another(
    postgres_cluster: Cluster, tmp_path: Path
) -> None:
    with postgres_cluster.database() as url:
        reopened = asyncio.Event()
        store = await Store.open(
            database_at(url, tmp_path), "state", publish=lambda _events: None, reopened=reopened.set
        )
        await store.write(insert, "a")
        with pytest.raises(DatabaseFailed):
            await store.write(lambda tx: tx.all(Query("SELECT pg_terminate_backend(pg_backend_pid())", bool)))
        async with asyncio.timeout(SECONDS):
            assert await store.write(insert, "b") == "b"
            await reopened.wait()
        assert await store.read(keys) == ["a", "b"]
        await store.close()


@pytest.mark.postgres
async def test_a_reader_whose_connection_broke_reads_over_another(
    postgres_cluster: Cluster, tmp_path: Path
) -> None:
    with postgres_cluster.database() as url:
        store = await Store.open(database_at(url, tmp_path), "state", publish=lambda _events: None)
        await store.write(insert, "a")
        assert await store.read(keys) == ["a"]
        others = "pid <> pg_backend_pid() AND datname = current_database()"
        kill = Query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}", bool)
        await store.write(lambda tx: tx.all(kill))
        assert await asyncio.gather(*(store.read(keys) for _ in range(9))) == [["a"]] * 9
        await store.close()
