"""Schedules made by calls and by code: SC-01, SC-02, SC-05, SC-10 to SC-15. It is 2026-09-21 14:13:20 UTC."""

from typing import Any

import pytest

from tests.support.builders import a_task, a_version
from tests.support.harness import Harness
from tests.support.schedules import NIGHTLY, a_schedule, at, fire_all, payload, planned, scheduled_tasks
from trigger_lite.engine.events import ScheduleChanged
from trigger_lite.engine.schedules import (
    Repaired,
    change_schedule,
    check_key,
    check_schedule,
    delete_schedule,
    repair_plans,
    set_active,
    update_schedule,
)
from trigger_lite.protocol.errors import BadRequest, ScheduleNotFound, Unprocessable
from trigger_lite.protocol.schedules import ChangeSchedule, CreateSchedule, ScheduleBody
from trigger_lite.store import schedules
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.schedules import Planned

TOMORROW = at("2026-09-22 05:00")


def _all(engine: Harness, environment: EnvironmentRow | None = None) -> list[Planned]:
    place = environment or engine.prod
    return engine.do(schedules.list_schedules, place.project_id, place.id, count=100)


def _announced(engine: Harness) -> list[int | None]:
    found = [event.next_at for event in engine.events if isinstance(event, ScheduleChanged)]
    engine.events.clear()
    return found


# ---- by calls -----------------------------------------------------------------------------------------


