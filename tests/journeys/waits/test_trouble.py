"""Runs that wait while something goes wrong."""

import signal
from pathlib import Path

import pytest

from tests.journeys.waits.conftest import WaitingServer
from tests.support.processes import wait_until_ended


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_wait_outlives_the_server(server: WaitingServer, jobs: Path, how: signal.Signals) -> None:
    """WP-04: the run goes on once, in the process it began in."""
    server.start()
    server.start_worker(jobs)
    run_id = server.trigger("nap", {"duration": "6s"})
    process = server.process_of(run_id)
    server.process.send(how)
    server.process.wait_for_exit()
    server.start()
    run = server.finished(run_id)
    assert (run["status"], run["attemptCount"]) == ("COMPLETED", 1)
    assert [line["message"] for line in server.logs(run_id)] == [f"asleep in {process}"]


def test_a_wait_that_is_asked_for_while_the_server_is_down_begins_when_it_is_back(
    server: WaitingServer, jobs: Path, tmp_path: Path
) -> None:
    server.start()
    worker = server.start_worker(jobs)
    run_id = server.trigger("approve_later", {"path": str(tmp_path / "flag")})
    server.until(run_id, lambda run: run["status"] == "EXECUTING")
    server.process.kill()
    worker.wait_for_line("Lost the connection|does not answer|connection")
    (tmp_path / "flag").touch()
    server.start()
    server.waits(run_id)
    with server.client() as client:
        (token,) = client.get("/api/v1/waitpoints/tokens").json()["data"]
        client.post(f"/api/v1/waitpoints/tokens/{token['id']}/complete", json={"data": "yes"})
    run = server.finished(run_id)
    assert (run["output"], run["attemptCount"]) == ("yes", 1)


def test_a_run_whose_worker_dies_while_it_waits_is_made_again_by_another(
    server: WaitingServer, jobs: Path
) -> None:
    """HB-03: a crash while parked is a failed attempt like any other."""
    server.environment["TRIGGER_LITE_RUN_TIMEOUT"] = "2"
    server.start()
    first = server.start_worker(jobs)
    run_id = server.trigger("approve", {"timeout": "1d"})
    server.waits(run_id)
    first.kill()
    server.start_worker(jobs)
    server.until(run_id, lambda run: run["attemptCount"] == 2)
    server.waits(run_id)
    with server.client() as client:
        for token in client.get("/api/v1/waitpoints/tokens").json()["data"]:
            client.post(f"/api/v1/waitpoints/tokens/{token['id']}/complete", json={"data": {"by": "Ada"}})
    assert server.finished(run_id)["output"] == "yes, by Ada"
    first.assert_nothing_left()


def test_a_cancel_ends_a_wait_at_once(server: WaitingServer, jobs: Path) -> None:
    server.start()
    server.start_worker(jobs)
    run_id = server.trigger("tidy", {"duration": "1h"})
    process = server.process_of(run_id)
    server.cancel(run_id)
    server.reaches(run_id, "CANCELED")
    wait_until_ended(process)
    assert server.logs(run_id)[-1]["message"] == "tidied up"


def test_a_wait_past_the_memory_budget_fails_with_what_to_do(server: WaitingServer, jobs: Path) -> None:
    server.start()
    server.start_worker(jobs, TRIGGER_LITE_PARKED_MEMORY="1MB")
    run = server.finished(server.trigger("nap", {"duration": "1h"}, maxAttempts=1))
    assert run["status"] == "FAILED"
    assert "its budget for them is 1 MB: wait at most 30s" in run["error"]["message"]
    assert server.finished(server.trigger("nap", {"duration": "6s"}))["status"] == "COMPLETED"
