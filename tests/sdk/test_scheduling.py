"""`@schedules.task` and what its runs are told: SC-06, SC-10."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.support.edge import Edge, Reply
from trigger_lite import Ctx, DefinitionError, Fire, Retry, UnknownOption, run_inline, schedules, task
from trigger_lite.protocol.manifest import ScheduleManifest
from trigger_lite.protocol.schedules import fire_payload
from trigger_lite.sdk.payload import SUPERJSON
from trigger_lite.sdk.registry import registry

AT = datetime(2030, 1, 1, 20, tzinfo=UTC)


@schedules.task(
    cron="0 5 * * *",
    tz="Asia/Tokyo",
    overlap="skip",
    catch_up="all",
    expect_within="15m",
    environments=["prod", "dev"],
    retry=Retry(5),
)
def close_books(fire: Fire) -> str:
    """Close the books."""
    return f"{fire.local.date()} after {fire.last} then {fire.next} for {fire.external_id}"


def test_a_task_declares_when_it_runs() -> None:
    """SC-10: and is a task with everything that tasks have."""
    manifest = close_books.manifest()
    assert (manifest.id, manifest.trigger_source, manifest.description) == (
        *("close_books", "schedule", "Close the books."),
    )
    assert manifest.retry is not None and manifest.retry.max_attempts == 5
    assert manifest.schedule == ScheduleManifest(
        cron="0 5 * * *",
        timezone="Asia/Tokyo",
        environments=["PRODUCTION", "DEVELOPMENT"],
        overlap="skip",
        catch_up="all",
        expect_within=900,
    )
    assert registry.find("close_books") is close_books


def test_a_task_without_a_cron_is_there_for_schedules_made_by_calls() -> None:
    """SC-11."""

    @schedules.task
    def bare(fire: Fire) -> None: ...

    @schedules.task(id="with-options", max_duration="1m")
    def options(fire: Fire) -> None: ...

    for made in (bare, options):
        manifest = made.manifest()
        assert (manifest.trigger_source, manifest.schedule) == ("schedule", None)
    assert options.id == "with-options"


def test_an_ordinary_task_declares_nothing() -> None:
    @task
    def ordinary(url: str) -> None: ...

    assert (ordinary.manifest().trigger_source, ordinary.manifest().schedule) == (None, None)


def test_a_run_is_told_its_times() -> None:
    """SC-06: the payload that the engine writes, read as the task's parameter."""
    at = round(AT.timestamp() * 1000)
    text = fire_payload(
        schedule_id="sched_1",
        kind="DECLARATIVE",
        at=at,
        last_at=at - 86_400_000,
        timezone="Asia/Tokyo",
        external_id="user_7",
        upcoming=[at + n * 86_400_000 for n in range(1, 11)],
    )
    (fire,) = close_books.codec.decode(text, SUPERJSON).args
    assert fire == Fire(
        at=AT,
        last=AT - timedelta(days=1),
        upcoming=[AT + timedelta(days=n) for n in range(1, 11)],
        schedule_id="sched_1",
        external_id="user_7",
        timezone="Asia/Tokyo",
        type="DECLARATIVE",
    )
    assert fire.next == AT + timedelta(days=1)
    assert fire.local.isoformat() == "2030-01-02T05:00:00+09:00"


def test_the_first_run_has_no_last_time() -> None:
    """SC-07."""
    at = round(AT.timestamp() * 1000)
    text = fire_payload(
        schedule_id="s", kind="IMPERATIVE", at=at, last_at=None, timezone="UTC", external_id=None, upcoming=[]
    )
    (fire,) = close_books.codec.decode(text, SUPERJSON).args
    assert (fire.last, fire.next, fire.external_id) == (None, None, None)


def test_a_scheduled_task_can_be_called_tested_and_triggered(edge: Edge) -> None:
    """It is a function of one parameter."""
    fire = Fire(at=AT, upcoming=[AT], timezone="Asia/Tokyo")
    assert close_books(fire).startswith("2030-01-02 after None")
    assert run_inline(close_books, fire).unwrap() == close_books(fire)
    edge.on("POST", "/api/v1/tasks/close_books/trigger", Reply(body={"id": "run_1"}))
    close_books.trigger(fire)
    assert edge.requests[0].body["payload"]["timestamp"] == "2030-01-01T20:00:00Z"
    assert edge.requests[0].body["payload"]["upcoming"] == ["2030-01-01T20:00:00Z"]


def test_a_scheduled_task_may_take_a_context_or_nothing() -> None:
    @schedules.task(cron="0 * * * *")
    def context_first(ctx: Ctx, fire: Fire) -> str:
        return f"{ctx.task.id} {fire.at.year}"

    @schedules.task(cron="0 * * * *")
    def context_last(fire: Fire, ctx: Ctx) -> int:
        return fire.at.year

    @schedules.task(cron="0 * * * *")
    def nothing() -> str:
        return "done"

    @schedules.task(cron="0 * * * *")
    async def slow(fire: Fire) -> int:
        await asyncio.sleep(0)
        return fire.at.year

    fire = Fire(at=AT)
    assert run_inline(context_first, fire).unwrap() == "context_first 2030"
    assert run_inline(context_last, fire).unwrap() == 2030
    assert run_inline(slow, fire).unwrap() == 2030
    assert nothing.codec.decode(msgspec.json.encode({"json": {}}).decode(), SUPERJSON).args == ()
    assert run_inline(nothing).unwrap() == "done"


def test_a_plain_dict_may_take_the_payload_too() -> None:
    @schedules.task(cron="0 * * * *")
    def raw(payload: dict[str, Any]) -> str:
        return str(payload["scheduleId"])

    text = '{"json": {"scheduleId": "sched_1"}}'
    assert raw.codec.decode(text, SUPERJSON).args == ({"scheduleId": "sched_1"},)


def _one(fire: Fire) -> None: ...


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cron": "0 5 * *"}, "must have five fields"),
        ({"cron": "0 0 30 2 *"}, "never happens"),
        ({"cron": 5}, "@schedules.task _one"),
        ({"tz": "Asia/Tokyo"}, "tz without a cron"),
        ({"cron": "0 5 * * *", "overlap": "stack"}, "overlap is 'stack'; there is allow, skip, queue"),
        ({"cron": "0 5 * * *", "catch_up": "some"}, "catch_up is 'some'; there is latest, all, none"),
        ({"cron": "0 5 * * *", "expect_within": "soon"}, "expect_within"),
        ({"cron": "0 5 * * *", "environments": ["prd"]}, "no environment 'prd'; did you mean 'prod'?"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_where_it_is_written(options: dict[str, Any], said: str) -> None:
    """SC-01: before anything runs."""
    with pytest.raises(DefinitionError) as refusal:
        schedules.task(**options)(_one)
    assert said in str(refusal.value)


def test_an_option_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(UnknownOption, match="did you mean 'cron'"):
        schedules.task(corn="0 5 * * *")  # type: ignore[call-overload]
    with pytest.raises(UnknownOption, match="did you mean 'retry'"):
        schedules.task(cron="0 5 * * *", rety=1)  # type: ignore[call-overload]


def _untyped(fire) -> None: ...  # type: ignore[no-untyped-def]


def _two(fire: Fire, other: str) -> None: ...


def _text(day: str) -> None: ...


@pytest.mark.parametrize("fn", [_untyped, _two, _text])
def test_a_function_that_cannot_take_the_payload_is_refused(fn: Callable[..., None]) -> None:
    with pytest.raises(DefinitionError, match="it takes `fire: Fire` alone, and perhaps `ctx: Ctx`"):
        schedules.task(cron="0 5 * * *")(fn)
