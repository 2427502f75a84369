import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import RunCommand, refusal
from tests.cli.fake_server import DEV_KEY, KEY, RUN_ID, FakeServer, a_run

TRIGGER = "/api/v1/tasks/resize/trigger"
GET = f"/api/v3/runs/{RUN_ID}"
WAIT = f"/api/v1/runs/{RUN_ID}/wait"


@pytest.fixture
def accepting(local_server: FakeServer) -> FakeServer:
    local_server.answer("POST", TRIGGER, {"id": RUN_ID, "isCached": False})
    return local_server


def test_the_run_id_is_the_output_and_its_page_stands_beside_it(
    run: RunCommand, accepting: FakeServer
) -> None:
    outcome = run("trigger", "resize", '{"width": 100}')
    assert (outcome.code, outcome.out) == (0, f"{RUN_ID}\n")
    assert outcome.err == f"{accepting.url}/prod/runs/{RUN_ID}\n"
    assert accepting.bodies("POST", TRIGGER) == [{"payload": {"width": 100}, "options": {}}]
    assert accepting.asked[-1].key == KEY


def test_programs_get_the_same_as_json(run: RunCommand, accepting: FakeServer) -> None:
    outcome = run("trigger", "resize", "--json", "--env", "dev")
    assert json.loads(outcome.out) == {
        "id": RUN_ID,
        "isCached": False,
        "url": f"{accepting.url}/dev/runs/{RUN_ID}",
    }
    assert accepting.asked[-1].key == DEV_KEY


def test_a_task_can_be_triggered_without_a_payload(run: RunCommand, accepting: FakeServer) -> None:
    assert run("trigger", "resize").code == 0
    assert accepting.bodies("POST", TRIGGER) == [{"options": {}}]


def test_a_payload_arrives_as_it_was_written(run: RunCommand, accepting: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text('{"n": 12345678901234567890123, "text": "ü"}')
    assert run("trigger", "resize", "--payload-file", "payload.json").code == 0
    assert accepting.asked[-1].body["payload"] == {"n": 12345678901234567890123, "text": "ü"}


def test_a_payload_is_read_from_stdin(
    run: RunCommand, accepting: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'["from", "stdin"]')))
    assert run("trigger", "resize", "-").code == 0
    assert accepting.asked[-1].body["payload"] == ["from", "stdin"]


def test_every_option_reaches_the_server(run: RunCommand, accepting: FakeServer) -> None:
    options = {
        "--delay": "2050-01-01T00:00:00Z",
        "--ttl": "10m",
        "--queue": "slow",
        "--concurrency-key": "user_7",
        "--priority": "30",
        "--machine": "medium-1x",
        "--max-attempts": "2",
        "--max-duration": "90",
        "--metadata": '{"rows": 0}',
        "--idempotency-key": "monday",
        "--idempotency-key-ttl": "1h",
        "--on-version": "20300101.1",
        "--debounce": "user_7",
        "--debounce-delay": "30s",
        "--debounce-mode": "trailing",
        "--debounce-max-delay": "5m",
    }
    flat = [part for pair in options.items() for part in pair]
    assert run("trigger", "resize", "{}", "--tag", "a", "--tag", "b", *flat).code == 0
    sent = accepting.asked[-1].body["options"]
    assert len(sent.pop("idempotencyKey")) == 64
    assert sent == {
        "delay": "2050-01-01T00:00:00.000Z",
        "ttl": 600,
        "tags": ["a", "b"],
        "queue": {"name": "slow"},
        "concurrencyKey": "user_7",
        "priority": 30.0,
        "machine": "medium-1x",
        "maxAttempts": 2,
        "maxDuration": 90.0,
        "metadata": {"rows": 0},
        "lockToVersion": "20300101.1",
        "debounce": {"key": "user_7", "delay": "30s", "mode": "trailing", "maxDelay": "5m"},
        "idempotencyKeyTTL": "3600s",
        "idempotencyKeyOptions": {"key": "monday", "scope": "run"},
    }


