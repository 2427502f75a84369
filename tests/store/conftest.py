"""Stores on a database of their own, of either kind, and the engine over one."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.harness import Harness, database_at, harness
from trigger_lite.store.database import Database
from trigger_lite.store.store import Store


class OpenStore(Protocol):
    """Opens a store; `published` collects the events of each commit as one list."""

    async def __call__(
        self, published: list[list[object]] | None = None, *, area: str = "state", inbox_limit: int = 2_000
    ) -> Store: ...


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Database:
    return database_at(database_url, tmp_path)


@pytest.fixture
async def open_store(database: Database) -> AsyncIterator[OpenStore]:
    opened: list[Store] = []

    async def open_it(
        published: list[list[object]] | None = None, *, area: str = "state", inbox_limit: int = 2_000
    ) -> Store:
        publish = (lambda _events: None) if published is None else published.append
        store = await Store.open(database, area, publish=publish, inbox_limit=inbox_limit)
        opened.append(store)
        return store

    yield open_it
    for store in opened:
        await store.close()


@pytest.fixture
def engine(database: Database) -> Iterator[Harness]:
    with harness(database) as made:
        yield made
