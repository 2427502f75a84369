import json

from tests.cli.conftest import RunCommand
from tests.cli.fake_server import RUN_ID, FakeServer

LOGS = f"/api/v1/runs/{RUN_ID}/logs"


def _line(seq: int, message: str, *, attempt: int = 1, level: str = "INFO") -> dict[str, object]:
    return {
        "seq": seq,
        "at": 1_795_392_000_000 + seq,
        "level": level,
        "source": "stdout",
        "message": message,
        "attempt": attempt,
    }


def _prepare(server: FakeServer) -> None:
    server.answer("GET", LOGS, {"lines": [_line(1, "begun")], "next": 1, "finished": False})
    server.answer(
        "GET",
        LOGS,
        {
            "lines": [{**_line(2, "half\x1b[2J", attempt=2, level="WARN"), "attributes": {"rows": 7}}],
            "next": 2,
            "finished": True,
        },
    )
    server.answer("GET", LOGS, {"lines": [], "next": 2, "finished": True})


def test_lines_have_time_level_source_and_message(run: RunCommand, local_server: FakeServer) -> None:
    _prepare(local_server)
    first, mark, second = run("logs", RUN_ID).out.splitlines()
    assert first.endswith(".001 INFO  stdout begun")
    assert mark == "— attempt 2 —"
    assert second.endswith(".002 WARN  stdout half [2J  rows=7")


def test_programs_get_one_object_a_line(run: RunCommand, local_server: FakeServer) -> None:
    _prepare(local_server)
    lines = [json.loads(line) for line in run("logs", RUN_ID, "--json").out.splitlines()]
    assert [(line["seq"], line["attempt"]) for line in lines] == [(1, 1), (2, 2)]


def test_following_goes_on_until_the_run_is_over(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", LOGS, {"lines": [], "next": 0, "finished": False})
    _prepare(local_server)
    assert len(run("logs", RUN_ID, "-f").out.splitlines()) == 3
    asked = [(int(asked.query["after"]), int(asked.query["wait"]) > 0) for asked in local_server.asked]
    assert asked == [(0, False), (0, True), (1, False), (2, False)]


def test_a_silent_run_is_said_to_be_silent(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", LOGS, {"lines": [], "next": 0, "finished": False})
    outcome = run("logs", RUN_ID)
    assert (outcome.out, outcome.err) == ("", "This run has printed and logged nothing so far.\n")
