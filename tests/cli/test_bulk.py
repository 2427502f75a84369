import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cli.conftest import RunCommand, refusal
from tests.cli.fake_server import RUN_ID, FakeServer

BULK = "/api/v1/bulk-actions"
BULK_ID = "bulk_06fd3vk2m8q1s0t9u4abcdef"


def an_action(status: str = "COMPLETED", **changes: Any) -> dict[str, Any]:
    counts = {"total": 1_200, "success": 1_197, "failure": 3} | changes.pop("counts", {})
    action = {"id": BULK_ID, "type": "CANCEL", "status": status, "counts": counts}
    return {**action, "createdAt": "2026-11-23T00:00:00.000Z", **changes}


@pytest.fixture
def accepting(local_server: FakeServer) -> FakeServer:
    """A server that takes a bulk action which is through at the second look."""
    local_server.answer("POST", BULK, {"id": BULK_ID}, status=202)
    local_server.answer("GET", f"{BULK}/{BULK_ID}", an_action("PENDING", counts={"success": 0, "failure": 0}))
    local_server.answer("GET", f"{BULK}/{BULK_ID}", an_action())
    return local_server


def test_all_runs_of_a_filter_are_cancelled_and_followed(run: RunCommand, accepting: FakeServer) -> None:
    """CN-14: the id on stdout, everything else beside it."""
    outcome = run(
        *("bulk", "cancel", "--status", "queued", "--status", "Delayed", "--task", "resize", "--tag", "a"),
        *("--queue", "slow", "--since", "2h", "--yes"),
    )
    assert (outcome.code, outcome.out) == (0, f"{BULK_ID}\n")
    page = f"{accepting.url}/prod/bulk/{BULK_ID}"
    ending = "1,197 runs are cancelled, 3 were over already"
    assert outcome.err == f"{BULK_ID}  {page}\ncancelling …\n{ending}\n"
    (body,) = accepting.bodies("POST", BULK)
    since = datetime.fromtimestamp(body["filter"].pop("from") / 1000, UTC)
    assert abs(datetime.now(UTC) - timedelta(hours=2) - since) < timedelta(seconds=30)
    wanted = {"status": ["QUEUED", "DELAYED"], "taskIdentifier": ["resize"], "tag": ["a"], "queue": ["slow"]}
    assert body == {"action": "cancel", "filter": wanted}


def test_named_runs_are_replayed_and_printed_for_programs(run: RunCommand, accepting: FakeServer) -> None:
    outcome = run("bulk", "replay", RUN_ID, "--yes", "--json")
    assert json.loads(outcome.out)["counts"] == {"total": 1200, "success": 1197, "failure": 3}
    assert accepting.bodies("POST", BULK) == [{"action": "replay", "runIds": [RUN_ID]}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("cancel", "--status", "failed", "--task", "a", "--task", "b"),
            "This would cancel all runs with status failed, task a or b, created in the last 7 days; "
            "add --yes to do it",
        ),
        (
            ("replay", "--since", "2026-11-22T00:00+00:00"),
            "This would replay all runs created since 2026-11-22 00:00 UTC; add --yes to do it",
        ),
        (("cancel", RUN_ID, RUN_ID), "This would cancel 2 runs; add --yes to do it"),
        (("cancel",), "Which runs? Give a filter such as --status failed --task resize, or the ids of runs"),
        (("cancel", RUN_ID, "--tag", "a"), "Name runs or give a filter such as --status, not both"),
        (
            ("abort", "run_1"),
            "Invalid value for 'BULK': 'run_1' is not a bulk action's id; ids begin with bulk_ and "
            "'trigger-lite bulk list' shows them",
        ),
    ],
)
def test_what_is_not_clear_is_not_done(
    run: RunCommand, local_server: FakeServer, arguments: tuple[str, ...], message: str
) -> None:
    """CN-14: without a terminal nobody can be asked."""
    assert refusal(run("bulk", *arguments)) == message
    assert local_server.asked == []


def test_a_refusal_of_the_server_is_one_line(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("POST", BULK, {"error": "Only 3 bulk replays at a time"}, status=429)
    assert refusal(run("bulk", "replay", RUN_ID, "--yes")) == "Only 3 bulk replays at a time"


def test_an_aborted_action_is_told_by_the_exit_code(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", f"{BULK}/{BULK_ID}", an_action("ABORTED", type="REPLAY"))
    outcome = run("bulk", "get", BULK_ID, "--wait")
    assert outcome.code == 1
    assert "1,197 runs are replayed, 3 could not be; it was aborted" in outcome.err


def test_one_action_is_shown(run: RunCommand, local_server: FakeServer) -> None:
    counts = {"success": 400, "failure": 0}
    local_server.answer("GET", f"{BULK}/{BULK_ID}", an_action("PENDING", counts=counts))
    assert run("bulk", "get", BULK_ID).out == f"cancelling  {'█' * 8}{'░' * 16}  400/1,200\n"
    assert json.loads(run("bulk", "get", BULK_ID, "--json").out)["status"] == "PENDING"


def test_actions_are_listed_as_a_table(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", BULK, {"data": [an_action(name="clean up")], "pagination": {}})
    head, row = run("bulk", "list").out.splitlines()
    assert head.split() == ["BULK", "ACTION", "WHAT", "STATUS", "DONE", "FAILED", "OF", "CREATED", "NAME"]
    assert row.split()[:6] == [BULK_ID, "cancel", "completed", "1,197", "3", "1,200"]
    assert row.endswith("clean up")
    assert json.loads(run("bulk", "list", "--json").out)[0]["id"] == BULK_ID


def test_a_list_without_actions_says_so(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", BULK, {"data": [], "pagination": {}})
    assert run("bulk", "list").err == "No bulk action yet.\n"


def test_an_action_is_aborted(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("POST", f"{BULK}/{BULK_ID}/abort", {"id": BULK_ID})
    outcome = run("bulk", "abort", BULK_ID)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == f"{BULK_ID} is aborted; runs it had not reached stay as they are\n"
