"""Schedules at their times: SC-03 to SC-09, SC-14, SC-17 to SC-20. It is 2026-09-21 14:13:20 UTC at first."""

from datetime import UTC, datetime

import msgspec
import pytest

from tests.support.builders import claim_one, newest, start, succeed
from tests.support.harness import NOW, Harness
from tests.support.schedules import NIGHTLY, a_schedule, at, due, fire_all, payload, planned, scheduled_tasks
from trigger_lite.engine.attempts import complete_attempt
from trigger_lite.engine.events import ScheduleChanged
from trigger_lite.engine.firing import MAX_CATCH_UP, fire, fire_queued, run_now, skip
from trigger_lite.engine.origins import origin_of
from trigger_lite.engine.schedules import set_active
from trigger_lite.protocol.errors import QueueFull, ScheduleNotFound, Unprocessable
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
FIRST = at("2026-09-22 05:00")


@pytest.fixture(autouse=True)
def _tasks(engine: Harness) -> None:
    scheduled_tasks(engine)
    assert engine.now == at("2026-09-21 14:13:20")


def _times(runs: list[RunRow]) -> list[str]:
    return [
        datetime.fromtimestamp((run.scheduled_for or 0) / 1000, UTC).strftime("%m-%d %H:%M") for run in runs
    ]


def _finish(engine: Harness, run: RunRow) -> None:
    """Let a worker bring the oldest waiting run, which is this one, to its end."""
    claimed = claim_one(engine)
    assert claimed.id == run.id
    succeed(engine, start(engine, claimed))


# ---- a time, and the next -------------------------------------------------------------------------------


def test_a_schedule_runs_its_task_at_the_nominal_second_and_plans_the_next_time(engine: Harness) -> None:
    """SC-09, SC-03: not before, without spreading; the next time follows the nominal one, not the clock."""
    schedule = a_schedule(engine)
    assert planned(engine, schedule).instance.next_at == FIRST
    engine.now = FIRST - 1
    assert due(engine) == []
    engine.now = FIRST + 2_345
    (run,) = fire_all(engine)
    assert (run.task_id, run.execution_status, run.schedule_id) == (NIGHTLY, X.QUEUED, schedule.schedule.id)
    after = planned(engine, schedule).instance
    assert (after.next_at, after.last_at, after.last_run_id) == (FIRST + DAY, FIRST, run.id)
    assert fire_all(engine) == []


def test_a_run_knows_its_nominal_time_and_when_it_was_made(engine: Harness) -> None:
    """SC-19: and that a schedule made it."""
    schedule = a_schedule(engine)
    engine.now = FIRST + 2_345
    (run,) = fire_all(engine)
    assert (run.scheduled_for, run.created_at) == (FIRST, FIRST + 2_345)
    assert (run.schedule_instance_id, run.source) == (schedule.instance.id, "schedule")
    assert origin_of(run).root_schedule_id == schedule.schedule.id


def test_the_payload_says_when_and_what_is_to_come(engine: Harness) -> None:
    """SC-06, SC-07: ten further times, no last one at the first run; who reads SuperJSON finds dates."""
    schedule = a_schedule(engine, "0 5 * * *", timezone="Europe/Berlin", external_id="user_7")
    first = at("2026-09-22 03:00")
    engine.now = first
    (run,) = fire_all(engine)
    data = engine.data(run)
    assert data.payload_type == "application/super+json"
    packet = msgspec.json.decode(data.payload or "")
    assert packet["json"] == {
        "scheduleId": schedule.schedule.id,
        "type": "IMPERATIVE",
        "timestamp": "2026-09-22T03:00:00.000Z",
        "timezone": "Europe/Berlin",
        "externalId": "user_7",
        "upcoming": [f"2026-{day}T03:00:00.000Z" for day in _days_after("09-22", 10)],
    }
    dates = {"timestamp", *(f"upcoming.{index}" for index in range(10))}
    assert packet["meta"]["values"] == {path: ["Date"] for path in dates}


