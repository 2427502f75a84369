"""Opening and closing a store."""

import os
from pathlib import Path

from trigger_lite.store.database import SqliteDatabase
from trigger_lite.store.query import Query
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Reader

_COUNT = Query("SELECT count(*) FROM organization", int)


def _count(tx: Reader) -> int | None:
    return tx.first(_COUNT)


async def test_a_store_that_was_closed_is_one_file(tmp_path: Path) -> None:
    """Whoever copies the file has all of it: nothing is left in a journal beside it."""
    database = SqliteDatabase(tmp_path / "state.db", synchronous="OFF")
    store = await Store.open(database, "state", publish=lambda _events: None)
    assert await store.read(_count) == 0
    await store.close()
    await store.close()
    assert os.listdir(tmp_path) == ["state.db"]