def test_a_new_schedule_is_active_and_planned(engine: Harness) -> None:
    """SC-11: the clock is told of its next time."""
    scheduled_tasks(engine)
    engine.events.clear()
    made = a_schedule(engine)
    assert made.schedule.active and made.instance.next_at == TOMORROW
    assert (made.schedule.timezone, made.schedule.overlap, made.schedule.catch_up) == (
        "UTC",
        "allow",
        "latest",
    )
    assert made == planned(engine, made)
    assert _announced(engine) == [TOMORROW]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cron": "0 5 * *"}, "must have five fields"),
        ({"cron": "0 0 30 2 *"}, "never happens"),
        ({"timezone": "Europe/Belin"}, "did you mean 'Europe/Berlin'?"),
        ({"window": "25h"}, "window '25h' is over its limit of 24h"),
        ({"window": "101%"}, "over its limit of 100%"),
        ({"expect_within": "soon"}, "expectWithin 'soon' is not a duration"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_when_it_is_made(options: dict[str, Any], said: str) -> None:
    """SC-01, SC-02."""
    with pytest.raises((BadRequest, Unprocessable)) as refusal:
        check_schedule(ScheduleBody(**{"task": NIGHTLY, "cron": "0 5 * * *", **options}))
    assert said in refusal.value.message


def test_what_a_body_says_is_brought_into_form() -> None:
    body = ScheduleBody(
        task=NIGHTLY, cron=" 0 5  * * * ", window="30m", expect_within="1h30m", external_id="a\0b"
    )
    wanted = check_schedule(body)
    assert (wanted.cron, wanted.time_window, wanted.expect_within) == ("0 5 * * *", "30m", 5_400)
    assert wanted.external_id == "ab"
    assert check_schedule(
        ScheduleBody(task=NIGHTLY, cron="0 5 * * *", expect_within=10**12)
    ).expect_within == (2_147_483_647)
    assert check_key(CreateSchedule(task=NIGHTLY, cron="", deduplication_key="")) is None
    with pytest.raises(BadRequest, match="deduplicationKey is over the limit"):
        check_key(CreateSchedule(task=NIGHTLY, cron="", deduplication_key="k" * 2_000))


def test_only_a_scheduled_task_of_the_current_version_can_have_a_schedule(engine: Harness) -> None:
    """SC-11."""
    with pytest.raises(Unprocessable, match="There is no task 'nightly' in the current version of prod"):
        a_schedule(engine)
    scheduled_tasks(engine)
    with pytest.raises(Unprocessable, match="'resize' is no scheduled task"):
        a_schedule(engine, task="resize")
    assert _all(engine) == []


def test_the_same_key_changes_the_schedule_instead_of_making_another(engine: Harness) -> None:
    """SC-11, SC-12: also what the second call leaves out."""
    scheduled_tasks(engine, "weekly")
    first = a_schedule(engine, key="user_7", external_id="seven")
    second = a_schedule(engine, "0 6 * * *", key="user_7", task="weekly", timezone="Asia/Tokyo")
    assert second.schedule.id == first.schedule.id
    assert _all(engine) == [second]
    row = second.schedule
    assert (row.task_id, row.cron, row.timezone, row.external_id) == (
        "weekly",
        "0 6 * * *",
        "Asia/Tokyo",
        None,
    )
    assert second.instance.next_at == at("2026-09-21 21:00")
    assert row.has_user_key


def test_without_a_key_every_call_makes_a_schedule(engine: Harness) -> None:
    """SC-11."""
    scheduled_tasks(engine)
    assert a_schedule(engine).schedule.id != a_schedule(engine).schedule.id
    assert len(_all(engine)) == 2


def test_a_key_means_another_schedule_in_another_environment(engine: Harness) -> None:
    """SC-11, SC-13: what dev creates does not take prod's place; each has its own plan."""
    for environment in (engine.prod, engine.dev):
        scheduled_tasks(engine, environment=environment)
    prod = a_schedule(engine, key="user_7")
    dev = a_schedule(engine, "0 6 * * *", key="user_7", environment=engine.dev)
    assert (_all(engine), _all(engine, engine.dev)) == ([prod], [dev])


def test_an_update_replaces_the_schedule(engine: Harness) -> None:
    """SC-12: an external id that is left out is cleared, a zone is UTC again."""
    scheduled_tasks(engine)
    made = a_schedule(engine, timezone="Asia/Tokyo", external_id="seven", overlap="skip", expect_within=60)
    wanted = check_schedule(ScheduleBody(task=NIGHTLY, cron="0 5 * * *"))
    changed = engine.do(update_schedule, engine.prod, made.schedule.id, wanted)
    row = changed.schedule
    assert (row.timezone, row.external_id, row.overlap, row.expect_within) == ("UTC", None, "allow", None)
    assert changed.instance.next_at == TOMORROW


def test_a_change_leaves_what_it_does_not_name(engine: Harness) -> None:
    scheduled_tasks(engine)
    made = a_schedule(engine, timezone="Asia/Tokyo", external_id="seven", window="10m")
    body = ChangeSchedule(overlap="queue", external_id=None)
    changed = engine.do(change_schedule, engine.prod, made.schedule.id, body)
    assert changed.schedule == made.schedule._replace(
        overlap="queue", external_id=None, updated_at=engine.now
    )
    with pytest.raises(Unprocessable, match="must have five fields"):
        engine.do(change_schedule, engine.prod, made.schedule.id, ChangeSchedule(cron="hourly"))
    assert planned(engine, made) == changed


def test_the_same_timing_keeps_what_is_planned(engine: Harness) -> None:
    """SC-10: an overdue time is still caught up with; another timing plans anew."""
    scheduled_tasks(engine)
    made = a_schedule(engine, key="user_7")
    engine.now = TOMORROW + 1_000
    assert a_schedule(engine, key="user_7", external_id="seven").instance.next_at == TOMORROW
    later = a_schedule(engine, "0 6 * * *", key="user_7")
    assert later.schedule.id == made.schedule.id
    assert later.instance.next_at == at("2026-09-22 06:00")


def test_a_schedule_that_is_switched_off_does_not_run_and_does_not_catch_up(engine: Harness) -> None:
    """SC-14: when it is on again, the next future time is planned; what it ran last is still known."""
    scheduled_tasks(engine)
    made = a_schedule(engine, "0 * * * *", catch_up="all")
    engine.now = at("2026-09-21 15:00")
    (run,) = fire_all(engine)
    off = engine.do(set_active, engine.prod, made.schedule.id, active=False)
    assert (off.schedule.active, off.instance.next_at) == (0, None)
    assert engine.do(set_active, engine.prod, made.schedule.id, active=False) == off
    engine.now = at("2026-09-21 20:30")
    assert fire_all(engine) == []
    on = engine.do(set_active, engine.prod, made.schedule.id, active=True)
    assert (on.instance.next_at, on.instance.last_run_id) == (at("2026-09-21 21:00"), run.id)
    assert fire_all(engine) == []


def test_switching_off_drops_a_time_that_waits(engine: Harness) -> None:
    """SC-14."""
    scheduled_tasks(engine)
    made = a_schedule(engine, "0 * * * *", overlap="queue")
    for hour in (15, 16):
        engine.now = at(f"2026-09-21 {hour}:00")
        fire_all(engine)
    assert planned(engine, made).instance.queued_for is not None
    off = engine.do(set_active, engine.prod, made.schedule.id, active=False)
    assert (off.instance.queued_for, off.instance.waits_for) == (None, None)


def test_a_changed_schedule_that_is_off_stays_off(engine: Harness) -> None:
    """SC-14, SC-11."""
    scheduled_tasks(engine)
    made = a_schedule(engine, key="user_7")
    engine.do(set_active, engine.prod, made.schedule.id, active=False)
    changed = a_schedule(engine, "0 6 * * *", key="user_7")
    assert (changed.schedule.active, changed.instance.next_at) == (0, None)


def test_a_deleted_schedule_leaves_nothing_but_its_runs(engine: Harness) -> None:
    """SC-15: and its key is free again."""
    scheduled_tasks(engine)
    made = a_schedule(engine, key="user_7")
    engine.now = TOMORROW
    (run,) = fire_all(engine)
    engine.do(delete_schedule, engine.prod, made.schedule.id)
    assert engine.ask("SELECT count(*) FROM schedule") == engine.ask("SELECT count(*) FROM schedule_instance")
    assert _all(engine) == []
    assert engine.run(run).schedule_id == made.schedule.id
    assert a_schedule(engine, key="user_7").schedule.id != made.schedule.id


def test_another_environments_schedule_is_not_there(engine: Harness) -> None:
    """SC-13: not to be seen, changed, switched or removed."""
    scheduled_tasks(engine)
    schedule_id = a_schedule(engine).schedule.id
    wanted = check_schedule(ScheduleBody(task=NIGHTLY, cron="0 5 * * *"))
    with pytest.raises(ScheduleNotFound):
        engine.do(update_schedule, engine.dev, schedule_id, wanted)
    with pytest.raises(ScheduleNotFound):
        engine.do(change_schedule, engine.dev, schedule_id, ChangeSchedule())
    with pytest.raises(ScheduleNotFound):
        engine.do(set_active, engine.dev, schedule_id, active=False)
    with pytest.raises(ScheduleNotFound):
        engine.do(delete_schedule, engine.dev, schedule_id)
    assert len(_all(engine)) == 1


# ---- by code ------------------------------------------------------------------------------------------


def _declare(engine: Harness, content: str, environment: EnvironmentRow | None = None, **tasks: Any) -> None:
    """Register a version whose tasks declare these schedules; None for a task without one."""
    manifests = [
        a_task(name, **({} if schedule is None else {"schedule": schedule}))
        for name, schedule in tasks.items()
    ]
    a_version(engine, *manifests, content=content, environment=environment)


def test_code_makes_changes_and_removes_its_schedules(engine: Harness) -> None:
    """SC-10: at every registration."""
    _declare(
        engine, "one", a={"cron": "0 5 * * *"}, b={"cron": "0 6 * * *", "timezone": "Asia/Tokyo"}, c=None
    )
    b, a = sorted(_all(engine), key=lambda found: found.schedule.task_id, reverse=True)
    assert [found.schedule.kind for found in (a, b)] == ["DECLARATIVE", "DECLARATIVE"]
    assert (a.instance.next_at, b.instance.next_at) == (TOMORROW, at("2026-09-21 21:00"))
    engine.pass_time(60)
    declared = {"cron": "0 5 * * *", "overlap": "skip", "catchUp": "none", "expectWithin": 900}
    _declare(engine, "two", a=declared, c={"cron": "0 7 * * *"})
    c, changed = sorted(_all(engine), key=lambda found: found.schedule.task_id, reverse=True)
    row = changed.schedule
    assert (row.id, row.overlap, row.catch_up, row.expect_within) == (a.schedule.id, "skip", "none", 900)
    assert changed.instance == a.instance
    assert c.schedule.task_id == "c"
    _declare(engine, "three", a=None)
    assert engine.ask("SELECT count(*) FROM schedule_instance") == [0]


def test_another_timing_in_code_plans_anew(engine: Harness) -> None:
    """SC-10: the same one keeps an overdue time."""
    _declare(engine, "one", a={"cron": "0 5 * * *"})
    engine.now = TOMORROW + 1_000
    _declare(engine, "two", a={"cron": "0 5 * * *", "overlap": "skip"})
    assert _all(engine)[0].instance.next_at == TOMORROW
    _declare(engine, "three", a={"cron": "0 5 * * *", "timezone": "Asia/Tokyo", "overlap": "skip"})
    assert _all(engine)[0].instance.next_at == at("2026-09-22 20:00")


def test_registering_the_same_content_repairs_what_it_declares(engine: Harness) -> None:
    """SC-10, SC-05: a lost schedule is there again, a present one is untouched."""
    _declare(engine, "one", a={"cron": "0 5 * * *"}, b={"cron": "0 6 * * *"})
    _, a = _all(engine)
    engine.change("DELETE FROM schedule WHERE task_id = 'b'")
    engine.change("DELETE FROM schedule_instance WHERE schedule_id <> :id", id=a.schedule.id)
    engine.events.clear()
    _declare(engine, "one", a={"cron": "0 5 * * *"}, b={"cron": "0 6 * * *"})
    assert [found.schedule.task_id for found in _all(engine)] == ["b", "a"]
    assert _announced(engine) == [at("2026-09-22 06:00")]


def test_a_declared_schedule_may_be_limited_to_kinds_of_environments(engine: Harness) -> None:
    """SC-10, SC-13: an environment that is taken away loses its schedule and what was planned."""
    both, prod = ["PRODUCTION", "DEVELOPMENT"], ["PRODUCTION"]
    for environment in (engine.prod, engine.dev):
        _declare(engine, "one", environment, a={"cron": "0 5 * * *", "environments": both})
        assert len(_all(engine, environment)) == 1
    for environment in (engine.prod, engine.dev):
        _declare(engine, "two", environment, a={"cron": "0 5 * * *", "environments": prod})
    assert (len(_all(engine)), len(_all(engine, engine.dev))) == (1, 0)
    assert engine.ask("SELECT environment_id FROM schedule_instance") == [engine.prod.id]


def test_a_declared_schedule_cannot_be_changed_or_removed_by_a_call(engine: Harness) -> None:
    """SC-10: but it can be switched off, and stays off when the same code comes again."""
    _declare(engine, "one", a={"cron": "0 5 * * *"})
    (made,) = _all(engine)
    wanted = check_schedule(ScheduleBody(task="a", cron="0 6 * * *"))
    with pytest.raises(Unprocessable, match="is declared in code; change it there"):
        engine.do(update_schedule, engine.prod, made.schedule.id, wanted)
    with pytest.raises(Unprocessable, match="is declared in code; change it there"):
        engine.do(change_schedule, engine.prod, made.schedule.id, ChangeSchedule(cron="0 6 * * *"))
    with pytest.raises(Unprocessable, match="is declared in code; remove it there, or deactivate it"):
        engine.do(delete_schedule, engine.prod, made.schedule.id)
    engine.do(set_active, engine.prod, made.schedule.id, active=False)
    _declare(engine, "two", a={"cron": "0 7 * * *"})
    (still,) = _all(engine)
    assert (still.schedule.cron, still.schedule.active, still.instance.next_at) == ("0 7 * * *", 0, None)


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({"cron": "0 5 * *"}, "Task 'a': cron '0 5 \\* \\*' must have five fields"),
        ({"cron": "0 5 * * *", "timezone": "Mars"}, "Task 'a': 'Mars' is no IANA time zone"),
    ],
)
def test_a_declared_schedule_that_cannot_be_refuses_the_version(
    engine: Harness, schedule: dict[str, str], said: str
) -> None:
    """SC-01, SC-02: nothing is registered, the version before it goes on."""
    _declare(engine, "one", a={"cron": "0 5 * * *"})
    before = _all(engine)
    with pytest.raises(BadRequest, match=said):
        _declare(engine, "two", a=schedule)
    assert _all(engine) == before
    assert engine.ask("SELECT content_hash FROM worker_version") == ["one"]


