"""Bulk actions: cancel or replay many runs, without waiting for each."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Literal, Unpack
from urllib.parse import quote

import msgspec

from trigger_lite.protocol.bulk_actions import (
    BulkAction,
    BulkActionId,
    BulkActionPage,
    BulkStatus,
    CreateBulkAction,
)
from trigger_lite.protocol.durations import Duration, duration_seconds
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.errors import DefinitionError, WaitTimeout
from trigger_lite.sdk.paging import cursor_pages, each_row, each_row_in_thread
from trigger_lite.sdk.run_filter import RunFilter, bulk_filter

if TYPE_CHECKING:
    from trigger_lite.sdk.client import Client

_PATH: Final = "/api/v1/bulk-actions"


class Bulk:
    """Bulk actions of one environment. Get them as `runs.bulk`.

    >>> action = runs.bulk.cancel(status="QUEUED", task="resize")
    >>> runs.bulk.wait(action.id).counts.success
    2
    """

    def __init__(self, find_client: "Callable[[], Client]") -> None:
        self._find_client = find_client

    @property
    def aio(self) -> "AsyncBulk":
        """The same for async code.

        >>> async def clear() -> str:
        ...     return (await runs.bulk.aio.cancel(status="QUEUED")).id
        """
        return AsyncBulk(self)

    def cancel(
        self, run_ids: Sequence[str] | None = None, *, name: str | None = None, **filters: Unpack[RunFilter]
    ) -> BulkAction:
        """Begin to cancel the runs named, at most 500, or all of a filter as in `runs.list`.

        Runs that are made later are not meant. Raises UnknownOption, DefinitionError or ApiError.

        >>> action = runs.bulk.cancel(status=["QUEUED", "DELAYED"], tag="org_42", period="30d")
        """
        refuse_in_event_loop("runs.bulk.cancel(…)", "await runs.bulk.aio.cancel(…)")
        return self._begin("cancel", run_ids, name, filters)

    def replay(
        self, run_ids: Sequence[str] | None = None, *, name: str | None = None, **filters: Unpack[RunFilter]
    ) -> BulkAction:
        """Begin to trigger the runs named, or all of a filter, again; the oldest first.

        At most three replays of an environment go on at a time. Raises like `cancel`.

        >>> action = runs.bulk.replay(status="FAILED", task="resize", period="1d", name="after the fix")
        """
        refuse_in_event_loop("runs.bulk.replay(…)", "await runs.bulk.aio.replay(…)")
        return self._begin("replay", run_ids, name, filters)

    def _begin(
        self,
        action: Literal["cancel", "replay"],
        run_ids: Sequence[str] | None,
        name: str | None,
        filters: RunFilter,
    ) -> BulkAction:
        subject = f"runs.bulk.{action}"
        if (run_ids is None) == (not filters):
            raise DefinitionError(f"{subject}: give either the ids of runs or a filter such as status=…")
        body = CreateBulkAction(
            action=action,
            filter=bulk_filter(subject, filters) if filters else None,
            run_ids=None if run_ids is None else list(run_ids),
            name=name,
        )
        made = self._find_client().request("POST", _PATH, BulkActionId, msgspec.json.encode(body))
        return self.get(made.id)

    def get(self, bulk_id: str) -> BulkAction:
        """Return a bulk action as it is now; raises ApiError 404 when there is none of this id.

        >>> runs.bulk.get("bulk_06fd3v").status
        'COMPLETED'
        """
        refuse_in_event_loop("runs.bulk.get(…)", "await runs.bulk.aio.get(…)")
        return self._find_client().request("GET", f"{_PATH}/{quote(bulk_id, safe='')}", BulkAction)

    def list(self) -> Iterator[BulkAction]:
        """Go through bulk actions, the newest first; pages are fetched as they are needed.

        >>> names = [action.name for action in runs.bulk.list()]
        """
        refuse_in_event_loop("runs.bulk.list()", "async for action in runs.bulk.aio.list()")
        return each_row(self.pages())

    def pages(self) -> Iterator[Sequence[BulkAction]]:
        """Yield the rows of each page."""
        return cursor_pages(self._find_client, _PATH, BulkActionPage)

    def abort(self, bulk_id: str) -> None:
        """Do no more of a bulk action; what was done stays. Raises ApiError 422 when it is over.

        >>> runs.bulk.abort("bulk_06fd3v")
        """
        refuse_in_event_loop("runs.bulk.abort(…)", "await runs.bulk.aio.abort(…)")
        path = f"{_PATH}/{quote(bulk_id, safe='')}/abort"
        self._find_client().request("POST", path, BulkActionId)

    def wait(self, bulk_id: str, *, timeout: Duration | None = None, interval: Duration = 1) -> BulkAction:
        """Return a bulk action once it is over, looking every `interval`; raises WaitTimeout.

        >>> runs.bulk.wait("bulk_06fd3v", timeout="5m").counts.failure
        0
        """
        refuse_in_event_loop("runs.bulk.wait(…)", "await runs.bulk.aio.wait(…)")
        end = None if timeout is None else time.monotonic() + duration_seconds(timeout)
        while True:
            action = self.get(bulk_id)
            if action.status != BulkStatus.PENDING:
                return action
            if end is not None and time.monotonic() >= end:
                raise WaitTimeout(f"{bulk_id} was not through within {timeout}; it goes on")
            time.sleep(duration_seconds(interval))


class AsyncBulk:
    """Bulk actions for async code. Get them as `runs.bulk.aio`.

    >>> async def clear() -> str:
    ...     return (await runs.bulk.aio.cancel(status="QUEUED")).id
    """

    def __init__(self, bulk: Bulk) -> None:
        self._bulk = bulk

    async def cancel(
        self, run_ids: Sequence[str] | None = None, *, name: str | None = None, **filters: Unpack[RunFilter]
    ) -> BulkAction:
        """Begin to cancel the runs named, or all of a filter.

        >>> async def clear() -> str:
        ...     return (await runs.bulk.aio.cancel(status="QUEUED", task="resize")).id
        """
        return await in_thread(self._bulk.cancel, run_ids, name=name, **filters)

    async def replay(
        self, run_ids: Sequence[str] | None = None, *, name: str | None = None, **filters: Unpack[RunFilter]
    ) -> BulkAction:
        """Begin to trigger the runs named, or all of a filter, again.

        >>> async def again(run_id: str) -> str:
        ...     return (await runs.bulk.aio.replay([run_id])).id
        """
        return await in_thread(self._bulk.replay, run_ids, name=name, **filters)

    async def get(self, bulk_id: str) -> BulkAction:
        """Return a bulk action as it is now.

        >>> async def done(bulk_id: str) -> int:
        ...     return (await runs.bulk.aio.get(bulk_id)).counts.success
        """
        return await in_thread(self._bulk.get, bulk_id)

    async def list(self) -> AsyncIterator[BulkAction]:
        """Go through bulk actions, the newest first; pages are fetched as they are needed.

        >>> async def names() -> list[str | None]:
        ...     return [action.name async for action in runs.bulk.aio.list()]
        """
        async for row in each_row_in_thread(self._bulk.pages()):
            yield row

    async def abort(self, bulk_id: str) -> None:
        """Do no more of a bulk action; what was done stays.

        >>> async def stop(bulk_id: str) -> None:
        ...     await runs.bulk.aio.abort(bulk_id)
        """
        await in_thread(self._bulk.abort, bulk_id)

    async def wait(
        self,
        bulk_id: str,
        *,
        timeout: Duration | None = None,  # noqa: ASYNC109 - named as in its twin
        interval: Duration = 1,
    ) -> BulkAction:
        """Return a bulk action once it is over, looking every `interval`; raises WaitTimeout.

        >>> async def finished(bulk_id: str) -> str:
        ...     return (await runs.bulk.aio.wait(bulk_id, timeout="5m")).status
        """
        return await in_thread(self._bulk.wait, bulk_id, timeout=timeout, interval=interval)