def _days_after(day: str, count: int) -> list[str]:
    first = datetime.strptime(f"2026-{day}", "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    return [datetime.fromtimestamp(first + n * 86_400, UTC).strftime("%m-%d") for n in range(1, count + 1)]


def test_the_upcoming_times_move_on_tick_by_tick(engine: Harness) -> None:
    """SC-08, SC-07: from the nominal time, though this one runs hours late."""
    a_schedule(engine, "0 */6 * * *")
    engine.now = at("2026-09-21 18:00")
    (first,) = fire_all(engine)
    engine.now = at("2026-09-22 05:59")
    (second,) = fire_all(engine)
    assert payload(engine, first)["upcoming"][:2] == ["2026-09-22T00:00:00.000Z", "2026-09-22T06:00:00.000Z"]
    assert payload(engine, second)["timestamp"] == "2026-09-22T00:00:00.000Z"
    assert payload(engine, second)["lastTimestamp"] == "2026-09-21T18:00:00.000Z"
    assert payload(engine, second)["upcoming"][0] == "2026-09-22T06:00:00.000Z"


# ---- once and only once ---------------------------------------------------------------------------------


def test_firing_twice_for_one_time_makes_one_run(engine: Harness) -> None:
    """SC-20: a second call finds another time planned."""
    schedule = a_schedule(engine)
    engine.now = FIRST
    assert engine.do(fire, schedule.instance.id, FIRST) is not None
    assert engine.do(fire, schedule.instance.id, FIRST) is None
    assert engine.ask("SELECT count(*) FROM run") == [1]


def test_a_time_that_is_planned_again_is_not_run_again(engine: Harness) -> None:
    """SC-20: whatever put the plan back, the one run of that time is found."""
    schedule = a_schedule(engine)
    engine.now = FIRST
    (run,) = fire_all(engine)
    engine.change("UPDATE schedule_instance SET next_at = :at, last_run_id = NULL", at=FIRST)
    assert engine.do(fire, schedule.instance.id, FIRST) == run.id
    assert engine.ask("SELECT count(*) FROM run") == [1]
    assert planned(engine, schedule).instance.next_at == FIRST + DAY
    other = engine.do(run_now, engine.prod, schedule.schedule.id)
    with pytest.raises(Exception, match=r"(?i)unique"):
        engine.change("UPDATE run SET scheduled_for = :at WHERE id = :id", at=FIRST, id=other)


def test_a_transaction_that_fails_leaves_neither_run_nor_plan(engine: Harness) -> None:
    """SC-20: run and plan are one change; after a crash in between the time is still due."""
    schedule = a_schedule(engine)
    engine.now = FIRST

    def fire_and_crash(tx: Tx) -> None:
        assert fire(tx, schedule.instance.id, FIRST) is not None
        raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError):
        engine.do(fire_and_crash)
    assert engine.ask("SELECT count(*) FROM run") == [0]
    assert planned(engine, schedule) == schedule
    assert len(fire_all(engine)) == 1


def test_a_clock_that_is_set_forward_and_back_neither_doubles_a_time_nor_starts_a_storm(
    engine: Harness,
) -> None:
    """SC-20, SC-04: an hour of every-five-minutes is made up for once, and is not run again later."""
    a_schedule(engine, "*/5 * * * *")
    engine.now += HOUR
    assert _times(fire_all(engine)) == ["09-21 15:10"]
    engine.now -= HOUR
    for _ in range(61):
        engine.now += MINUTE
        made = fire_all(engine)
    assert _times(made) == [] and engine.now == NOW + 61 * MINUTE
    engine.now += MINUTE
    assert _times(fire_all(engine)) == ["09-21 15:15"]
    made_for = engine.ask("SELECT scheduled_for FROM run ORDER BY id")
    assert len(made_for) == len(set(made_for)) == 2


def test_a_schedule_switched_on_again_after_the_clock_went_back_does_not_repeat_a_time(
    engine: Harness,
) -> None:
    """SC-20: the plan is made from the clock, the run is found by its time."""
    schedule = a_schedule(engine, "0 * * * *")
    engine.now = at("2026-09-21 15:00")
    assert len(fire_all(engine)) == 1
    engine.now -= HOUR
    engine.do(set_active, engine.prod, schedule.schedule.id, active=False)
    engine.do(set_active, engine.prod, schedule.schedule.id, active=True)
    engine.now += HOUR
    assert len(fire_all(engine)) == 1
    assert engine.ask("SELECT count(*) FROM run") == [1]


# ---- what was missed ------------------------------------------------------------------------------------


def test_after_downtime_the_newest_missed_time_runs_late_and_the_next_future_one_is_planned(
    engine: Harness,
) -> None:
    """SC-04: one run, whatever was missed."""
    schedule = a_schedule(engine, "0 * * * *")
    engine.now = at("2026-09-24 10:30")
    assert _times(fire_all(engine)) == ["09-24 10:00"]
    assert planned(engine, schedule).instance.next_at == at("2026-09-24 11:00")


