"""Payloads that are malformed, too large or of the wrong type; outputs that are no JSON."""

import sys
from pathlib import Path

import pytest

from tests.journeys.faults.conftest import WriteTasks
from tests.support.processes import Process, StartCommand
from tests.support.real_server import RealServer

_TASKS = """
    @task
    def resize(path: str, width: int) -> str:
        return f"{path} at {width}"

    @task
    def a_set_of_objects(payload):
        return [object()]

    @task
    def large(payload):
        return "x" * 11_000_000

    @task
    def not_a_number(payload):
        return float("nan")
"""


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "Request body is empty"),
        (b"{", 400, "Invalid JSON"),
        (b"null", 400, "Invalid JSON"),
        (b"[1]", 400, "Expected `object`, got `array`"),
        (b'{"payload": 1, "options": 1}', 400, "Expected `object`, got `int` - at `$.options`"),
        (b'{"options": {"ttl": -1}}', 400, "Expected `int` >= 0 - at `$.options.ttl`"),
        (b'{"payload": "\xff"}', 400, "Invalid JSON"),
        (b'{"payload": "' + b"x" * 3_145_728 + b'"}', 413, "Request body too large"),
    ],
)  # fmt: skip
def test_http_refuses_a_body_that_is_malformed_or_too_large(
    server: RealServer, body: bytes, status: int, error: str
) -> None:
    server.start()
    with server.client() as client:
        answer = client.post("/api/v1/tasks/resize/trigger", content=body)
        assert (answer.status_code, answer.json()) == (status, {"error": error})
        assert client.get("/api/v1/runs").json() == {"data": [], "pagination": {}}


def test_a_command_refuses_a_payload_that_is_malformed_or_too_large(
    server: RealServer, start_command: StartCommand, tmp_path: Path
) -> None:
    server.start()
    (tmp_path / "large.json").write_text('"' + "x" * 3_200_000 + '"')

    def refused(*payload: str) -> str:
        command = start_command("trigger", "resize", "--data", server.data, *payload)
        assert command.wait_for_exit() == 2, command.output
        (line,) = command.lines
        return line

    assert refused("{not json").startswith("Error: The payload is not JSON")
    assert "3.0 MB" in refused("--payload-file", "large.json")
    assert "no-such.json" in refused("--payload-file", "no-such.json")
    with server.client() as client:
        assert client.get("/api/v1/runs").json()["data"] == []


def test_a_payload_of_the_wrong_type_fails_its_run_at_once_and_names_the_place(
    server: RealServer, write_tasks: WriteTasks
) -> None:
    server.start()
    server.start_worker(write_tasks(_TASKS))
    wrong = server.finished(server.trigger("resize", {"path": "a.png", "width": "wide"}))
    assert (wrong["status"], wrong["attemptCount"]) == ("FAILED", 1)
    assert "Expected `int`, got `str` - at `$.width`" in wrong["error"]["message"]
    unknown = server.finished(server.trigger("resize", {"path": "a.png", "widht": 1}))
    assert "width" in unknown["error"]["message"]
    good = server.finished(server.trigger("resize", {"path": "a.png", "width": 9}))
    assert (good["status"], good["output"]) == ("COMPLETED", "a.png at 9")


_CALLER = """
from trigger_lite import TriggerLiteError
from tasks import resize

def refused(call):
    try:
        print("accepted", call())
    except TriggerLiteError as error:
        print(type(error).__name__, str(error).count(chr(10)), str(error))

refused(lambda: resize.trigger("a.png", "wide"))
refused(lambda: resize.trigger("x" * 3_200_000, 1))
refused(lambda: resize.with_(tags=["x" * 129]).trigger("a.png", 1))
"""


def test_the_sdk_refuses_a_payload_that_is_mistyped_or_too_large(
    server: RealServer, write_tasks: WriteTasks
) -> None:
    server.start()
    folder = write_tasks(_TASKS)
    (folder / "caller.py").write_text(_CALLER)
    target = {"TRIGGER_LITE_URL": server.url, "TRIGGER_LITE_KEY": server.key()}
    with Process([sys.executable, "caller.py"], directory=folder, environment=target) as caller:
        assert caller.wait_for_exit() == 0, caller.output
        mistyped, large, tag = caller.lines
    assert mistyped.startswith("PayloadError 0 resize: Expected `int`, got `str` - at `$.width`")
    assert large.startswith("PayloadError 0 resize: the payload is larger than 3145728 bytes")
    assert tag.startswith("DefinitionError 0 resize.with_(): a tag has at most 128 characters")
    with server.client() as client:
        assert client.get("/api/v1/runs").json()["data"] == []


@pytest.mark.parametrize(("task", "word"), [("a_set_of_objects", "object"), ("large", "10485760 bytes")])
def test_an_output_that_is_no_json_or_too_large_fails_the_run_and_says_why(
    server: RealServer, write_tasks: WriteTasks, task: str, word: str
) -> None:
    server.start()
    server.start_worker(write_tasks(_TASKS))
    run = server.finished(server.trigger(task, {}, maxAttempts=1))
    assert run["status"] == "FAILED" and "output" not in run
    assert word in run["error"]["message"], run["error"]
    assert server.finished(server.trigger("not_a_number", {}))["status"] == "COMPLETED"
