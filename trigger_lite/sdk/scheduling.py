"""`@schedules.task`: tasks that run by the clock, and what each of their runs is told."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, Unpack, cast, overload

import msgspec

from trigger_lite.protocol.cron import parse_cron
from trigger_lite.protocol.durations import Duration
from trigger_lite.protocol.schedules import CatchUp, Overlap
from trigger_lite.sdk.decorator import ContextFirst, ContextSecond
from trigger_lite.sdk.errors import DefinitionError, suggest
from trigger_lite.sdk.options import TaskOptions, check_options, option_seconds
from trigger_lite.sdk.registry import registry
from trigger_lite.sdk.schedules import Schedules, check_choices
from trigger_lite.sdk.signature import is_async, is_whole_payload, type_hints
from trigger_lite.sdk.task import AsyncTask, Task

if TYPE_CHECKING:
    from trigger_lite.protocol.manifest import ScheduleManifest
    from trigger_lite.sdk.client import Client

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
_ENVIRONMENTS: Final = {
    "dev": "DEVELOPMENT",
    "staging": "STAGING",
    "preview": "PREVIEW",
    "prod": "PRODUCTION",
}
_ON_THE_WIRE: Final = {
    "at": "timestamp",
    "last": "lastTimestamp",
    "schedule_id": "scheduleId",
    "external_id": "externalId",
}


class Fire(msgspec.Struct, frozen=True, rename=_ON_THE_WIRE):
    """What a scheduled run is told. Times are aware; `at` is the nominal time, whenever the run starts.

    `last` is the time its predecessor was for, None at the first run. `upcoming` are the ten times that
    follow. `external_id` is what the schedule was made with, `type` "DECLARATIVE" or "IMPERATIVE".

    >>> fire = Fire(at=datetime(2030, 1, 1, 20, tzinfo=UTC), timezone="Asia/Tokyo")
    >>> fire.local.isoformat()
    '2030-01-02T05:00:00+09:00'
    """

    at: datetime
    last: datetime | None = None
    upcoming: list[datetime] = []
    schedule_id: str = ""
    external_id: str | None = None
    timezone: str = "UTC"
    type: str = "IMPERATIVE"

    @property
    def next(self) -> datetime | None:
        """The time that follows.

        >>> fire.next.isoformat()
        '2030-01-03T05:00:00+00:00'
        """
        return self.upcoming[0] if self.upcoming else None

    @property
    def local(self) -> datetime:
        """`at` in the schedule's time zone: what people there call the day.

        >>> fire.local.date().isoformat()
        '2030-01-02'
        """
        from zoneinfo import ZoneInfo

        return self.at.astimezone(ZoneInfo(self.timezone))


class ScheduledTaskOptions(TaskOptions, total=False):
    """What `@schedules.task(...)` takes: the options of `@task`, and when the task runs by itself.

    >>> @schedules.task(cron="0 5 * * *", tz="Asia/Tokyo", overlap="skip", expect_within="15m")
    ... def close_books(fire: Fire) -> str:
    ...     return fire.local.date().isoformat()
    """

    cron: str
    """Five fields: minute, hour, day of month, month, weekday. Without one, schedules are made by calls."""
    tz: str
    """The IANA time zone of the cron; UTC when not given."""
    overlap: Overlap
    """When the previous run is still going on: "allow" runs beside it, "skip" skips, "queue" waits."""
    catch_up: CatchUp
    """Of the times that passed while the server was down: "latest" runs the newest, "all", "none"."""
    expect_within: Duration
    """How soon after its time a run should be done; kept for alerts."""
    environments: list[str]
    """Only in these: "dev", "staging", "preview", "prod"; everywhere when not given."""


_SCHEDULE: Final = frozenset(ScheduledTaskOptions.__annotations__) - frozenset(TaskOptions.__annotations__)


def _schedule(subject: str, options: ScheduledTaskOptions) -> "ScheduleManifest":
    from trigger_lite.protocol.manifest import ScheduleManifest

    within, only = options.get("expect_within"), options.get("environments")
    return ScheduleManifest(
        cron=options.get("cron", ""),
        timezone=options.get("tz", "UTC"),
        environments=None if only is None else [_ENVIRONMENTS[name] for name in only],
        overlap=options.get("overlap", "allow"),
        catch_up=options.get("catch_up", "latest"),
        expect_within=None if within is None else round(option_seconds(subject, "expect_within", within)),
    )


def _check(subject: str, options: ScheduledTaskOptions) -> None:
    """Raise DefinitionError for a schedule that cannot be."""
    given: dict[str, Any] = {name: value for name, value in options.items() if name in _SCHEDULE}
    if given and "cron" not in given:
        raise DefinitionError(f"{subject}: {', '.join(sorted(given))} without a cron; give it one")
    if given:
        try:
            parse_cron(given["cron"])
        except (ValueError, AttributeError) as error:
            raise DefinitionError(f"{subject}: {error}") from None
    check_choices(subject, given)
    for name in given.get("environments", ()):
        if name not in _ENVIRONMENTS:
            near = suggest(name, _ENVIRONMENTS)
            raise DefinitionError(f"{subject}: there is no environment {name!r}; {near}")
    if "expect_within" in given:
        option_seconds(subject, "expect_within", given["expect_within"])


def _check_signature(subject: str, task: Task[..., Any]) -> None:
    parameters = list(task.signature.parameters.values())
    if not parameters:
        return
    wrong = DefinitionError(f"{subject}: it takes `fire: Fire` alone, and perhaps `ctx: Ctx`")
    if len(parameters) > 1 or parameters[0].annotation is parameters[0].empty:
        raise wrong
    try:
        hints = type_hints(task.fn)
    except DefinitionError:
        return  # a name that is not defined yet: found when the worker describes the task
    if not is_whole_payload(parameters[0], hints[parameters[0].name]):
        raise wrong


class ScheduledTaskDecorator:
    """Makes a function a scheduled task; get it as `schedules.task`.

    >>> @schedules.task(cron="0 5 * * *", tz="Asia/Tokyo")
    ... def close_books(fire: Fire) -> str:
    ...     return fire.local.date().isoformat()
    >>> run_inline(close_books, Fire(at=datetime(2030, 1, 1, tzinfo=UTC))).unwrap()
    '2030-01-01'
    """

    def __init__(self, options: ScheduledTaskOptions) -> None:
        self._options: Final = options

    @overload
    def __call__(self, fn: ContextFirst[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, fn: ContextFirst[P, R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: ContextSecond[A, Coroutine[Any, Any, R]], /) -> AsyncTask[[A], R]: ...
    @overload
    def __call__(self, fn: ContextSecond[A, R], /) -> Task[[A], R]: ...
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def __call__(
        self, fn: None = None, /, **options: Unpack[ScheduledTaskOptions]
    ) -> "ScheduledTaskDecorator": ...
    def __call__(self, fn: Any = None, /, **options: Any) -> Any:
        """Return the task of a function, or a decorator with these options.

        Raises UnknownOption or DefinitionError for an option or a signature that is wrong.
        """
        check_options("@schedules.task", options, ScheduledTaskOptions)
        merged = cast(ScheduledTaskOptions, {**self._options, **options})
        if fn is None:
            return ScheduledTaskDecorator(merged)
        made = _make(fn, merged)
        registry.add(made)
        return made


def _make(fn: Callable[..., Any], options: ScheduledTaskOptions) -> Task[..., Any]:
    own = {name: value for name, value in options.items() if name not in _SCHEDULE}
    made: Task[..., Any] = (AsyncTask if is_async(fn) else Task)(fn, cast(TaskOptions, own))
    subject = f"@schedules.task {made.id}"
    _check(subject, options)
    _check_signature(subject, made)
    made.trigger_source = "schedule"
    made.schedule = _schedule(subject, options) if "cron" in options else None
    return made


class PublicSchedules(Schedules):
    """The schedules of the configured server, and `schedules.task`, which makes tasks for them.

    >>> for schedule in schedules.list():
    ...     print(schedule.task, schedule.next_run)
    nightly 2030-01-02T05:00:00.000Z
    """

    task: Final = ScheduledTaskDecorator(ScheduledTaskOptions())
    """Makes a function a scheduled task, bare or with options."""


def _default_client() -> "Client":
    from trigger_lite.sdk.target import default_client

    return default_client()


schedules: Final = PublicSchedules(_default_client)
"""Schedules of the configured server's environment, and the decorator of their tasks."""
