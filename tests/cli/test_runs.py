import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.conftest import RunCommand, refusal
from tests.cli.fake_server import RUN_ID, FakeServer, a_run

RUNS = "/api/v1/runs"
OTHER_ID = RUN_ID[:-1] + "g"


def _page(*ids: str, following: str | None = None) -> dict[str, object]:
    pagination = {"next": following} if following else {}
    return {"data": [a_run(id=run_id) for run_id in ids], "pagination": pagination}


def test_runs_are_listed_as_a_table(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", RUNS, _page(RUN_ID))
    outcome = run("runs", "list")
    head, row = outcome.out.splitlines()
    assert head.split() == ["RUN", "STATUS", "TASK", "CREATED", "TOOK", "TAGS"]
    assert row.split()[:3] == [RUN_ID, "completed", "resize"]
    assert row.split()[-2:] == ["1.2s", "org_42"]


def test_filters_reach_the_server(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", RUNS, _page())
    outcome = run(
        *("runs", "list", "--status", "failed", "--status", "Timed_Out", "--task", "resize", "--tag", "a"),
        *("--since", "2h", "--limit", "7"),
    )
    assert outcome.err == "No such run.\n"
    query = local_server.asked[-1].query
    since = datetime.fromtimestamp(int(query.pop("filter[createdAt][from]")) / 1000, UTC)
    assert abs(datetime.now(UTC) - timedelta(hours=2) - since) < timedelta(seconds=30)
    assert query == {
        "filter[status]": "FAILED,TIMED_OUT",
        "filter[taskIdentifier]": "resize",
        "filter[tag]": "a",
        "page[size]": "7",
    }


def test_more_runs_than_a_page_holds_are_fetched_page_by_page(
    run: RunCommand, local_server: FakeServer
) -> None:
    local_server.answer("GET", RUNS, _page(RUN_ID, following="cursor"))
    local_server.answer("GET", RUNS, _page(OTHER_ID))
    listed = json.loads(run("runs", "list", "--json", "--limit", "150").out)
    assert [item["id"] for item in listed] == [RUN_ID, OTHER_ID]
    assert [asked.query.get("page[after]") for asked in local_server.asked] == [None, "cursor"]


def test_a_list_without_runs_says_how_to_make_one(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", RUNS, _page())
    assert run("runs", "list").err == "No run yet; make one with 'trigger-lite trigger TASK'.\n"
    assert json.loads(run("runs", "list", "--json").out) == []


def test_one_run_is_shown_with_payload_output_and_error(run: RunCommand, local_server: FakeServer) -> None:
    error = {"name": "ValueError", "message": "no such picture", "stackTrace": "  File 'resize.py', line 3"}
    local_server.answer(
        "GET", f"/api/v3/runs/{RUN_ID}", a_run(status="FAILED", payload={"width": 100}, error=error)
    )
    out = run("runs", "get", RUN_ID).out
    for expected in (
        "resize",
        "failed",
        "took        1.2s",
        '"width": 100',
        "ValueError: no such picture",
        "line 3",
    ):
        assert expected in out


def test_one_run_is_printed_whole_for_programs(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", f"/api/v3/runs/{RUN_ID}", a_run(futureField=1))
    assert json.loads(run("runs", "get", RUN_ID, "--json").out)["futureField"] == 1


def test_a_run_that_is_not_there_is_refused_by_name(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", f"/api/v3/runs/{RUN_ID}", {"error": "Run not found"}, status=404)
    message = refusal(run("runs", "get", RUN_ID))
    assert message.startswith(f"There is no run {RUN_ID} in the prod environment of {local_server.url}")


def test_cancelling_stops_what_is_not_over(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", f"/api/v3/runs/{RUN_ID}", a_run(status="EXECUTING"))
    local_server.answer("GET", f"/api/v3/runs/{OTHER_ID}", a_run(id=OTHER_ID))
    local_server.answer("POST", f"/api/v2/runs/{RUN_ID}/cancel", {"id": RUN_ID})
    outcome = run("runs", "cancel", RUN_ID, OTHER_ID)
    assert outcome.code == 0
    assert (
        outcome.err
        == f"{RUN_ID} is cancelled; its code is being stopped\n{OTHER_ID} was over already: completed\n"
    )


def test_a_replay_is_a_new_run(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("POST", f"/api/v1/runs/{RUN_ID}/replay", {"id": OTHER_ID})
    outcome = run("runs", "replay", RUN_ID)
    assert (outcome.out, outcome.err) == (f"{OTHER_ID}\n", f"{local_server.url}/prod/runs/{OTHER_ID}\n")


def test_a_replay_can_be_waited_for(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("POST", f"/api/v1/runs/{RUN_ID}/replay", {"id": OTHER_ID})
    local_server.answer("GET", f"/api/v3/runs/{OTHER_ID}", a_run(id=OTHER_ID, output="again"))
    outcome = run("runs", "replay", RUN_ID, "--wait")
    assert (outcome.code, outcome.out) == (0, '"again"\n')


def test_a_replay_changes_what_is_given(run: RunCommand, local_server: FakeServer) -> None:
    """CN-11: payload, version, machine and the options of a trigger."""
    local_server.answer("POST", f"{RUNS}/{RUN_ID}/replay", {"id": OTHER_ID})
    run(
        *("runs", "replay", RUN_ID, "--payload", '{"width": 200}', "--on-version", "20300101.1"),
        *("--machine", "large-1x", "--tag", "again", "--delay", "1h", "--metadata", '{"n": 1}'),
    )
    (body,) = local_server.bodies("POST", f"{RUNS}/{RUN_ID}/replay")
    assert "T" in body.pop("delay")
    assert body == {
        "payload": {"width": 200},
        "payloadType": "application/json",
        "version": "20300101.1",
        "machine": "large-1x",
        "tags": ["again"],
        "metadata": {"n": 1},
    }


def test_a_payload_of_a_replay_that_is_no_json_is_refused(run: RunCommand, local_server: FakeServer) -> None:
    assert "The payload is not JSON" in refusal(run("runs", "replay", RUN_ID, "--payload", "{width: 2}"))
    assert local_server.asked == []


def test_a_delayed_run_is_rescheduled(run: RunCommand, local_server: FakeServer) -> None:
    """CN-09: by a duration from now or a time."""
    path = f"{RUNS}/{RUN_ID}/reschedule"
    moved = a_run(status="DELAYED", delayedUntil="2026-11-23T08:00:00.000Z")
    local_server.answer("POST", path, moved)
    outcome = run("runs", "reschedule", RUN_ID, "2h")
    assert (outcome.code, outcome.err) == (0, f"{RUN_ID} starts at 2026-11-23T08:00:00.000Z\n")
    run("runs", "reschedule", RUN_ID, "2026-11-23T08:00:00+00:00")
    assert local_server.bodies("POST", path)[1] == {"delay": "2026-11-23T08:00:00.000Z"}


def test_a_run_that_cannot_be_rescheduled_says_why(run: RunCommand, local_server: FakeServer) -> None:
    error = f"{RUN_ID} is QUEUED; only a DELAYED run can be rescheduled"
    local_server.answer("POST", f"{RUNS}/{RUN_ID}/reschedule", {"error": error}, status=422)
    assert refusal(run("runs", "reschedule", RUN_ID, "2h")) == error
    assert "neither a duration" in refusal(run("runs", "reschedule", RUN_ID, "soon"))


@pytest.mark.parametrize("answer", [{}, {"id": 5}, [1]])
def test_an_answer_that_is_no_run_is_said_to_be_none(
    run: RunCommand, local_server: FakeServer, answer: object
) -> None:
    local_server.answer("GET", f"/api/v3/runs/{RUN_ID}", answer)
    outcome = run("runs", "get", RUN_ID)
    assert outcome.code == 1
    assert "something that is not a run" in outcome.err and outcome.err.count("\n") == 1