def test_a_task_with_a_declared_schedule_may_have_further_ones(engine: Harness) -> None:
    """SC-11: it is a scheduled task; its key is none that a call could give."""
    _declare(engine, "one", a={"cron": "0 5 * * *"})
    for key in ("a", ":a", f"{engine.prod.id}:a"):
        assert a_schedule(engine, task="a", key=key).schedule.kind == "IMPERATIVE"
    assert len(_all(engine)) == 4


# ---- repair -------------------------------------------------------------------------------------------


def test_only_what_lost_its_plan_is_planned_again(engine: Harness) -> None:
    """SC-05: one pending time each; may be repeated."""
    scheduled_tasks(engine)
    lost, kept, off = a_schedule(engine), a_schedule(engine, "0 * * * *"), a_schedule(engine)
    engine.do(set_active, engine.prod, off.schedule.id, active=False)
    engine.change("UPDATE schedule_instance SET next_at = NULL WHERE id = :id", id=lost.instance.id)
    for _ in range(2):
        assert engine.do(repair_plans, "", 100) == Repaired(None, [])
        assert planned(engine, lost) == lost
        assert planned(engine, kept) == kept
        assert planned(engine, off).instance.next_at is None


def test_what_cannot_be_planned_is_named(engine: Harness) -> None:
    """SC-05: the others are planned all the same."""
    scheduled_tasks(engine)
    broken, lost = a_schedule(engine), a_schedule(engine)
    engine.change("UPDATE schedule_instance SET next_at = NULL")
    engine.change("UPDATE schedule SET timezone = 'Mars' WHERE id = :id", id=broken.schedule.id)
    assert engine.do(repair_plans, "", 100) == Repaired(None, [broken.schedule.id])
    assert planned(engine, lost) == lost