def test_a_time_at_exactly_now_is_one_of_those_that_passed(engine: Harness) -> None:
    """SC-04."""
    a_schedule(engine, "0 * * * *")
    engine.now = at("2026-09-24 10:00")
    assert _times(fire_all(engine)) == ["09-24 10:00"]


def test_all_missed_times_run_oldest_first_when_asked_for(engine: Harness) -> None:
    """SC-04: `catch_up` all; each with its own time and that of its predecessor."""
    a_schedule(engine, "0 * * * *", catch_up="all")
    engine.now = at("2026-09-21 18:30")
    made = fire_all(engine)
    assert _times(made) == ["09-21 15:00", "09-21 16:00", "09-21 17:00", "09-21 18:00"]
    assert payload(engine, made[2])["lastTimestamp"] == "2026-09-21T16:00:00.000Z"


@pytest.mark.parametrize("missed", [MAX_CATCH_UP, MAX_CATCH_UP + 1, 10_000])
def test_of_very_many_missed_times_the_newest_hundred_run(engine: Harness, missed: int) -> None:
    """SC-04: the rest is skipped; no backfill storm."""
    schedule = a_schedule(engine, "* * * * *", catch_up="all")
    first = schedule.instance.next_at or 0
    engine.now = first + (missed - 1) * MINUTE + 30_000
    made = fire_all(engine)
    assert [run.scheduled_for for run in made] == [
        first + (missed - MAX_CATCH_UP + n) * MINUTE for n in range(MAX_CATCH_UP)
    ]
    assert planned(engine, schedule).instance.next_at == first + missed * MINUTE


def test_no_missed_time_runs_when_so_asked_for(engine: Harness) -> None:
    """SC-04: `catch_up` none; a time is missed after a minute."""
    schedule = a_schedule(engine, "0 * * * *", catch_up="none")
    engine.now = at("2026-09-21 17:01")
    assert fire_all(engine) == []
    assert planned(engine, schedule).instance.next_at == at("2026-09-21 18:00")
    engine.now = at("2026-09-21 18:00:59")
    assert _times(fire_all(engine)) == ["09-21 18:00"]


# ---- a previous run that is still going on --------------------------------------------------------------


def test_runs_of_a_schedule_go_on_beside_each_other_by_default(engine: Harness) -> None:
    a_schedule(engine, "0 * * * *")
    engine.now = at("2026-09-21 15:00")
    fire_all(engine)
    engine.now += HOUR
    assert _times(fire_all(engine)) == ["09-21 16:00"]


def test_a_time_is_skipped_while_the_previous_run_is_going_on_when_so_asked_for(engine: Harness) -> None:
    """SC-07: the next run is told the time of the last one that ran."""
    a_schedule(engine, "0 * * * *", overlap="skip")
    engine.now = at("2026-09-21 15:00")
    (first,) = fire_all(engine)
    engine.now = at("2026-09-21 16:00")
    assert fire_all(engine) == []
    _finish(engine, first)
    assert fire_all(engine) == []
    engine.now = at("2026-09-21 17:00")
    (second,) = fire_all(engine)
    assert _times([second]) == ["09-21 17:00"]
    assert payload(engine, second)["lastTimestamp"] == "2026-09-21T15:00:00.000Z"


def test_a_time_waits_for_the_end_of_the_previous_run_when_so_asked_for(engine: Harness) -> None:
    """`overlap` queue: a later time takes the place of the one that waits, so one waits at most."""
    schedule = a_schedule(engine, "0 * * * *", overlap="queue")
    engine.now = at("2026-09-21 15:00")
    (first,) = fire_all(engine)
    for hour in (16, 17):
        engine.now = at(f"2026-09-21 {hour}:00")
        assert fire_all(engine) == []
    waiting = planned(engine, schedule).instance
    assert (waiting.queued_for, waiting.waits_for) == (at("2026-09-21 17:00"), first.id)
    engine.now += 5 * MINUTE
    engine.events.clear()
    _finish(engine, first)
    changed = [event.next_at for event in engine.events if isinstance(event, ScheduleChanged)]
    assert changed == [engine.now]
    (second,) = fire_all(engine)
    assert _times([second]) == ["09-21 17:00"]
    assert payload(engine, second)["lastTimestamp"] == "2026-09-21T15:00:00.000Z"
    rest = planned(engine, schedule).instance
    assert (rest.queued_for, rest.waits_for, rest.next_at) == (None, None, at("2026-09-21 18:00"))


