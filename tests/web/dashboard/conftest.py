"""The application with its dashboard, over a database of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.site import Site, open_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """The owner is signed in already; no worker is connected."""
    async with open_site(tmp_path) as opened:
        yield opened
