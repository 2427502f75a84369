"""Runs that wait, with a real server and real workers."""

import re
from pathlib import Path
from typing import Any

import httpx

from tests.journeys.waits.conftest import WaitingServer
from tests.support.processes import wait_until_ended


def a_token(server: WaitingServer, run_id: str) -> dict[str, Any]:
    """Return the only token there is, once its run waits for it."""
    server.waits(run_id)
    with server.client() as client:
        found = client.get("/api/v1/waitpoints/tokens", params={"filter[tags]": "approval"}).json()
    (token,) = found["data"]
    view: dict[str, Any] = token
    return view


# ---- times ------------------------------------------------------------------------------------------


def test_a_run_waits_longer_than_it_may_work(server: WaitingServer, jobs: Path) -> None:
    """WP-10, AT-26, AT-09: the wait is neither counted nor limited."""
    server.start(jobs)
    run_id = server.trigger("nap", {"duration": "6s"})
    server.waits(run_id)
    run = server.finished(run_id)
    assert (run["status"], run["attemptCount"]) == ("COMPLETED", 1)
    assert 6 <= run["output"] < 9
    assert run["durationMs"] < 3000


def test_a_run_waits_until_a_moment(server: WaitingServer, jobs: Path) -> None:
    server.start(jobs)
    assert server.finished(server.trigger("nap_until", {"seconds": 5.5}))["output"] == "rested"
    assert server.finished(server.trigger("nap_until", {"seconds": -60}))["output"] == "rested"


# ---- tokens -----------------------------------------------------------------------------------------


def test_a_token_is_completed_over_http(server: WaitingServer, jobs: Path) -> None:
    """WP-18, WP-20: by its address alone, without a key."""
    server.start(jobs)
    run_id = server.trigger("approve", {"timeout": "1d"})
    token = a_token(server, run_id)
    assert token["status"] == "WAITING"
    assert httpx.post(token["url"], json={"by": "Ada"}).json() == {"success": True}
    assert server.finished(run_id)["output"] == "yes, by Ada"


def test_a_token_that_nobody_completes_times_out(server: WaitingServer, jobs: Path) -> None:
    """WP-12: the wait is over, and not ok."""
    server.start(jobs)
    run_id = server.trigger("approve", {"timeout": "1s"})
    assert server.finished(run_id)["output"] == "TokenTimeout"


# ---- children ---------------------------------------------------------------------------------------


def test_a_parent_gets_what_its_child_returned_or_why_it_failed(server: WaitingServer, jobs: Path) -> None:
    """BA-01, WP-16: on a worker that makes one run at a time."""
    server.start()
    server.start_worker(jobs, "--concurrency", "1")
    good = server.trigger("parent", {"number": 21})
    bad = server.trigger("parent", {"number": 21, "child": "broken"})
    assert str(server.finished(good)["output"]).startswith("42 in ")
    reason = server.finished(bad)["output"]
    assert re.fullmatch(r"broken FAILED: broken run_\w+ ended FAILED: ValueError: 21 is no number", reason)


def test_a_child_that_is_cancelled_is_told_to_its_parent(server: WaitingServer, jobs: Path) -> None:
    """WP-16: a cancel ends the wait of whoever waits for the run."""
    server.start()
    server.start_worker(jobs)
    run_id = server.trigger("parent", {"number": 21, "child": "sleepy"})
    server.waits(run_id)
    (child,) = server.run(run_id)["relatedRuns"]["children"]
    server.waits(child["id"])
    server.cancel(child["id"])
    assert str(server.finished(run_id)["output"]).startswith("sleepy CANCELED: ")


def test_parent_and_child_of_one_queue_with_one_slot_do_not_block_each_other(
    server: WaitingServer, jobs: Path
) -> None:
    """Q-23: a run that waits has no slot."""
    server.start()
    server.start_worker(jobs, "--concurrency", "1")
    runs = [server.trigger("outer", {}) for _ in range(3)]
    assert [server.finished(run)["output"] for run in runs] == ["outer and inner"] * 3


def test_children_of_children_are_waited_for(server: WaitingServer, jobs: Path) -> None:
    server.start()
    server.start_worker(jobs, "--concurrency", "1")
    assert server.finished(server.trigger("three_levels", {"depth": 4}))["output"] == 5


def test_twenty_parents_wait_on_a_worker_of_two(server: WaitingServer, jobs: Path) -> None:
    server.start()
    worker = server.start_worker(jobs, "--concurrency", "2")
    naps = [server.trigger("nap", {"duration": "1h"}) for _ in range(20)]
    processes = {server.process_of(run) for run in naps}
    assert len(processes) == 20
    parents = [server.trigger("parent", {"number": number}) for number in range(20)]
    outputs = [str(server.finished(run)["output"]).split()[0] for run in parents]
    assert outputs == [str(2 * number) for number in range(20)]
    for run in naps:
        server.cancel(run)
    assert {server.reaches(run, "CANCELED")["isCancelled"] for run in naps} == {True}
    wait_until_ended(*processes)
    assert worker.is_running
