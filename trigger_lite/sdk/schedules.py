"""Schedules of an environment: make, change, pause, list and run them."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, Unpack, get_args
from urllib.parse import quote

import msgspec

from trigger_lite.protocol.durations import Duration
from trigger_lite.protocol.schedules import CatchUp, Overlap, Schedule, SchedulePage
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.errors import DefinitionError
from trigger_lite.sdk.options import check_options, option_seconds
from trigger_lite.sdk.paging import each_row, each_row_in_thread, numbered_pages

if TYPE_CHECKING:
    from collections.abc import Callable

    from trigger_lite.sdk.client import Client
    from trigger_lite.sdk.handle import RunHandle
    from trigger_lite.sdk.task import Task

T = TypeVar("T")
_PATH: Final = "/api/v1/schedules"


_CHOICES: Final = {"overlap": get_args(Overlap), "catch_up": get_args(CatchUp)}


class ScheduleOptions(TypedDict, total=False):
    """What a schedule may say beside its task and its cron; None is as when it says nothing.

    >>> made = schedules.create(nightly, "0 5 * * *", tz="Asia/Tokyo", overlap="skip", external_id="user_7")
    """

    tz: str | None
    """The IANA time zone of the cron, such as "Europe/Berlin"; UTC when not given."""
    external_id: str | None
    """Handed to every run, as `fire.external_id`."""
    overlap: Overlap | None
    """When the previous run is still going on: "allow" runs beside it, "skip" skips, "queue" waits."""
    catch_up: CatchUp | None
    """Of the times that passed while the server was down: "latest" runs the newest, "all", "none"."""
    expect_within: Duration | None
    """How soon after its time a run should be done; kept for alerts."""


class ScheduleChanges(ScheduleOptions, total=False):
    """What `schedules.update(...)` changes; what is not given stays as it is.

    >>> later = schedules.update("sched_06fd3v", cron="0 6 * * *", external_id=None)
    """

    task: "Task[..., Any] | str"
    """Another scheduled task, or its id."""
    cron: str
    """Another cron."""


_WIRE: Final = {
    "tz": "timezone",
    "external_id": "externalId",
    "overlap": "overlap",
    "catch_up": "catchUp",
    "expect_within": "expectWithin",
    "task": "task",
    "cron": "cron",
}


class Schedules:
    """Schedules of one environment. `trigger_lite.schedules` are those of the configured server.

    Those that code declares with `@schedules.task(cron=…)` are here, too; they can be paused and run, but are
    changed in code.

    >>> for schedule in schedules.list():
    ...     print(schedule.task, schedule.generator.description)
    nightly At 05:00 every day
    """

    def __init__(self, find_client: "Callable[[], Client]") -> None:
        self._find_client = find_client

    @property
    def aio(self) -> "AsyncSchedules":
        """The same for async code.

        >>> async def next_run(schedule_id: str) -> str | None:
        ...     return (await schedules.aio.get(schedule_id)).next_run
        """
        return AsyncSchedules(self)

    def create(
        self,
        task: "Task[..., Any] | str",
        cron: str,
        *,
        dedup_key: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Make a schedule for a scheduled task; the same `dedup_key` changes the one that has it.

        Raises ApiError for a cron, a zone or a task that cannot be used, UnknownOption or DefinitionError.

        >>> made = schedules.create(nightly, "0 5 * * *", tz="Asia/Tokyo", dedup_key="user_7")
        >>> made.generator.description
        'At 05:00 every day'
        """
        refuse_in_event_loop("schedules.create(…)", "await schedules.aio.create(…)")
        check_options("schedules.create", options, ScheduleOptions, beside=("dedup_key",))
        body = _body("schedules.create", {"task": task, "cron": cron, **options})
        if dedup_key is not None:
            body["deduplicationKey"] = dedup_key
        return self._send("POST", _PATH, Schedule, body)

    def update(self, schedule_id: str, **changes: Unpack[ScheduleChanges]) -> Schedule:
        """Change a schedule; the same timing keeps the time that is planned.

        Raises ApiError 422 for one that is declared in code, 404 when there is none of this id.

        >>> schedules.update("sched_06fd3v", cron="0 6 * * *").generator.expression
        '0 6 * * *'
        """
        refuse_in_event_loop("schedules.update(…)", "await schedules.aio.update(…)")
        check_options("schedules.update", changes, ScheduleChanges)
        return self._send("PATCH", _one(schedule_id), Schedule, _body("schedules.update", changes))

    def get(self, schedule_id: str) -> Schedule:
        """Return a schedule as it is now; raises ApiError 404 when there is none of this id.

        >>> schedules.get("sched_06fd3v").active
        True
        """
        refuse_in_event_loop("schedules.get(…)", "await schedules.aio.get(…)")
        return self._send("GET", _one(schedule_id), Schedule)

    def list(self) -> Iterator[Schedule]:
        """Go through schedules, the newest first; pages are fetched as they are needed.

        >>> paused = [schedule.id for schedule in schedules.list() if not schedule.active]
        """
        refuse_in_event_loop("schedules.list()", "async for schedule in schedules.aio.list()")
        return each_row(self.pages())

    def pages(self) -> Iterator[Sequence[Schedule]]:
        """Yield the rows of each page."""
        return numbered_pages(self._find_client, _PATH, SchedulePage)

    def pause(self, schedule_id: str) -> Schedule:
        """Let a schedule run no more until it is resumed.

        >>> schedules.pause("sched_06fd3v").active
        False
        """
        refuse_in_event_loop("schedules.pause(…)", "await schedules.aio.pause(…)")
        return self._send("POST", f"{_one(schedule_id)}/deactivate", Schedule)

    def resume(self, schedule_id: str) -> Schedule:
        """Let a paused schedule go on with its next future time.

        >>> schedules.resume("sched_06fd3v").active
        True
        """
        refuse_in_event_loop("schedules.resume(…)", "await schedules.aio.resume(…)")
        return self._send("POST", f"{_one(schedule_id)}/activate", Schedule)

    def delete(self, schedule_id: str) -> None:
        """Remove a schedule; its runs stay. Raises ApiError 422 for one that is declared in code.

        >>> schedules.delete("sched_06fd3v")
        """
        refuse_in_event_loop("schedules.delete(…)", "await schedules.aio.delete(…)")
        self._send("DELETE", _one(schedule_id), dict)

    def run_now(self, schedule_id: str) -> "RunHandle[Any]":
        """Run a schedule beside its times, which stay as planned.

        Raises ApiError 422 when its previous run is still going on and `overlap` is not "allow".

        >>> handle = schedules.run_now("sched_06fd3v")
        """
        from trigger_lite.protocol.tasks import TriggeredRun
        from trigger_lite.sdk.handle import RunHandle

        refuse_in_event_loop("schedules.run_now(…)", "await schedules.aio.run_now(…)")
        run = self._send("POST", f"{_one(schedule_id)}/run", TriggeredRun)
        return RunHandle(run.id, self._find_client, task="")

    def _send(self, method: str, path: str, kind: type[T], body: dict[str, Any] | None = None) -> T:
        raw = None if body is None else msgspec.json.encode(body)
        return self._find_client().request(method, path, kind, raw)


