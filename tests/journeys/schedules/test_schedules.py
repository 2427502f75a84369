"""Schedules on a real server: declared by a real worker, run late after the server was killed, and once."""

import json
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.faults import until
from tests.support.processes import StartCommand
from tests.support.real_server import RealServer
from trigger_lite import Client
from trigger_lite.protocol.times import iso

TASKS: Final = """\
from trigger_lite import Fire, schedules


@schedules.task(cron="0 0 1 1 *", tz="Asia/Tokyo", overlap="skip")
def yearly(fire: Fire) -> dict[str, str | None]:
    last = None if fire.last is None else fire.last.isoformat()
    return {"at": fire.at.isoformat(), "last": last, "zone": fire.timezone, "next": str(fire.next)}


@schedules.task
def remind(fire: Fire) -> str | None:
    return fire.external_id
"""


@pytest.fixture
def server(start_command: StartCommand, tmp_path: Path, free_port: int) -> RealServer:
    """A server that is not started yet, and the folder of tasks beside it."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "tasks.py").write_text(TASKS)
    return RealServer(start_command, tmp_path, free_port)


def _command(server: RealServer, start: StartCommand, *arguments: str) -> str:
    """Run a command to its success and return what it printed."""
    process = start(*arguments, "--data", server.data, directory=server.folder)
    assert process.wait_for_exit() == 0, process.output
    return "\n".join(process.lines)


def _schedules(server: RealServer) -> dict[str, Any]:
    with server.client() as client:
        return {found["task"]: found for found in client.get("/api/v1/schedules").json()["data"]}


def _runs(server: RealServer, schedule_id: str) -> list[dict[str, Any]]:
    with server.client() as client:
        page = client.get("/api/v1/runs", params={"filter[schedule]": schedule_id})
        found: list[dict[str, Any]] = page.json()["data"]
        return found


def _finished_runs(server: RealServer, schedule_id: str, count: int) -> list[dict[str, Any]]:
    """Wait until so many runs of a schedule are over, and return them whole."""
    until(f"run {count} of {schedule_id}", lambda: len(_runs(server, schedule_id)) >= count)
    return [server.finished(run["id"]) for run in _runs(server, schedule_id)]


def _plan(server: RealServer, at: int) -> None:
    """Let the time that the killed server had planned be another one."""
    with closing(sqlite3.connect(server.data / "trigger.db")) as database:
        database.execute("UPDATE schedule_instance SET next_at = ? WHERE next_at IS NOT NULL", [at])
        database.commit()


def test_a_schedule_that_code_declares_is_seen_paused_and_run(
    server: RealServer, start_command: StartCommand
) -> None:
    """SC-10, SC-06, SC-14: by the commands that a person types."""
    server.start()
    server.start_worker(server.folder / "jobs")
    yearly = _schedules(server)["yearly"]
    listed = _command(server, start_command, "schedules", "list")
    assert "At 00:00 on day 1 of the month in January" in listed and "Asia/Tokyo" in listed
    printed = _command(server, start_command, "schedules", "run-now", yearly["id"], "--wait", "--json")
    output = json.loads(printed[printed.index("{") : printed.rindex("}") + 1])["output"]
    assert output["zone"] == "Asia/Tokyo" and output["last"] is None
    assert output["next"].endswith("12-31 15:00:00+00:00")
    _command(server, start_command, "schedules", "pause", yearly["id"])
    assert "nextRun" not in _schedules(server)["yearly"]


def test_a_time_that_passed_while_the_server_was_dead_runs_once_however_often_it_dies(
    server: RealServer,
) -> None:
    """SC-04, SC-20, SC-16: the late run reaches a worker that came back, and no restart repeats it."""
    server.start()
    server.start_worker(server.folder / "jobs")
    yearly = _schedules(server)["yearly"]
    server.process.kill()
    missed = round(time.time() - 600) * 1_000
    _plan(server, missed)
    server.start()
    (run,) = _finished_runs(server, yearly["id"], 1)
    assert run["output"]["at"] == datetime.fromtimestamp(missed / 1000, UTC).isoformat()
    assert run["schedule"]["id"] == yearly["id"]
    assert _schedules(server)["yearly"]["nextRun"] == yearly["nextRun"]
    server.process.kill()
    _plan(server, missed)
    server.start()
    until("the plan", lambda: _schedules(server)["yearly"]["nextRun"] == yearly["nextRun"])
    assert _schedules(server)["yearly"]["lastRun"] == iso(missed)
    assert [found["id"] for found in _runs(server, yearly["id"])] == [run["id"]]


def test_a_schedule_made_by_a_call_hands_on_its_external_id(server: RealServer) -> None:
    """SC-11, SC-12: one for each user, from code that is no task."""
    server.start()
    server.start_worker(server.folder / "jobs")
    with server.client():
        client = Client(server.url, server.key())
        for user in ("ada", "grace", "ada"):
            client.schedules.create("remind", "0 0 1 1 *", dedup_key=user, external_id=user)
        listed = {
            found.deduplication_key: found for found in client.schedules.list() if found.task == "remind"
        }
        assert sorted(map(str, listed)) == ["ada", "grace"]
        handle = client.schedules.run_now(listed["grace"].id)
        assert handle.result(timeout="30s") == "grace"
        client.close()