def test_a_time_that_waits_for_a_run_which_is_gone_is_due(engine: Harness) -> None:
    """SC-05: and one that waits for a run which goes on is left waiting."""
    scheduled_tasks(engine)
    for cron in ("0 * * * *", "0 * * * *"):
        a_schedule(engine, cron, overlap="queue")
    for hour in (15, 16):
        engine.now = at(f"2026-09-21 {hour}:00")
        fire_all(engine)
    first, second = engine.ask("SELECT id FROM run ORDER BY id")
    engine.change("DELETE FROM run WHERE id = :id", id=first)
    engine.do(repair_plans, "", 100)
    assert [run.scheduled_for for run in fire_all(engine)] == [engine.now]
    assert engine.ask("SELECT waits_for FROM schedule_instance WHERE waits_for IS NOT NULL") == [second]


def test_a_plan_made_by_a_clock_that_was_ahead_is_brought_back(engine: Harness) -> None:
    """SC-05, SC-20: no schedule sleeps until then, and no time runs a second time."""
    scheduled_tasks(engine)
    daily, hourly = a_schedule(engine), a_schedule(engine, "0 * * * *")
    real = engine.now
    engine.now = at("2027-09-21 15:30")
    ran = {run.scheduled_for for run in fire_all(engine)}
    assert ran == {at("2027-09-21 05:00"), at("2027-09-21 15:00")}
    engine.now = real
    engine.do(repair_plans, "", 100)
    assert planned(engine, daily).instance.next_at == TOMORROW
    assert planned(engine, hourly).instance.next_at == at("2026-09-21 15:00")
    engine.now = at("2026-09-21 15:00")
    (run,) = fire_all(engine)
    assert "lastTimestamp" not in payload(engine, run)
    assert planned(engine, hourly).instance.last_at == engine.now


def test_plans_are_repaired_a_few_at_a_time(engine: Harness) -> None:
    """SC-05: a server with very many schedules answers meanwhile."""
    scheduled_tasks(engine)
    made = [a_schedule(engine) for _ in range(5)]
    engine.change("UPDATE schedule_instance SET next_at = NULL")
    after: str | None = ""
    rounds = 0
    while after is not None:
        after = engine.do(repair_plans, after, 2).last
        rounds += 1
    assert rounds == 3
    assert [planned(engine, schedule) for schedule in made] == made
