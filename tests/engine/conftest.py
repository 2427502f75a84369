"""The engine on a database of its own, of either kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.harness import Harness, database_at, harness


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Harness]:
    """A new installation with the environments `dev` and `prod`; ten runs may execute in each."""
    with harness(database_at(database_url, tmp_path)) as made:
        yield made