def test_a_time_that_comes_before_the_waiting_one_was_run_takes_its_place(engine: Harness) -> None:
    """`overlap` queue: the previous run ended, and the next time is due in the same moment."""
    a_schedule(engine, "0 * * * *", overlap="queue")
    engine.now = at("2026-09-21 15:00")
    (first,) = fire_all(engine)
    engine.now = at("2026-09-21 16:00")
    fire_all(engine)
    _finish(engine, first)
    engine.now = at("2026-09-21 17:00")
    (queued, planned_) = due(engine)
    assert engine.do(fire, planned_.instance_id, planned_.at) is None
    assert engine.do(fire_queued, queued.instance_id, queued.at) is None
    assert _times(fire_all(engine)) == ["09-21 17:00"]


def test_a_time_that_waited_waits_on_for_a_run_that_was_asked_for_meanwhile(engine: Harness) -> None:
    """`overlap` queue: the previous run ended, and somebody runs the schedule before the loop looks."""
    schedule = a_schedule(engine, "0 * * * *", overlap="queue")
    engine.now = at("2026-09-21 15:00")
    (first,) = fire_all(engine)
    engine.now = at("2026-09-21 16:00")
    fire_all(engine)
    _finish(engine, first)
    between = engine.run(engine.do(run_now, engine.prod, schedule.schedule.id))
    assert fire_all(engine) == []
    assert planned(engine, schedule).instance.waits_for == between.id
    _finish(engine, between)
    assert _times(fire_all(engine)) == ["09-21 16:00"]


def test_after_a_crash_what_waited_for_a_finished_run_is_due(engine: Harness) -> None:
    """`overlap` queue: the end of a run and what waits for it change together, or neither does."""
    a_schedule(engine, "0 * * * *", overlap="queue")
    engine.now = at("2026-09-21 15:00")
    (first,) = fire_all(engine)
    engine.now = at("2026-09-21 16:00")
    fire_all(engine)
    started = start(engine, claim_one(engine))
    assert started.id == first.id

    def end_and_crash(tx: Tx) -> None:
        done = Completion(ok=True, id=started.id)
        complete_attempt(tx, engine.prod.id, started.id, newest(started), done)
        raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError):
        engine.do(end_and_crash)
    assert due(engine) == []
    succeed(engine, started)
    assert _times(fire_all(engine)) == ["09-21 16:00"]


def test_missed_times_of_a_queueing_schedule_leave_one_waiting(engine: Harness) -> None:
    """`catch_up` all with `overlap` queue: the first runs, the newest waits."""
    schedule = a_schedule(engine, "0 * * * *", overlap="queue", catch_up="all")
    engine.now = at("2026-09-21 18:30")
    assert _times(fire_all(engine)) == ["09-21 15:00"]
    assert planned(engine, schedule).instance.queued_for == at("2026-09-21 18:00")


# ---- run now ----------------------------------------------------------------------------------------------


def test_a_schedule_can_be_run_now_and_its_times_stay_as_planned(engine: Harness) -> None:
    """The run is no occurrence: the next one does not count it as its predecessor."""
    schedule = a_schedule(engine)
    run = engine.run(engine.do(run_now, engine.prod, schedule.schedule.id))
    assert payload(engine, run)["timestamp"] == "2026-09-21T14:13:20.000Z"
    assert payload(engine, run)["upcoming"][0] == "2026-09-22T05:00:00.000Z"
    assert (run.schedule_id, run.scheduled_for) == (schedule.schedule.id, None)
    after = planned(engine, schedule).instance
    assert (after.next_at, after.last_at) == (FIRST, None)
    assert engine.do(run_now, engine.prod, schedule.schedule.id) != run.id


@pytest.mark.parametrize("overlap", ["skip", "queue"])
def test_a_schedule_without_overlap_is_not_run_beside_its_previous_run(engine: Harness, overlap: str) -> None:
    schedule = a_schedule(engine, "0 * * * *", overlap=overlap)
    first = engine.run(engine.do(run_now, engine.prod, schedule.schedule.id))
    with pytest.raises(Unprocessable, match=f"{first.id} is still going on, and overlap is {overlap}"):
        engine.do(run_now, engine.prod, schedule.schedule.id)
    engine.now = at("2026-09-21 15:00")
    assert fire_all(engine) == []
    _finish(engine, first)
    assert _times(fire_all(engine)) == (["09-21 15:00"] if overlap == "queue" else [])


def test_a_schedule_of_another_environment_cannot_be_run(engine: Harness) -> None:
    """SC-13."""
    schedule = a_schedule(engine)
    with pytest.raises(ScheduleNotFound):
        engine.do(run_now, engine.dev, schedule.schedule.id)


