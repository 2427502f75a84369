import asyncio
from datetime import timedelta

import pytest

from tests.support.answers import a_schedule, a_schedule_page
from tests.support.edge import Edge, Reply
from trigger_lite import (
    ApiError,
    BlockingCall,
    Client,
    DefinitionError,
    Fire,
    UnknownOption,
    schedules,
)

ALL = "/api/v1/schedules"
ONE = f"{ALL}/sched_06fd3v"


@schedules.task
def remind(fire: Fire) -> None: ...


def test_a_schedule_is_made_with_everything_it_may_say(edge: Edge) -> None:
    """SC-11, SC-12: the task may be given itself."""
    edge.on("POST", ALL, Reply(body=a_schedule(externalId="user_7", expectWithin=900)))
    made = schedules.create(
        remind,
        "0 5 * * *",
        tz="Asia/Tokyo",
        dedup_key="user_7",
        external_id="user_7",
        overlap="skip",
        catch_up="all",
        expect_within=timedelta(minutes=15),
    )
    assert (made.id, made.next_run, made.expect_within) == ("sched_06fd3v", "2030-01-02T05:00:00.000Z", 900)
    assert edge.requests[0].body == {
        "task": "remind",
        "cron": "0 5 * * *",
        "timezone": "Asia/Tokyo",
        "deduplicationKey": "user_7",
        "externalId": "user_7",
        "overlap": "skip",
        "catchUp": "all",
        "expectWithin": 900,
    }


def test_what_is_not_said_is_not_sent(edge: Edge) -> None:
    edge.on("POST", ALL, Reply(body=a_schedule()))
    schedules.create("remind", "0 5 * * *")
    assert edge.requests[0].body == {"task": "remind", "cron": "0 5 * * *"}


def test_an_update_sends_what_changes(edge: Edge) -> None:
    """SC-12: None is what clears."""
    edge.on("PATCH", ONE, Reply(body=a_schedule()))
    schedules.update("sched_06fd3v", task=remind, cron="0 6 * * *", external_id=None, expect_within="1h")
    schedules.update("sched_06fd3v", expect_within=None)
    assert [request.body for request in edge.requests] == [
        {"task": "remind", "cron": "0 6 * * *", "externalId": None, "expectWithin": 3600},
        {"expectWithin": None},
    ]


def test_schedules_are_listed_page_by_page(edge: Edge) -> None:
    first = a_schedule_page(a_schedule("sched_1"), a_schedule("sched_2"), pages=2)
    edge.on("GET", ALL, first, a_schedule_page(a_schedule("sched_3"), page=2, pages=2))
    listed = schedules.list()
    assert next(listed).id == "sched_1" and len(edge.requests) == 1
    assert [schedule.id for schedule in listed] == ["sched_2", "sched_3"]
    assert [request.query for request in edge.requests] == [
        {"page": "1", "perPage": "100"},
        {"page": "2", "perPage": "100"},
    ]


def test_a_schedule_is_paused_resumed_run_and_deleted(edge: Edge) -> None:
    """SC-14, SC-15."""
    edge.on("POST", f"{ONE}/deactivate", Reply(body=a_schedule(active=False)))
    edge.on("POST", f"{ONE}/activate", Reply(body=a_schedule()))
    edge.on("POST", f"{ONE}/run", Reply(body={"id": "run_06fd3v"}))
    edge.on("DELETE", ONE, Reply(body={"id": "sched_06fd3v"}))
    edge.on("GET", ONE, Reply(body=a_schedule()))
    assert not schedules.pause("sched_06fd3v").active
    assert schedules.resume("sched_06fd3v").active
    assert schedules.run_now("sched_06fd3v").id == "run_06fd3v"
    schedules.delete("sched_06fd3v")
    assert schedules.get("sched_06fd3v").task == "nightly"


def test_an_id_stays_within_its_place_in_the_path(edge: Edge) -> None:
    with pytest.raises(ApiError):
        schedules.get("../runs?x#y")
    assert edge.requests[0].path == f"{ALL}/..%2Fruns%3Fx%23y"


