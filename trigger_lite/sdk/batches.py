"""Batches of an environment: get, list."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from trigger_lite.protocol.batches import BatchPage, BatchSummary, BatchView
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.paging import cursor_pages, each_row, each_row_in_thread

if TYPE_CHECKING:
    from trigger_lite.sdk.client import Client


class Batches:
    """Batches of one environment. `trigger_lite.batches` are those of the configured server.

    >>> for batch in batches.list():
    ...     print(batch.id, batch.status, batch.finished, batch.run_count)
    batch_06fd3v COMPLETED 2 2
    """

    def __init__(self, find_client: "Callable[[], Client]") -> None:
        self._find_client = find_client

    @property
    def aio(self) -> "AsyncBatches":
        """The same for async code.

        >>> async def status(batch_id: str) -> str:
        ...     return (await batches.aio.get(batch_id)).status
        """
        return AsyncBatches(self)

    def get(self, batch_id: str) -> BatchView:
        """Return a batch as it is now, with the ids of its runs; raises ApiError 404 when there is none.

        >>> batches.get("batch_06fd3v").status
        'COMPLETED'
        """
        refuse_in_event_loop("batches.get(…)", "await batches.aio.get(…)")
        return self._find_client().request("GET", f"/api/v2/batches/{quote(batch_id, safe='')}", BatchView)

    def list(self) -> Iterator[BatchSummary]:
        """Go through batches, the newest first; pages are fetched as they are needed.

        >>> going_on = [batch.id for batch in batches.list() if batch.status == "PENDING"]
        """
        refuse_in_event_loop("batches.list()", "async for batch in batches.aio.list()")
        return each_row(self.pages())

    def pages(self) -> Iterator[Sequence[BatchSummary]]:
        """Yield the rows of each page."""
        return cursor_pages(self._find_client, "/api/v1/batches", BatchPage)


class AsyncBatches:
    """Batches for async code. Get them as `batches.aio`.

    >>> async def going_on() -> list[str]:
    ...     return [batch.id async for batch in batches.aio.list() if batch.status == "PENDING"]
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    async def get(self, batch_id: str) -> BatchView:
        """Return a batch as it is now.

        >>> async def status(batch_id: str) -> str:
        ...     return (await batches.aio.get(batch_id)).status
        """
        return await in_thread(self._batches.get, batch_id)

    async def list(self) -> AsyncIterator[BatchSummary]:
        """Go through batches, the newest first; pages are fetched as they are needed.

        >>> async def newest() -> str:
        ...     async for batch in batches.aio.list():
        ...         return batch.id
        ...     return ""
        """
        async for row in each_row_in_thread(self._batches.pages()):
            yield row
