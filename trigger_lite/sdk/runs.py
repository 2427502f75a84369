"""Runs of an environment: get, list, wait, results, cancel, replay, reschedule, logs."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Unpack
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET, UnsetType

from trigger_lite.protocol.durations import Duration, duration_seconds
from trigger_lite.protocol.runs import RunDetail, RunPage, RunResult, RunSummary
from trigger_lite.protocol.statuses import ApiStatus
from trigger_lite.protocol.tasks import ReplayRun, RescheduleRun, TriggeredRun
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.bulk import AsyncBulk, Bulk
from trigger_lite.sdk.codec import to_json
from trigger_lite.sdk.errors import PayloadError, RunCanceled, RunFailed, WaitTimeout
from trigger_lite.sdk.handle import RunHandle
from trigger_lite.sdk.options import ReplayOptions, option_moment, replay_options
from trigger_lite.sdk.output import decode_output
from trigger_lite.sdk.paging import cursor_pages, each_row, each_row_in_thread
from trigger_lite.sdk.payload import JSON
from trigger_lite.sdk.run_filter import RunFilter, run_query

if TYPE_CHECKING:
    from trigger_lite.sdk.client import Client

_POLL_SECONDS: Final = 25


class RunLogLine(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One log line of a run; `at` in Unix milliseconds, `seq` counts up within the run."""

    seq: int
    at: int
    level: str
    source: str
    message: str
    attempt: int
    attributes: dict[str, Any] | None = None


class LogPage(msgspec.Struct, frozen=True, rename="camel"):
    """Some log lines; `next` is what to ask after, `finished` that no line will follow."""

    lines: list[RunLogLine]
    next: int
    finished: bool


class Deadline:
    """A point in time, or none."""

    def __init__(self, run_id: str, timeout: Duration | None) -> None:
        self._run_id = run_id
        self._timeout = timeout
        self._at = None if timeout is None else time.monotonic() + duration_seconds(timeout)

    def next_poll(self) -> float:
        """Return seconds to wait for the server; raises WaitTimeout when the time is over."""
        if self._at is None:
            return _POLL_SECONDS
        left = self._at - time.monotonic()
        if left <= 0:
            raise WaitTimeout(f"{self._run_id} did not finish within {self._timeout}; it goes on")
        return min(_POLL_SECONDS, left)


