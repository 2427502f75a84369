"""Queues of an environment as they are now: look at them, pause them, change their limits for a while."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import msgspec

from trigger_lite.protocol.durations import Duration
from trigger_lite.protocol.queues import OverrideQueue, PauseQueue, QueueItem, QueuePage, ResetQueue
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.errors import ApiError
from trigger_lite.sdk.options import option_moment
from trigger_lite.sdk.paging import each_row, each_row_in_thread, numbered_pages
from trigger_lite.sdk.queue import Queue

if TYPE_CHECKING:
    from trigger_lite.sdk.client import Client

_TASK: Final = "task/"
_PATH: Final = "/api/v1/queues"


class Queues:
    """Queues of one environment. `trigger_lite.queues` are those of the configured server.

    A queue is named by its name, by the `Queue` of the code, or by "task/…" for the own queue of a task.

    >>> for queue in queues.list():
    ...     if queue.queued > 100:
    ...         print(queue.name, queue.running, queue.concurrency_limit)
    """

    def __init__(self, find_client: "Callable[[], Client]") -> None:
        self._find_client = find_client

    @property
    def aio(self) -> "AsyncQueues":
        """The same for async code.

        >>> async def waiting() -> int:
        ...     return (await queues.aio.get("crm")).queued
        """
        return AsyncQueues(self)

    def list(self) -> Iterator[QueueItem]:
        """Go through queues by name; pages are fetched as they are needed.

        >>> paused = [queue.name for queue in queues.list() if queue.paused]
        """
        refuse_in_event_loop("queues.list()", "async for queue in queues.aio.list()")
        return each_row(self.pages())

    def pages(self) -> Iterator[Sequence[QueueItem]]:
        """Yield the rows of each page."""
        return numbered_pages(self._find_client, _PATH, QueuePage)

    def get(self, queue: Queue | str) -> QueueItem:
        """Return a queue as it is now; raises ApiError 404 when no run or worker has named it yet.

        >>> queues.get("crm").running
        5
        """
        refuse_in_event_loop("queues.get(…)", "await queues.aio.get(…)")
        kind, path = _address(queue)
        return self._ask("GET", f"{path}?{urlencode({'type': kind})}", queue)

    def pause(self, queue: Queue | str) -> QueueItem:
        """Start nothing from a queue any more: triggers are accepted, what runs goes on.

        >>> queues.pause("crm").paused
        True
        """
        refuse_in_event_loop("queues.pause(…)", "await queues.aio.pause(…)")
        kind, path = _address(queue)
        return self._ask("POST", f"{path}/pause", queue, PauseQueue(action="pause", type=kind))

    def resume(self, queue: Queue | str) -> QueueItem:
        """Go on with what waits in a queue that was paused.

        >>> waiting = queues.resume("crm").queued
        """
        refuse_in_event_loop("queues.resume(…)", "await queues.aio.resume(…)")
        kind, path = _address(queue)
        return self._ask("POST", f"{path}/pause", queue, PauseQueue(action="resume", type=kind))

    def limit(
        self,
        queue: Queue | str,
        concurrency: int | None = None,
        *,
        percent: float | None = None,
        until: "Duration | datetime | None" = None,
    ) -> QueueItem:
        """Let so many runs of a queue go on at once, or so many percent of the environment's limit.

        This wins over what the code says, also after a deploy, until it is reset or `until` is reached.
        Raises ApiError 400 for a limit beyond the environment's.

        >>> queues.limit("crm", 1, until="2h").concurrency_limit
        1
        """
        refuse_in_event_loop("queues.limit(…)", "await queues.aio.limit(…)")
        kind, path = _address(queue)
        end = None if until is None else option_moment("queues.limit", "until", until)
        wanted = OverrideQueue(type=kind, concurrency_limit=concurrency, percent=percent, until=end)
        return self._ask("POST", f"{path}/concurrency/override", queue, wanted)

    def reset(self, queue: Queue | str) -> QueueItem:
        """Go back to the limit that the code says; raises ApiError 400 when nothing else is set.

        >>> queues.reset("crm").concurrency_limit
        5
        """
        refuse_in_event_loop("queues.reset(…)", "await queues.aio.reset(…)")
        kind, path = _address(queue)
        return self._ask("POST", f"{path}/concurrency/reset", queue, ResetQueue(type=kind))

    def _ask(self, method: str, path: str, queue: Queue | str, body: Any = None) -> QueueItem:
        raw = None if body is None else msgspec.json.encode(body)
        try:
            return self._find_client().request(method, path, QueueItem, raw)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise ApiError(error.status, _missing(_name(queue))) from None


def _name(queue: Queue | str) -> str:
    return queue.name if isinstance(queue, Queue) else queue


def _missing(name: str) -> str:
    hint = "" if name.startswith(_TASK) else f"; the own queue of a task {name!r} would be '{_TASK}{name}'"
    return f"no run and no worker has named a queue {name!r} yet{hint}"


def _address(queue: Queue | str) -> tuple[Any, str]:
    """Return the type and the path of a queue; a slash is encoded twice, as the server expects it."""
    name = _name(queue)
    kind = "task" if name.startswith(_TASK) else "custom"
    return kind, f"{_PATH}/{quote(name.replace('/', '%2F'), safe='')}"


class AsyncQueues:
    """Queues for async code. Get them as `queues.aio`.

    >>> async def crowded() -> list[str]:
    ...     return [queue.name async for queue in queues.aio.list() if queue.queued > 100]
    """

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    async def list(self) -> AsyncIterator[QueueItem]:
        """Go through queues by name; pages are fetched as they are needed.

        >>> async def paused() -> list[str]:
        ...     return [queue.name async for queue in queues.aio.list() if queue.paused]
        """
        async for row in each_row_in_thread(self._queues.pages()):
            yield row

    async def get(self, queue: Queue | str) -> QueueItem:
        """Return a queue as it is now.

        >>> async def waiting() -> int:
        ...     return (await queues.aio.get("crm")).queued
        """
        return await in_thread(self._queues.get, queue)

    async def pause(self, queue: Queue | str) -> QueueItem:
        """Start nothing from a queue any more.

        >>> async def stop() -> None:
        ...     await queues.aio.pause("crm")
        """
        return await in_thread(self._queues.pause, queue)

    async def resume(self, queue: Queue | str) -> QueueItem:
        """Go on with what waits in a queue that was paused.

        >>> async def go_on() -> None:
        ...     await queues.aio.resume("crm")
        """
        return await in_thread(self._queues.resume, queue)

    async def limit(
        self,
        queue: Queue | str,
        concurrency: int | None = None,
        *,
        percent: float | None = None,
        until: "Duration | datetime | None" = None,
    ) -> QueueItem:
        """Let so many runs of a queue go on at once, like `Queues.limit`.

        >>> async def slow_down() -> None:
        ...     await queues.aio.limit("crm", 1, until="2h")
        """
        return await in_thread(self._queues.limit, queue, concurrency, percent=percent, until=until)

    async def reset(self, queue: Queue | str) -> QueueItem:
        """Go back to the limit that the code says.

        >>> async def back() -> None:
        ...     await queues.aio.reset("crm")
        """
        return await in_thread(self._queues.reset, queue)