def test_what_the_server_refuses_is_raised(edge: Edge) -> None:
    """SC-01."""
    edge.on("POST", ALL, Reply(422, {"error": "cron 'x' must have five fields"}))
    with pytest.raises(ApiError, match="must have five fields") as refusal:
        schedules.create("remind", "x")
    assert refusal.value.status == 422


def test_an_option_that_is_wrong_is_refused_before_anything_is_sent(edge: Edge) -> None:
    with pytest.raises(UnknownOption, match="did you mean 'overlap'"):
        schedules.create("remind", "0 5 * * *", overlaps="skip")  # type: ignore[call-arg]
    with pytest.raises(UnknownOption, match="did you mean 'dedup_key'"):
        schedules.create("remind", "0 5 * * *", dedupkey="user_7")  # type: ignore[call-arg]
    with pytest.raises(UnknownOption, match="did you mean 'cron'"):
        schedules.update("sched_06fd3v", corn="0 5 * * *")  # type: ignore[call-arg]
    with pytest.raises(DefinitionError, match="expect_within"):
        schedules.create("remind", "0 5 * * *", expect_within="soon")
    with pytest.raises(DefinitionError, match="overlap is 'never'; there is allow, skip, queue"):
        schedules.create("remind", "0 5 * * *", overlap="never")  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="catch_up is 'some'; there is latest, all, none"):
        schedules.update("sched_06fd3v", catch_up="some")  # type: ignore[arg-type]
    assert edge.requests == []


def test_every_call_has_a_twin_for_async_code(edge: Edge) -> None:
    edge.on("POST", ALL, Reply(body=a_schedule()))
    edge.on("PATCH", ONE, Reply(body=a_schedule()))
    edge.on(
        "GET", ALL, a_schedule_page(a_schedule(), pages=2), a_schedule_page(a_schedule(), page=2, pages=2)
    )
    edge.on("GET", ONE, Reply(body=a_schedule()))
    edge.on("POST", f"{ONE}/.*", Reply(body=a_schedule()))
    edge.on("POST", f"{ONE}/run", Reply(body={"id": "run_06fd3v"}))
    edge.on("DELETE", ONE, Reply(body={"id": "sched_06fd3v"}))

    async def everything() -> None:
        aio = schedules.aio
        made = await aio.create(remind, "0 5 * * *", dedup_key="user_7", tz="Asia/Tokyo")
        await aio.update(made.id, cron="0 6 * * *")
        await aio.get(made.id)
        assert len([schedule async for schedule in aio.list()]) == 2
        await aio.pause(made.id)
        await aio.resume(made.id)
        assert (await aio.run_now(made.id)).id == "run_06fd3v"
        await aio.delete(made.id)

    asyncio.run(everything())
    assert edge.requests[0].body["deduplicationKey"] == "user_7"
    assert [request.method for request in edge.requests] == [
        *("POST", "PATCH", "GET", "GET", "GET", "POST", "POST", "POST", "DELETE")
    ]


@pytest.mark.parametrize("call", ["create", "update", "get", "list", "pause", "resume", "delete", "run_now"])
def test_a_blocking_call_in_async_code_names_its_twin(edge: Edge, call: str) -> None:
    arguments = {"create": ("remind", "0 5 * * *"), "list": ()}.get(call, ("sched_06fd3v",))

    async def wrong() -> None:
        getattr(schedules, call)(*arguments)

    with pytest.raises(BlockingCall, match=rf"schedules\.aio\.{call}"):
        asyncio.run(wrong())
    assert edge.requests == []


def test_a_client_has_the_schedules_of_its_server(edge: Edge, client: Client) -> None:
    edge.on("GET", ONE, Reply(body=a_schedule()))
    assert client.schedules.get("sched_06fd3v").active
    assert asyncio.run(client.aio.schedules.get("sched_06fd3v")).active
