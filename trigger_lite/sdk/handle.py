"""A run that was triggered: look at it, wait for it, take its result."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from trigger_lite.protocol.durations import Duration
from trigger_lite.protocol.runs import RunDetail

if TYPE_CHECKING:
    from trigger_lite.sdk.client import Client

R = TypeVar("R")


class RunHandle(Generic[R]):
    """A run that was triggered; R is what its task returns.

    `id` is the run's id, `task` the task's, `is_cached` tells that an idempotency key found an earlier run.

    >>> handle = resize.trigger("https://example.com/cat.png", 100)
    >>> handle.id
    'run_06fd3v'
    >>> handle.result(timeout="1m")
    4096
    """

    def __init__(
        self,
        run_id: str,
        find_client: "Callable[[], Client]",
        *,
        task: str,
        is_cached: bool = False,
        returns: Callable[[], Any] = lambda: Any,
    ) -> None:
        self.id = run_id
        self.task = task
        self.is_cached = is_cached
        self._find_client = find_client
        self._returns = returns

    def __repr__(self) -> str:
        return f"RunHandle({self.id!r}, task={self.task!r})"

    @property
    def aio(self) -> "AsyncRunHandle[R]":
        """The same for async code.

        >>> async def thumbnail(url: str) -> int:
        ...     handle = await resize.aio.trigger(url, 100)
        ...     return await handle.aio.result()
        """
        return AsyncRunHandle(self)

    def get(self) -> RunDetail:
        """Return the run as it is now.

        >>> handle.get().status
        'COMPLETED'
        """
        return self._find_client().runs.get(self.id)

    def wait(self, *, timeout: Duration | None = None) -> RunDetail:
        """Return the run once it is over, however it ended; raises WaitTimeout when it is not in time.

        >>> handle.wait(timeout="5m").is_success
        True
        """
        return self._find_client().runs.wait(self.id, timeout=timeout)

    def result(self, *, timeout: Duration | None = None) -> R:
        """Return what the task returned, once the run is over.

        Raises RunFailed with the run's error, RunCanceled, or WaitTimeout.

        >>> handle.result(timeout="5m")
        4096
        """
        runs = self._find_client().runs
        runs.wait(self.id, timeout=timeout)
        value: R = runs.finished_result(self.id, self._returns())
        return value

    def reschedule(self, delay: "Duration | datetime") -> RunDetail:
        """Let the run, while it is delayed, start after this long from now, or at this aware time.

        Raises DefinitionError for a delay that is none, ApiError 422 when it is delayed no more.

        >>> run = handle.reschedule("2h")
        """
        return self._find_client().runs.reschedule(self.id, delay)


class AsyncRunHandle(Generic[R]):
    """A run for async code. Get one as `handle.aio`.

    >>> async def thumbnail(url: str) -> int:
    ...     handle = await resize.aio.trigger(url, 100)
    ...     return await handle.aio.result()
    """

    def __init__(self, handle: RunHandle[R]) -> None:
        self._handle = handle

    async def get(self) -> RunDetail:
        """Return the run as it is now.

        >>> async def status() -> str:
        ...     return (await handle.aio.get()).status
        """
        return await self._handle._find_client().runs.aio.get(self._handle.id)

    async def wait(self, *, timeout: Duration | None = None) -> RunDetail:  # noqa: ASYNC109 - named as in its twin
        """Return the run once it is over; raises WaitTimeout when it is not in time.

        >>> async def done() -> bool:
        ...     return (await handle.aio.wait(timeout="5m")).is_success
        """
        return await self._handle._find_client().runs.aio.wait(self._handle.id, timeout=timeout)

    async def result(self, *, timeout: Duration | None = None) -> R:  # noqa: ASYNC109 - named as in its twin
        """Return what the task returned, once the run is over; raises like `RunHandle.result`.

        >>> async def size() -> int:
        ...     return await handle.aio.result(timeout="5m")
        """
        handle = self._handle
        runs = handle._find_client().runs
        value: R = await runs.aio.typed_result(handle.id, handle._returns(), timeout=timeout)
        return value

    async def reschedule(self, delay: "Duration | datetime") -> RunDetail:
        """Let the run, while it is delayed, start after this long from now, or at this aware time.

        >>> async def later() -> str | None:
        ...     return (await handle.aio.reschedule("2h")).delayed_until
        """
        return await self._handle._find_client().runs.aio.reschedule(self._handle.id, delay)