class Runs:
    """Runs of one environment. `trigger_lite.runs` are those of the configured server.

    >>> for run in runs.list(status="FAILED", task="resize", period="1d"):
    ...     again = runs.replay(run.id)
    """

    def __init__(self, find_client: "Callable[[], Client]") -> None:
        self._find_client = find_client

    @property
    def aio(self) -> "AsyncRuns":
        """The same for async code.

        >>> async def status(run_id: str) -> str:
        ...     return (await runs.aio.get(run_id)).status
        """
        return AsyncRuns(self)

    @cached_property
    def bulk(self) -> Bulk:
        """Many runs at once: cancel or replay those of a filter.

        >>> action = runs.bulk.replay(status="FAILED", task="resize", period="1d")
        """
        return Bulk(self._find_client)

    def get(self, run_id: str) -> RunDetail:
        """Return a run as it is now; raises ApiError 404 when there is none of this id.

        >>> runs.get("run_06fd3v").status
        'COMPLETED'
        """
        refuse_in_event_loop("runs.get(…)", "await runs.aio.get(…)")
        return self._find_client().request("GET", f"/api/v3/runs/{quote(run_id, safe='')}", RunDetail)

    def list(self, **filters: Unpack[RunFilter]) -> Iterator[RunSummary]:
        """Go through runs, the newest first; pages are fetched as they are needed.

        Raises UnknownOption or DefinitionError for a filter that is wrong.

        >>> ids = [run.id for run in runs.list(tag="org_42", status=["QUEUED", "EXECUTING"])]
        """
        refuse_in_event_loop("runs.list(…)", "async for run in runs.aio.list(…)")
        return each_row(self.pages(run_query("runs.list", filters)))

    def pages(self, query: dict[str, str]) -> Iterator[Sequence[RunSummary]]:
        """Yield the rows of each page; `query` as the wire has it."""
        return cursor_pages(self._find_client, "/api/v1/runs", RunPage, query)

    def wait(self, run_id: str, *, timeout: Duration | None = None) -> RunDetail:
        """Return a run once it is over, however it ended; raises WaitTimeout when it is not in time.

        >>> runs.wait("run_06fd3v", timeout="5m").is_success
        True
        """
        refuse_in_event_loop("waiting for a run", "await ….aio.wait(…)")
        deadline = Deadline(run_id, timeout)
        since = ""
        while True:
            run = self.poll(run_id, deadline.next_poll(), since)
            if run.is_completed:
                return run
            since = run.updated_at

    def poll(self, run_id: str, seconds: float, since: str) -> RunDetail:
        """Return a run when it is over or was changed after `since`, or when the seconds are over."""
        query = urlencode({"seconds": round(seconds, 3), **({"since": since} if since else {})})
        path = f"/api/v1/runs/{quote(run_id, safe='')}/wait?{query}"
        return self._find_client().request("GET", path, RunDetail, wait=seconds)

    def result(self, run_id: str, *, timeout: Duration | None = None) -> Any:
        """Return what the run's task returned, once it is over.

        Raises RunFailed with the run's error, RunCanceled, or WaitTimeout.

        >>> runs.result("run_06fd3v", timeout="5m")
        4096
        """
        self.wait(run_id, timeout=timeout)
        return self.finished_result(run_id, Any)

    def finished_result(self, run_id: str, returns: Any) -> Any:
        """Return the result of a run that is over, as the type `returns`; raises RunFailed or RunCanceled."""
        path = f"/api/v1/runs/{quote(run_id, safe='')}/result"
        result = self._find_client().request("GET", path, RunResult)
        if result.ok:
            return decode_output(result.output, result.output_type, returns)
        status = self.get(run_id).status
        kind = RunCanceled if status == ApiStatus.CANCELED else RunFailed
        raise kind(run_id, task=result.task_identifier, status=status, error=result.error)

    def cancel(self, run_id: str) -> None:
        """Stop a run, and the runs it triggered; one that is over is left alone.

        >>> runs.cancel("run_06fd3v")
        """
        refuse_in_event_loop("runs.cancel(…)", "await runs.aio.cancel(…)")
        self._find_client().request("POST", f"/api/v2/runs/{quote(run_id, safe='')}/cancel", TriggeredRun)

    def replay(
        self, run_id: str, *, payload: Any | UnsetType = UNSET, **options: Unpack[ReplayOptions]
    ) -> RunHandle[Any]:
        """Trigger the same again on the current version, with the same payload and options or others.

        Works for any run. Its idempotency key, ttl, delay and max_attempts are not carried over.

        Raises PayloadError, UnknownOption, DefinitionError or ApiError; nothing was triggered then.

        >>> again = runs.replay("run_06fd3v")
        >>> larger = runs.replay("run_06fd3v", payload={"width": 200}, machine="large-1x")
        """
        refuse_in_event_loop("runs.replay(…)", "await runs.aio.replay(…)")
        body = ReplayRun(**replay_options(f"replay of {run_id}", options))
        if payload is not UNSET:
            try:
                raw = msgspec.Raw(to_json(payload).encode())
            except TypeError as error:
                raise PayloadError(f"replay of {run_id}: {error}") from error
            body = msgspec.structs.replace(body, payload=raw, payload_type=JSON)
        path = f"/api/v1/runs/{quote(run_id, safe='')}/replay"
        made = self._find_client().request("POST", path, TriggeredRun, msgspec.json.encode(body))
        return RunHandle(made.id, self._find_client, task="")

    def reschedule(self, run_id: str, delay: "Duration | datetime") -> RunDetail:
        """Let a delayed run start after this long from now, or at this aware time; returns it as it is then.

        Raises DefinitionError for a delay that is none, ApiError 422 for a run that is delayed no more.

        >>> run = runs.reschedule("run_06fd3v", "2h")
        """
        refuse_in_event_loop("runs.reschedule(…)", "await runs.aio.reschedule(…)")
        body = RescheduleRun(option_moment("runs.reschedule", "delay", delay))
        path = f"/api/v1/runs/{quote(run_id, safe='')}/reschedule"
        return self._find_client().request("POST", path, RunDetail, msgspec.json.encode(body))

    def logs(self, run_id: str) -> Iterator[RunLogLine]:
        """Go through the log lines of a run, the oldest first, up to now.

        >>> text = [line.message for line in runs.logs("run_06fd3v")]
        """
        refuse_in_event_loop("runs.logs(…)", "async for line in runs.aio.logs(…)")
        return self._lines(run_id)

    def follow_logs(self, run_id: str) -> Iterator[RunLogLine]:
        """Go through the log lines of a run, the oldest first, until it is over.

        >>> for line in runs.follow_logs("run_06fd3v"):
        ...     print(line.level, line.message)
        """
        refuse_in_event_loop("runs.follow_logs(…)", "async for line in runs.aio.follow_logs(…)")
        return self._followed_lines(run_id)

    def _lines(self, run_id: str) -> Iterator[RunLogLine]:
        page = self.log_page(run_id, 0, 0)
        while page.lines:
            yield from page.lines
            page = self.log_page(run_id, page.next, 0)

    def _followed_lines(self, run_id: str) -> Iterator[RunLogLine]:
        page = self.log_page(run_id, 0, 0)
        yield from page.lines
        while page.lines or not page.finished:
            page = self.log_page(run_id, page.next, _POLL_SECONDS)
            yield from page.lines

    def log_page(self, run_id: str, after: int, wait: int) -> LogPage:
        """Return the log lines after one; the server may wait this many seconds for the first of them."""
        query = urlencode({"after": after, "limit": 500, "wait": wait})
        path = f"/api/v1/runs/{quote(run_id, safe='')}/logs?{query}"
        return self._find_client().request("GET", path, LogPage, wait=wait)