# ---- when it cannot run -----------------------------------------------------------------------------------


def test_a_task_that_the_current_version_does_not_have_is_not_run(engine: Harness) -> None:
    """SC-17: nothing is changed, so the time is still due until it is given up."""
    schedule = a_schedule(engine)
    scheduled_tasks(engine, content="two")
    engine.change("DELETE FROM task WHERE task_id = :task", task=NIGHTLY)
    engine.now = FIRST
    with pytest.raises(Unprocessable, match="There is no task 'nightly' in the current version of prod"):
        engine.do(fire, schedule.instance.id, FIRST)
    assert planned(engine, schedule) == schedule
    engine.do(skip, schedule.instance.id, FIRST)
    assert planned(engine, schedule).instance.next_at == FIRST + DAY
    scheduled_tasks(engine, content="three")
    engine.now += DAY
    assert _times(fire_all(engine)) == ["09-23 05:00"]


def test_a_full_queue_refuses_a_time_and_changes_nothing(engine: Harness) -> None:
    """SC-17."""
    schedule = a_schedule(engine, "0 * * * *")
    engine.now = at("2026-09-21 15:00")
    fire_all(engine)
    engine.change("UPDATE queue SET max_length = 1 WHERE name = 'task/nightly'")
    engine.now += HOUR
    with pytest.raises(QueueFull):
        engine.do(fire, schedule.instance.id, engine.now)
    assert planned(engine, schedule).instance.next_at == engine.now


def test_a_time_that_is_skipped_takes_those_that_passed_since_with_it(engine: Harness) -> None:
    """SC-16, SC-17: the next future time is planned, and a plan that changed meanwhile is left alone."""
    schedule = a_schedule(engine, "0 * * * *", catch_up="all")
    engine.now = at("2026-09-21 18:30")
    engine.do(skip, schedule.instance.id, at("2026-09-21 16:00"))
    assert planned(engine, schedule) == schedule
    engine.do(skip, schedule.instance.id, at("2026-09-21 15:00"))
    assert planned(engine, schedule).instance.next_at == at("2026-09-21 19:00")


def test_a_waiting_time_can_be_given_up(engine: Harness) -> None:
    """SC-17."""
    schedule = a_schedule(engine, "0 * * * *", overlap="queue")
    engine.now = at("2026-09-21 15:00")
    (first,) = fire_all(engine)
    engine.now = at("2026-09-21 16:00")
    fire_all(engine)
    _finish(engine, first)
    engine.do(skip, schedule.instance.id, at("2026-09-21 16:00"))
    assert due(engine) == []
    assert planned(engine, schedule).instance.next_at == at("2026-09-21 17:00")


def test_an_inactive_schedule_that_is_found_due_does_not_run(engine: Harness) -> None:
    """SC-18: whoever read the list before it was switched off."""
    schedule = a_schedule(engine)
    engine.change("UPDATE schedule SET active = 0")
    engine.now = FIRST
    assert fire_all(engine) == []
    assert planned(engine, schedule).instance.next_at is None


def test_an_archived_environment_ends_the_plan(engine: Harness) -> None:
    """SC-18: and so does one that is gone."""
    schedule, other = a_schedule(engine), a_schedule(engine)
    engine.change("UPDATE environment SET archived_at = 1 WHERE id = :id", id=engine.prod.id)
    engine.now = FIRST
    assert fire_all(engine) == []
    assert planned(engine, schedule).instance.next_at is None
    engine.change("UPDATE schedule_instance SET environment_id = 'env_gone', next_at = :at", at=FIRST)
    assert engine.do(fire, other.instance.id, FIRST) is None
    assert planned(engine, other).instance.next_at is None


def test_a_paused_environment_gets_its_runs_and_they_wait(engine: Harness) -> None:
    """Q-34."""
    a_schedule(engine)
    engine.change("UPDATE environment SET paused = 1")
    engine.now = FIRST
    (run,) = fire_all(engine)
    assert run.execution_status == X.QUEUED


def test_a_schedule_whose_zone_is_no_longer_known_ends_its_plan(engine: Harness) -> None:
    """SC-17: after the time was given up nothing is due for ever."""
    schedule = a_schedule(engine)
    engine.change("UPDATE schedule SET timezone = 'Mars/Olympus_Mons'")
    engine.now = FIRST
    with pytest.raises(Unprocessable, match="no IANA time zone"):
        engine.do(fire, schedule.instance.id, FIRST)
    engine.do(skip, schedule.instance.id, FIRST)
    assert planned(engine, schedule).instance.next_at is None