def _one(schedule_id: str) -> str:
    return f"{_PATH}/{quote(schedule_id, safe='')}"


def check_choices(subject: str, options: Mapping[str, Any]) -> None:
    """Raise DefinitionError for an `overlap` or a `catch_up` that there is not."""
    for name, choices in _CHOICES.items():
        if options.get(name) is not None and options[name] not in choices:
            raise DefinitionError(f"{subject}: {name} is {options[name]!r}; there is {', '.join(choices)}")


def _body(subject: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as the wire has them."""
    check_choices(subject, options)
    body = {_WIRE[name]: value for name, value in options.items()}
    task = body.get("task")
    if task is not None and not isinstance(task, str):
        body["task"] = task.id
    if body.get("expectWithin") is not None:
        body["expectWithin"] = round(option_seconds(subject, "expect_within", body["expectWithin"]))
    return body


class AsyncSchedules:
    """Schedules for async code. Get them as `schedules.aio`.

    >>> async def paused() -> list[str]:
    ...     return [schedule.id async for schedule in schedules.aio.list() if not schedule.active]
    """

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    async def create(
        self,
        task: "Task[..., Any] | str",
        cron: str,
        *,
        dedup_key: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Make a schedule for a scheduled task, like `Schedules.create`.

        >>> async def remind(user: str) -> str:
        ...     return (await schedules.aio.create(nightly, "0 5 * * *", dedup_key=user)).id
        """
        return await in_thread(self._schedules.create, task, cron, dedup_key=dedup_key, **options)

    async def update(self, schedule_id: str, **changes: Unpack[ScheduleChanges]) -> Schedule:
        """Change a schedule, like `Schedules.update`.

        >>> async def move(schedule_id: str) -> None:
        ...     await schedules.aio.update(schedule_id, cron="0 6 * * *")
        """
        return await in_thread(self._schedules.update, schedule_id, **changes)

    async def get(self, schedule_id: str) -> Schedule:
        """Return a schedule as it is now.

        >>> async def next_run(schedule_id: str) -> str | None:
        ...     return (await schedules.aio.get(schedule_id)).next_run
        """
        return await in_thread(self._schedules.get, schedule_id)

    async def list(self) -> AsyncIterator[Schedule]:
        """Go through schedules, the newest first; pages are fetched as they are needed.

        >>> async def all_tasks() -> set[str]:
        ...     return {schedule.task async for schedule in schedules.aio.list()}
        """
        async for row in each_row_in_thread(self._schedules.pages()):
            yield row

    async def pause(self, schedule_id: str) -> Schedule:
        """Let a schedule run no more until it is resumed.

        >>> async def stop(schedule_id: str) -> None:
        ...     await schedules.aio.pause(schedule_id)
        """
        return await in_thread(self._schedules.pause, schedule_id)

    async def resume(self, schedule_id: str) -> Schedule:
        """Let a paused schedule go on with its next future time.

        >>> async def go_on(schedule_id: str) -> None:
        ...     await schedules.aio.resume(schedule_id)
        """
        return await in_thread(self._schedules.resume, schedule_id)

    async def delete(self, schedule_id: str) -> None:
        """Remove a schedule; its runs stay.

        >>> async def remove(schedule_id: str) -> None:
        ...     await schedules.aio.delete(schedule_id)
        """
        await in_thread(self._schedules.delete, schedule_id)

    async def run_now(self, schedule_id: str) -> "RunHandle[Any]":
        """Run a schedule beside its times, which stay as planned.

        >>> async def run(schedule_id: str) -> str:
        ...     return (await schedules.aio.run_now(schedule_id)).id
        """
        return await in_thread(self._schedules.run_now, schedule_id)