class AsyncRuns:
    """Runs for async code. Get them as `runs.aio`.

    >>> async def failed() -> list[str]:
    ...     return [run.id async for run in runs.aio.list(status="FAILED")]
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    @property
    def bulk(self) -> AsyncBulk:
        """Many runs at once: cancel or replay those of a filter.

        >>> async def clear() -> str:
        ...     return (await runs.aio.bulk.cancel(status="QUEUED")).id
        """
        return self._runs.bulk.aio

    async def get(self, run_id: str) -> RunDetail:
        """Return a run as it is now.

        >>> async def status(run_id: str) -> str:
        ...     return (await runs.aio.get(run_id)).status
        """
        return await in_thread(self._runs.get, run_id)

    async def list(self, **filters: Unpack[RunFilter]) -> AsyncIterator[RunSummary]:
        """Go through runs, the newest first; pages are fetched as they are needed.

        >>> async def failed() -> list[str]:
        ...     return [run.id async for run in runs.aio.list(status="FAILED")]
        """
        query = run_query("runs.list", filters)
        async for row in each_row_in_thread(self._runs.pages(query)):
            yield row

    async def wait(self, run_id: str, *, timeout: Duration | None = None) -> RunDetail:  # noqa: ASYNC109 - named as in its twin
        """Return a run once it is over; raises WaitTimeout when it is not in time.

        >>> async def done(run_id: str) -> bool:
        ...     return (await runs.aio.wait(run_id, timeout="5m")).is_success
        """
        deadline = Deadline(run_id, timeout)
        since = ""
        while True:
            run = await in_thread(self._runs.poll, run_id, deadline.next_poll(), since)
            if run.is_completed:
                return run
            since = run.updated_at

    async def result(self, run_id: str, *, timeout: Duration | None = None) -> Any:  # noqa: ASYNC109 - named as in its twin
        """Return what the run's task returned, once it is over; raises like `Runs.result`.

        >>> async def size(run_id: str) -> int:
        ...     return await runs.aio.result(run_id)
        """
        return await self.typed_result(run_id, Any, timeout=timeout)

    async def typed_result(self, run_id: str, returns: Any, *, timeout: Duration | None) -> Any:  # noqa: ASYNC109 - named as in its twin
        """Return the result of a run as the type `returns`."""
        await self.wait(run_id, timeout=timeout)
        return await in_thread(self._runs.finished_result, run_id, returns)

    async def cancel(self, run_id: str) -> None:
        """Stop a run, and the runs it triggered; one that is over is left alone.

        >>> async def stop(run_id: str) -> None:
        ...     await runs.aio.cancel(run_id)
        """
        await in_thread(self._runs.cancel, run_id)

    async def replay(
        self, run_id: str, *, payload: Any | UnsetType = UNSET, **options: Unpack[ReplayOptions]
    ) -> RunHandle[Any]:
        """Trigger the same again on the current version, like `Runs.replay`.

        >>> async def again(run_id: str) -> str:
        ...     return (await runs.aio.replay(run_id, machine="large-1x")).id
        """
        return await in_thread(self._runs.replay, run_id, payload=payload, **options)

    async def reschedule(self, run_id: str, delay: "Duration | datetime") -> RunDetail:
        """Let a delayed run start after this long from now, or at this aware time.

        >>> async def later(run_id: str) -> str | None:
        ...     return (await runs.aio.reschedule(run_id, "2h")).delayed_until
        """
        return await in_thread(self._runs.reschedule, run_id, delay)

    async def logs(self, run_id: str) -> AsyncIterator[RunLogLine]:
        """Go through the log lines of a run, the oldest first, up to now.

        >>> async def text(run_id: str) -> list[str]:
        ...     return [line.message async for line in runs.aio.logs(run_id)]
        """
        page = await in_thread(self._runs.log_page, run_id, 0, 0)
        while page.lines:
            for line in page.lines:
                yield line
            page = await in_thread(self._runs.log_page, run_id, page.next, 0)

    async def follow_logs(self, run_id: str) -> AsyncIterator[RunLogLine]:
        """Go through the log lines of a run, the oldest first, until it is over.

        >>> async def show(run_id: str) -> None:
        ...     async for line in runs.aio.follow_logs(run_id):
        ...         print(line.level, line.message)
        """
        page = await in_thread(self._runs.log_page, run_id, 0, 0)
        while True:
            for line in page.lines:
                yield line
            if page.finished and not page.lines:
                return
            page = await in_thread(self._runs.log_page, run_id, page.next, _POLL_SECONDS)
