"""Bulk actions on a real server, which is killed while it works on one."""

import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final

from tests.support.processes import StartCommand
from tests.support.real_server import RealServer

_RUNS: Final = 600
_CLIENTS: Final = 8
_KILLS: Final = 3


def test_no_run_is_replayed_twice_or_forgotten_when_the_server_is_killed(
    server: RealServer, start_command: StartCommand
) -> None:
    """CN-15: killed three times on the way; the command that began it, and one that looks, agree."""
    server.start()
    with ThreadPoolExecutor(_CLIENTS) as clients:
        meant = list(
            clients.map(lambda number: server.trigger("letter", number, tags=["sale"]), range(_RUNS))
        )
    server.trigger("letter", {}, tags=["other"])
    bulk_id = _begun(server, {"action": "replay", "filter": {"tag": "sale"}})
    for kill in range(_KILLS):
        status = _reaches(server, bulk_id, _RUNS * (2 * kill + 1) // (2 * _KILLS + 2))
        assert kill or status == "PENDING"  # on a busy machine, a later kill may come too late
        server.process.kill()
        server.start()
    _reaches(server, bulk_id, _RUNS)
    command = start_command(
        "bulk", "get", bulk_id, "--json", directory=server.folder, TRIGGER_LITE_DATA=str(server.data)
    )
    assert command.wait_for_exit() == 0
    shown = json.loads("\n".join(command.lines))
    assert (shown["status"], shown["counts"]) == (
        "COMPLETED",
        {"total": _RUNS, "success": _RUNS, "failure": 0},
    )
    assert _replayed(server) == sorted(meant)


def _begun(server: RealServer, body: dict[str, Any]) -> str:
    with server.client() as client:
        answer = client.post("/api/v1/bulk-actions", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])


def _reaches(server: RealServer, bulk_id: str, count: int) -> str:
    """Ask until so many runs were replayed, nothing tells when; return how the action stands."""
    deadline = time.monotonic() + 30
    with server.client() as client:
        while time.monotonic() < deadline:
            found = client.get(f"/api/v1/bulk-actions/{bulk_id}").json()
            if found["counts"]["success"] >= count and (count < _RUNS or found["status"] == "COMPLETED"):
                return str(found["status"])
    raise AssertionError(f"{bulk_id} did not get to {count}: {found}")


def _replayed(server: RealServer) -> list[str]:
    """Return the original of every replay, in order."""
    with closing(sqlite3.connect(server.data / "trigger.db")) as database:
        rows = database.execute("SELECT replay_of FROM run WHERE replay_of IS NOT NULL ORDER BY 1")
        return [run_id for (run_id,) in rows]
