"""Schedules: `/api/v1/schedules` (management-api 9.3), and the payload of the runs they make (SC-06)."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trigger_lite.protocol.pages import NumberedPages
from trigger_lite.protocol.times import iso

DECLARATIVE: Final = "DECLARATIVE"
IMPERATIVE: Final = "IMPERATIVE"
UPCOMING: Final = 10
"""How many further times a scheduled run is told (SC-06)."""
SUPERJSON: Final = "application/super+json"

Overlap = Literal["allow", "skip", "queue"]
"""What happens at a time when the previous run of the schedule is still going on."""
CatchUp = Literal["latest", "all", "none"]
"""What happens to times that passed while the server was down."""
Window = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,8})([mh]|%)$")]
ExternalId = Annotated[str, Meta(max_length=1_024)]


class ScheduleBody(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A schedule as it is asked for: everything that is absent is as by default.

    `expect_within` is a duration or a number of seconds: how long after its time a run should be done.
    """

    task: str
    cron: str
    timezone: str | None = None
    external_id: ExternalId | None = None
    window: Window | None = None
    overlap: Overlap | None = None
    catch_up: CatchUp | None = None
    expect_within: str | Annotated[int, Meta(ge=0)] | None = None


class CreateSchedule(ScheduleBody, frozen=True, rename="camel", kw_only=True):
    """The same key leads to the same schedule, which then becomes as this says (SC-11)."""

    deduplication_key: str | None = None


class ChangeSchedule(msgspec.Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What is absent stays as it is; null is as by default."""

    task: str | UnsetType = UNSET
    cron: str | UnsetType = UNSET
    timezone: str | UnsetType | None = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    window: Window | UnsetType | None = UNSET
    overlap: Overlap | UnsetType | None = UNSET
    catch_up: CatchUp | UnsetType | None = UNSET
    expect_within: str | Annotated[int, Meta(ge=0)] | UnsetType | None = UNSET


class Generator(msgspec.Struct, frozen=True, rename="camel"):
    """When a schedule runs: a cron expression, and the same in English."""

    expression: str
    description: str
    type: str = "CRON"


class ScheduleEnvironment(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    type: str


class Schedule(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A schedule; times ISO-8601, `expect_within` in seconds.

    `next_run` is absent while it is inactive, `last_run` is the time that its last run was for.
    """

    id: str
    type: str
    task: str
    active: bool
    generator: Generator
    timezone: str
    overlap: str
    catch_up: str
    environments: list[ScheduleEnvironment]
    deduplication_key: str | None = None
    external_id: str | None = None
    window: str | None = None
    expect_within: int | None = None
    next_run: str | None = None
    next_run_effective_at: str | None = None
    last_run: str | None = None


class SchedulePage(msgspec.Struct, frozen=True, rename="camel"):
    data: list[Schedule]
    pagination: NumberedPages


class RunSchedule(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The schedule of a run, as the run shows it."""

    id: str
    generator: Generator
    external_id: str | None = None
    deduplication_key: str | None = None


class TimeZones(msgspec.Struct, frozen=True, rename="camel"):
    timezones: list[str]


def fire_payload(
    *,
    schedule_id: str,
    kind: str,
    at: int,
    last_at: int | None,
    timezone: str,
    external_id: str | None,
    upcoming: Sequence[int],
) -> str:
    """Return the payload of a scheduled run as SuperJSON text, in which times are dates (SC-06). Unix ms."""
    values: dict[str, Any] = {
        "scheduleId": schedule_id,
        "type": kind,
        "timestamp": iso(at),
        "timezone": timezone,
    }
    dates = ["timestamp"]
    if last_at is not None:
        values["lastTimestamp"] = iso(last_at)
        dates.append("lastTimestamp")
    if external_id is not None:
        values["externalId"] = external_id
    values["upcoming"] = [iso(moment) for moment in upcoming]
    dates += [f"upcoming.{index}" for index in range(len(upcoming))]
    packet = {"json": values, "meta": {"values": {path: ["Date"] for path in dates}}}
    return msgspec.json.encode(packet).decode()
