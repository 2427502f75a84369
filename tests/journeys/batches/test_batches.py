"""Batches on a real server, made by runs of a real worker."""

import json
from typing import Any

import pytest

from tests.support.real_server import RealServer


def output(server: RealServer, task: str, seconds: float = 60, **payload: Any) -> Any:
    """Run a task to its success and return what it returned."""
    run = server.finished(server.trigger(task, payload), seconds=seconds)
    assert run["isSuccess"], run
    value = run.get("output")
    return json.loads(value) if isinstance(value, str) and value[:1] in '[{"' else value


def batches(server: RealServer) -> list[dict[str, Any]]:
    """The newest batches."""
    with server.client() as client:
        found: list[dict[str, Any]] = client.get("/api/v1/batches").json()["data"]
    return found


def test_a_run_waits_for_a_thousand_others(server: RealServer) -> None:
    """BA-10, BA-16, BA-17, ST-12: each result at its index."""
    assert output(server, "fan_out", count=1_000) is True
    newest = batches(server)[0]
    assert (newest["status"], newest["runCount"], newest["finished"]) == ("COMPLETED", 1_000, 1_000)


def test_more_items_than_one_batch_holds_are_waited_for_batch_by_batch(server: RealServer) -> None:
    """BA-08: from a generator, too."""
    assert output(server, "fan_out_from_a_generator", count=2_100) == 2_100 * 2_099
    assert [batch["runCount"] for batch in batches(server)[:3]] == [100, 1_000, 1_000]


def test_results_that_are_too_much_for_one_frame_arrive_whole(server: RealServer) -> None:
    """ST-12: 40 MB, of which a frame holds 32."""
    assert output(server, "much", count=400, size=100_000) == 40_000_000


def test_runs_that_fail_are_results_of_their_own(server: RealServer) -> None:
    """BA-15, BA-16: the others are there, and the batch is complete."""
    found = output(server, "some_fail", count=25)
    assert [index for index, said in enumerate(found) if said != "ok"] == [3, 13, 23]
    assert "ValueError: 13 ends with a three" in found[13]
    assert batches(server)[0]["status"] == "COMPLETED"


def test_an_item_that_becomes_no_run_is_an_error_at_its_index(server: RealServer) -> None:
    """BA-13, TR-26"""
    first, second, third = output(server, "some_cannot_be_triggered")
    assert (first, third) == ("2", "6")
    assert "SYSTEM_FAILURE" in second and "no version '20300101.1'" in second


def test_parent_and_children_in_one_queue_of_limit_one_do_not_wait_for_each_other(
    server: RealServer,
) -> None:
    """BA-10, Q-22: nor do two such parents."""
    runs = [server.trigger("large", {"count": 20}) for _ in range(2)]
    assert [server.finished(run)["output"] for run in runs] == [190, 190]


def test_batches_within_batches_end(server: RealServer) -> None:
    """BA-16: more runs wait than the worker has children."""
    assert output(server, "nested", depth=4) == 16


def test_two_items_with_one_key_are_one_run(server: RealServer) -> None:
    """ST-13, ID-11: with a result at each index."""
    assert output(server, "twice_the_same") == [8, 10, 8]


@pytest.mark.parametrize("number", [4])
def test_async_code_waits_for_several_tasks(server: RealServer, number: int) -> None:
    assert output(server, "several", number=number) == [8, 4]