def test_an_earlier_run_of_the_same_idempotency_key_is_said(
    run: RunCommand, local_server: FakeServer
) -> None:
    local_server.answer("POST", TRIGGER, {"id": RUN_ID, "isCached": True})
    assert "was used before" in run("trigger", "resize", "--idempotency-key", "monday").err


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (
            '{"a": 1 "b": 2}',
            """The payload is not JSON: expecting ',' delimiter at column 9, here: {"a": 1 ▸"b": 2}""",
        ),
        (
            "{a: 1}",
            "The payload is not JSON: expecting property name enclosed in double quotes at column 2, "
            "here: {▸a: 1}. Names and texts need double quotes, "
            "and in a shell single ones around all: '{\"name\": 1}'",
        ),
        (
            "hello",
            "The payload is not JSON: expecting value at column 1, here: ▸hello. "
            "A text needs double quotes of its own: '\"text\"'",
        ),
        ('{"a": NaN}', "The payload is not JSON: NaN is no number there; write null"),
        ('{\n"a": x}', 'The payload is not JSON: expecting value at line 2 column 6, here: { "a": ▸x}'),
        ("[" * 100_000, "The payload is nested too deeply"),
        (
            '"' + "x" * 3_145_728 + '"',
            "The payload has 3.0 MB; a run takes at most 3.0 MB. Store it somewhere and send its address",
        ),
        ('"\udcff"', "The payload is not UTF-8 at character 2"),
    ],
    ids=["comma", "unquoted name", "bare word", "NaN", "second line", "depth", "size", "encoding"],
)
def test_a_payload_that_is_not_right_is_refused_before_anything_is_sent(
    run: RunCommand, accepting: FakeServer, payload: str, message: str
) -> None:
    assert refusal(run("trigger", "resize", payload)) == message
    assert accepting.asked == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["{}", "--payload-file", "a.json"],
            "The payload is given twice: as an argument and with --payload-file; leave one out",
        ),
        (["--payload-file", "a.json"], "The payload cannot be read from a.json: No such file or directory"),
        (
            ["--ttl", "3x"],
            """Invalid value for '--ttl': '3x' is not a duration; write for example "90s", "1h30m" or 90""",
        ),
        (
            ["--delay", "soon"],
            "Invalid value for '--delay': 'soon' is neither a duration such as \"90s\" or \"2h\" "
            "nor a time such as 2026-11-23T08:00",
        ),
        (["--metadata", "[1]"], """--metadata must be a JSON object such as '{"rows": 0}', not [1]"""),
        (
            [part for n in range(11) for part in ("--tag", str(n))],
            "trigger: a run has at most 10 tags, not 11",
        ),
        (
            ["--debounce-delay", "5s"],
            "--debounce-… needs --debounce KEY, which says what triggers belong together",
        ),
        (
            ["--debounce", "k", "--debounce-max-delay", "5s"],
            "Debounce: max_delay '5s' must be longer than delay '5s'",
        ),
    ],
)
def test_an_option_that_is_not_right_is_refused_before_anything_is_sent(
    run: RunCommand, accepting: FakeServer, arguments: list[str], message: str
) -> None:
    assert refusal(run("trigger", "resize", *arguments)) == message
    assert accepting.asked == []


@pytest.mark.parametrize(
    ("status", "error", "code", "said"),
    [
        (401, "Invalid API key", 2, "does not know this key; 'trigger-lite keys' prints the keys"),
        (
            422,
            "A run can have at most 10 tags, 11 were given",
            2,
            "A run can have at most 10 tags, 11 were given",
        ),
        (413, "The payload is over the limit", 2, "The payload is over the limit"),
    ],
)
def test_what_the_server_refuses_is_said_in_its_own_words(
    run: RunCommand, local_server: FakeServer, status: int, error: str, code: int, said: str
) -> None:
    local_server.answer("POST", TRIGGER, {"error": error}, status=status)
    assert said in refusal(run("trigger", "resize", "{}"))


def _ending(run: RunCommand, server: FakeServer, **changes: Any) -> Any:
    server.answer("GET", GET, a_run(status="QUEUED", finishedAt=None, startedAt=None))
    server.answer("GET", WAIT, a_run(status="EXECUTING", finishedAt=None, attemptCount=2))
    server.answer("GET", WAIT, a_run(**changes))
    return run("trigger", "resize", "{}", "--wait")


def test_waiting_prints_progress_beside_the_output(run: RunCommand, accepting: FakeServer) -> None:
    outcome = _ending(run, accepting, output={"bytes": 4096})
    assert (outcome.code, outcome.out) == (0, '{"bytes":4096}\n')
    assert outcome.err.splitlines() == [
        f"{RUN_ID}  {accepting.url}/prod/runs/{RUN_ID}",
        "resize is queued (in the queue)",
        "resize is executing, attempt 2",
        "✓ resize completed in 2.2s",
    ]


@pytest.mark.parametrize(
    ("status", "code"),
    [("FAILED", 1), ("CRASHED", 1), ("TIMED_OUT", 1), ("EXPIRED", 1), ("SYSTEM_FAILURE", 1), ("CANCELED", 3)],
)
def test_the_exit_code_follows_the_run(
    run: RunCommand, accepting: FakeServer, status: str, code: int
) -> None:
    error = {"name": "ValueError", "message": "no such picture", "stackTrace": "Traceback …"}
    outcome = _ending(run, accepting, status=status, error=error, attemptCount=3)
    assert (outcome.code, outcome.out) == (code, "")
    said = f"resize {status.lower().replace('_', ' ')} after 3 attempts in 2.2s: ValueError: no such picture"
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert f"trigger-lite logs {RUN_ID}" in outcome.err


def test_a_run_waited_for_is_also_given_whole(run: RunCommand, accepting: FakeServer) -> None:
    accepting.answer("GET", GET, a_run(output=1, futureField="kept"))
    outcome = run("trigger", "resize", "{}", "--wait", "--json")
    assert json.loads(outcome.out)["futureField"] == "kept"


def test_what_a_task_wrote_cannot_steer_the_terminal(run: RunCommand, accepting: FakeServer) -> None:
    outcome = _ending(run, accepting, status="FAILED", error={"message": "\x1b[2Jgone\r\nover"})
    assert "\x1b" not in outcome.err and "\r" not in outcome.err
