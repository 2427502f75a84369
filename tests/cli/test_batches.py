import json
from typing import Any

from tests.cli.conftest import RunCommand, refusal
from tests.cli.fake_server import FakeServer
from tests.support.batch_edge import a_batch

ALL = "/api/v1/batches"
ID = "batch_06fd3vk2m8q1s0t9u4abcdef"
ONE = f"/api/v2/batches/{ID}"


def _page(*batches: dict[str, Any], following: str | None = None) -> dict[str, Any]:
    return {"data": list(batches), "pagination": {"next": following} if following else {}}


def test_batches_are_listed_as_a_table(run: RunCommand, local_server: FakeServer) -> None:
    going_on = a_batch(ID, ["run_1", "run_2"], status="PENDING", finished=1)
    failed = a_batch("batch_2", ["run_1"], status="PARTIAL_FAILED", failed=1, runCount=2)
    local_server.answer("GET", ALL, _page(going_on, failed))
    head, first, second = run("batches", "list").out.splitlines()
    assert head.split() == ["BATCH", "STATUS", "OVER", "OF", "FAILED", "CREATED"]
    assert first.split()[:5] == [ID, "pending", "1", "2", "0"]
    assert second.split()[:6] == ["batch_2", "partial", "failed", "2", "2", "1"]


def test_batches_are_printed_whole_for_programs(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", ALL, _page(a_batch("batch_1", []), following="more"))
    local_server.answer("GET", ALL, _page(a_batch("batch_2", [])))
    listed = json.loads(run("batches", "list", "--json").out)
    assert [batch["id"] for batch in listed] == ["batch_1", "batch_2"]
    local_server.answer("GET", ALL, _page(a_batch("batch_1", []), following="more"))
    assert len(json.loads(run("batches", "list", "--limit", "1", "--json").out)) == 1


def test_a_list_without_batches_says_what_makes_one(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", ALL, _page())
    assert run("batches", "list").err == "No batch yet; a task's batch_trigger makes one.\n"


def test_one_batch_is_shown_with_what_became_no_run(run: RunCommand, local_server: FakeServer) -> None:
    """BA-13: item, task and reason."""
    errors = [{"index": n, "taskIdentifier": "resize", "error": f"full\n{n}"} for n in range(22)]
    batch = a_batch(ID, ["run_1"], errors=errors, parentRunId="run_0", received=20, runCount=23)
    local_server.answer("GET", ONE, batch)
    outcome = run("batches", "get", ID)
    for expected in (
        "status      completed",
        "runs over   1 of 23",
        "received    20 of 23",
        "no run      22",
    ):
        assert expected in outcome.out
    assert "parent      run_0" in outcome.out
    assert outcome.out.splitlines()[-1] == "item 19, resize: full 19"
    assert outcome.err == "2 more items became no run; --json has them all.\n"
    assert len(json.loads(run("batches", "get", ID, "--json").out)["processing"]["errors"]) == 22


def test_an_unknown_batch_and_what_is_no_batch_are_told(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", ONE, {"error": "Batch not found"}, status=404)
    unknown = refusal(run("batches", "get", ID))
    assert f"There is no batch {ID} in the prod environment" in unknown
    assert "'trigger-lite batches list' shows them" in unknown
    assert "ids begin with batch_" in refusal(run("batches", "get", "run_1"))
