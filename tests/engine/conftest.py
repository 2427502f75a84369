"""The engine on a database of either kind, as new for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.harness import Harness, harness
from tests.support.postgres import Cluster
from trigger_lite.store.database import PostgresDatabase, SqliteDatabase


@pytest.fixture(scope="session")
def _on_postgres(postgres_cluster: Cluster) -> Iterator[Harness]:
    """One database for all tests of this process: making one costs more than most tests."""
    with postgres_cluster.database() as url, harness(PostgresDatabase(url, lease=1)) as made:
        yield made


@pytest.fixture
def engine(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> Iterator[Harness]:
    """A new installation with the environments `dev` and `prod`; ten runs may execute in each."""
    if database_kind == "postgres":
        kept: Harness = request.getfixturevalue("_on_postgres")
        kept.begin_anew()
        yield kept
        return
    with harness(SqliteDatabase(tmp_path / "state.db", synchronous="OFF")) as made:
        yield made
