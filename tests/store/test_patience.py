"""A search that takes too long is stopped, and the connection goes on as before."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.harness import database_at
from trigger_lite.protocol.errors import SearchTooSlow
from trigger_lite.store.database import READERS
from trigger_lite.store.query import Query
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Reader

ENDLESS: Final = Query(
    """WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2000000000)
       SELECT count(*) FROM numbers""",
    int,
)
QUICK: Final = Query("SELECT 7", int)
LONGER: Final = Query(
    """WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000000)
       SELECT count(*) FROM numbers""",
    int,
)


@pytest.fixture
async def store(database_url: str, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(database_at(database_url, tmp_path), "state", publish=lambda events: None)
    yield opened
    await opened.close()


def _first(tx: Reader, query: "Query[int]") -> int | None:
    return tx.first(query)


async def test_an_endless_search_is_stopped(store: Store) -> None:
    with pytest.raises(SearchTooSlow, match="narrow it"):
        await store.search(_first, ENDLESS)


async def test_every_connection_works_on_after_a_search_was_stopped(store: Store) -> None:
    for _ in range(READERS + 1):
        with pytest.raises(SearchTooSlow):
            await store.search(_first, ENDLESS)
    assert [await store.search(_first, QUICK) for _ in range(READERS + 1)] == [7] * (READERS + 1)


async def test_what_is_no_search_is_not_stopped(store: Store) -> None:
    await store.search(_first, QUICK)
    assert await store.read(_first, LONGER) == 1_000_000
