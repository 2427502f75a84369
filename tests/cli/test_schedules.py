import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cli.conftest import RunCommand, refusal
from tests.cli.fake_server import RUN_ID, FakeServer, a_run
from tests.support.answers import a_schedule, a_schedule_page
from trigger_lite.cli.times import ahead

ALL = "/api/v1/schedules"
ID = "sched_06fd3vk2m8q1s0t9u4abcdef"
ONE = f"{ALL}/{ID}"


def _schedule(**fields: Any) -> dict[str, Any]:
    return a_schedule(ID, **fields)


def _in(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).isoformat().replace("+00:00", "Z")


def test_schedules_are_listed_as_a_table(run: RunCommand, local_server: FakeServer) -> None:
    """SC-21: cron in words, the next time and the last."""
    planned = _schedule(nextRun=_in(hours=3, minutes=1), lastRun=_in(days=-1), timezone="Asia/Tokyo")
    paused = a_schedule("sched_2", active=False)
    del paused["nextRun"]
    local_server.answer("GET", ALL, a_schedule_page(planned, paused).body)
    head, first, second = run("schedules", "list").out.splitlines()
    assert head.split() == ["SCHEDULE", "TASK", "WHEN", "ZONE", "NEXT", "LAST"]
    assert " ".join(first.split()) == f"{ID} nightly At 05:00 every day Asia/Tokyo in 3h 1d ago"
    assert second.split()[-1] == "paused"


def test_schedules_are_printed_whole_for_programs(run: RunCommand, local_server: FakeServer) -> None:
    for number in (1, 2):
        page = a_schedule_page(a_schedule(f"sched_{number}"), page=number, pages=2)
        local_server.answer("GET", ALL, page.body)
    listed = json.loads(run("schedules", "list", "--json").out)
    assert [schedule["id"] for schedule in listed] == ["sched_1", "sched_2"]
    assert listed[0]["generator"]["expression"] == "0 5 * * *"


def test_a_list_without_schedules_says_how_to_make_one(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", ALL, a_schedule_page(pages=0).body)
    assert run("schedules", "list").err.startswith(
        "No schedule yet; declare one with @schedules.task(cron=…)"
    )


def test_one_schedule_is_shown(run: RunCommand, local_server: FakeServer) -> None:
    schedule = _schedule(
        type="DECLARATIVE", overlap="skip", catchUp="none", expectWithin=900, externalId="user_7"
    )
    local_server.answer("GET", ONE, schedule)
    shown = run("schedules", "get", ID).out
    for expected in (
        "task        nightly",
        "declared    in code",
        "when        At 05:00 every day  (0 5 * * *)",
        "overlap     skipped while the previous run is going on",
        "catch up    missed times are skipped",
        "expected    within 15m",
        "external id user_7",
    ):
        assert expected in shown
    assert "last " not in shown
    assert json.loads(run("schedules", "get", ID, "--json").out)["expectWithin"] == 900


def test_schedules_are_paused_and_resumed(run: RunCommand, local_server: FakeServer) -> None:
    """SC-14."""
    local_server.answer("POST", f"{ONE}/deactivate", _schedule(active=False))
    local_server.answer("POST", f"{ONE}/activate", _schedule(nextRun=_in(minutes=10, seconds=5)))
    assert run("schedules", "pause", ID).err == f"{ID} (nightly) is paused\n"
    assert run("schedules", "resume", ID).err == f"{ID} (nightly) goes on in 10m\n"


def test_a_schedule_is_run_now(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("POST", f"{ONE}/run", {"id": RUN_ID})
    outcome = run("schedules", "run-now", ID)
    assert outcome.out == f"{RUN_ID}\n"
    assert outcome.err == f"{local_server.url}/prod/runs/{RUN_ID}\n"
    assert json.loads(run("schedules", "run-now", ID, "--json").out)["id"] == RUN_ID


def test_the_output_of_a_run_is_waited_for(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("POST", f"{ONE}/run", {"id": RUN_ID})
    over = a_run(output="done")
    for path in (f"/api/v3/runs/{RUN_ID}", f"/api/v1/runs/{RUN_ID}/wait"):
        local_server.answer("GET", path, over)
    local_server.answer("GET", f"/api/v1/runs/{RUN_ID}/logs", {"lines": [], "next": 0, "finished": True})
    outcome = run("schedules", "run-now", ID, "--wait")
    assert (outcome.code, outcome.out) == (0, '"done"\n')


def test_schedules_are_deleted(run: RunCommand, local_server: FakeServer) -> None:
    """SC-15."""
    local_server.answer("DELETE", ONE, {"id": ID})
    assert run("schedules", "delete", ID).err == f"{ID} is deleted\n"


@pytest.mark.parametrize("word", ["get", "pause", "resume", "run-now", "delete"])
def test_what_is_no_schedule_is_refused_in_one_line(
    run: RunCommand, local_server: FakeServer, word: str
) -> None:
    """SC-13: another environment's is not there either."""
    for method, path in (
        *(("GET", ONE), ("DELETE", ONE)),
        *(("POST", f"{ONE}/{what}") for what in ("activate", "deactivate", "run")),
    ):
        local_server.answer(method, path, {"error": "Schedule not found"}, status=404)
    said = refusal(run("schedules", word, ID))
    assert said == (
        f"There is no schedule {ID} in the prod environment of {local_server.url}; "
        "'trigger-lite schedules list' shows them"
    )
    assert "ids begin with sched_" in refusal(run("schedules", word, "nightly"))


def test_what_the_server_refuses_is_told(run: RunCommand, local_server: FakeServer) -> None:
    """SC-10."""
    said = f"{ID} is declared in code; remove it there, or deactivate it"
    local_server.answer("DELETE", ONE, {"error": said}, status=422)
    assert refusal(run("schedules", "delete", ID)) == said


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "now"), (0, "now"), (12, "in 12s"), (150, "in 2m"), (7_300, "in 2h"), (90_000, "in 1d")],
)
def test_a_time_ahead_is_told_in_one_unit(seconds: int, text: str) -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    assert ahead(at.isoformat(), at.timestamp() - seconds) == text
    assert ahead("some day", 0) == "some day"
