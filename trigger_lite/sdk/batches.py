"""Batches of an environment: get, list."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from trigger_lite.protocol.batches import BatchPage, BatchSummary, BatchView
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop

if TYPE_CHECKING:
    from trigger_lite.sdk.client import Client

_PAGE_SIZE: Final = 50


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
        return self._pages()

    def _pages(self) -> Iterator[BatchSummary]:
        after: str | None = ""
        while after is not None:
            page = self.page(after)
            yield from page.data
            after = page.pagination.next

    def page(self, after: str) -> BatchPage:
        """Return one page; `after` is a cursor or nothing."""
        query = {"page[size]": _PAGE_SIZE, **({"page[after]": after} if after else {})}
        return self._find_client().request("GET", f"/api/v1/batches?{urlencode(query)}", BatchPage)


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
        after: str | None = ""
        while after is not None:
            page = await in_thread(self._batches.page, after)
            for batch in page.data:
                yield batch
            after = page.pagination.next
