import io
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cli.conftest import RunCommand, refusal
from tests.cli.fake_server import DEV_KEY, KEY, FakeServer

ALL = "/api/v1/waitpoints/tokens"
ID = "waitpoint_06fd3vk2m8q1s0t9u4abcdef"
ONE = f"{ALL}/{ID}"
COMPLETE = f"{ONE}/complete"


def _token(token_id: str = ID, **changes: Any) -> dict[str, Any]:
    token = {
        "id": token_id,
        "url": f"http://localhost/{token_id}",
        "status": "WAITING",
        "createdAt": "2026-11-23T00:00:00.000Z",
        "tags": [],
    }
    return {**token, **changes}


def _page(*tokens: dict[str, Any], following: str | None = None) -> dict[str, Any]:
    return {"data": list(tokens), "pagination": {"next": following} if following else {}}


@pytest.fixture
def waiting(local_server: FakeServer) -> FakeServer:
    """A server with a token that waits."""
    local_server.answer("GET", ONE, _token())
    local_server.answer("POST", COMPLETE, {"success": True})
    return local_server


def test_tokens_are_listed_as_a_table(run: RunCommand, local_server: FakeServer) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=2, minutes=30)).isoformat()
    until = _token(timeoutAt=soon, tags=["org_42", "vip"])
    late = _token("waitpoint_2", status="TIMED_OUT", timeoutAt="2026-11-23T01:00:00.000Z")
    local_server.answer("GET", ALL, _page(until, _token("waitpoint_1"), late))
    head, first, second, third = run("tokens", "list").out.splitlines()
    assert head.split() == ["TOKEN", "STATUS", "CREATED", "TIMEOUT", "TAGS"]
    assert first.split()[:2] == [ID, "waiting"]
    assert first.endswith("  in 2h    org_42, vip")
    assert second.endswith("  never")
    assert third.split()[:3] == ["waitpoint_2", "timed", "out"]
    assert third.endswith(" ago")


def test_tokens_are_printed_whole_for_programs(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", ALL, _page(_token("waitpoint_1"), following="more"))
    local_server.answer("GET", ALL, _page(_token("waitpoint_2")))
    listed = json.loads(run("tokens", "list", "--json").out)
    assert [token["id"] for token in listed] == ["waitpoint_1", "waitpoint_2"]
    local_server.answer("GET", ALL, _page(_token("waitpoint_1"), following="more"))
    assert len(json.loads(run("tokens", "list", "--limit", "1", "--json").out)) == 1


def test_tokens_are_searched_by_status_and_tag(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", ALL, _page())
    asked = ("--status", "timed-out", "--status", "Waiting", "--tag", "a", "--tag", "b", "--env", "dev")
    assert run("tokens", "list", *asked).err == "No such token.\n"
    query = local_server.asked[-1].query
    assert (query["filter[status]"], query["filter[tags]"]) == ("TIMED_OUT,WAITING", "a,b")
    assert local_server.asked[-1].key == DEV_KEY


def test_a_status_that_no_token_has_is_answered_with_the_nearest(
    run: RunCommand, local_server: FakeServer
) -> None:
    message = refusal(run("tokens", "list", "--status", "timed_out"))
    assert message.endswith("'timed_out' is not a status of tokens; did you mean 'timed-out'?")
    assert local_server.asked == []


def test_a_list_without_tokens_says_what_makes_one(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", ALL, _page())
    assert run("tokens", "list").err == "No token yet; tokens.create makes one.\n"


def test_a_token_that_waits_is_shown(run: RunCommand, waiting: FakeServer) -> None:
    shown = run("tokens", "get", ID).out
    for expected in (
        f"token       {ID}\n",
        "status      waiting\n",
        "timeout     never\n",
        f"url         http://localhost/{ID}\n",
    ):
        assert expected in shown
    assert "output" not in shown


def test_a_token_is_shown_with_what_it_was_completed_with(run: RunCommand, local_server: FakeServer) -> None:
    completed = _token(
        status="COMPLETED",
        completedAt="2026-11-23T00:10:00.000Z",
        timeoutAt="2026-11-23T01:00:00.000Z",
        tags=["org_42"],
        idempotencyKey="refund-7",
        output='{"approved": true}',
        outputType="application/json",
        outputIsError=False,
    )
    local_server.answer("GET", ONE, completed)
    shown = run("tokens", "get", ID).out
    for expected in ("completed   2026-11-2", "tags        org_42\n", "idempotency refund-7\n"):
        assert expected in shown
    assert "timeout" not in shown
    assert shown.endswith('\noutput\n{\n  "approved": true\n}\n')
    assert json.loads(run("tokens", "get", ID, "--json").out)["output"] == {"approved": True}


def test_a_token_is_completed_with_data_as_it_was_written(run: RunCommand, waiting: FakeServer) -> None:
    outcome = run("tokens", "complete", ID, '{"approved": true, "n": 12345678901234567890123}')
    assert (outcome.code, outcome.out, outcome.err) == (0, "", f"{ID} is completed\n")
    assert waiting.bodies("POST", COMPLETE) == [{"data": {"approved": True, "n": 12345678901234567890123}}]
    assert waiting.asked[-1].key == KEY


def test_a_token_may_be_completed_without_data(run: RunCommand, waiting: FakeServer) -> None:
    assert run("tokens", "complete", ID).code == 0
    assert run("tokens", "complete", ID, "null").code == 0
    assert waiting.bodies("POST", COMPLETE) == [{}, {"data": None}]


def test_the_data_of_a_token_is_read_from_stdin(
    run: RunCommand, waiting: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'["from", "stdin"]')))
    assert run("tokens", "complete", ID, "-").code == 0
    assert waiting.bodies("POST", COMPLETE) == [{"data": ["from", "stdin"]}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("yes", "The data is not JSON: expecting value at column 1, here: ▸yes. "),
        ('"' + "x" * 3_145_728 + '"', "The data has 3.0 MB; a token takes at most 3.0 MB. "),
    ],
    ids=["bare word", "size"],
)
def test_data_that_is_not_right_is_refused_before_anything_is_sent(
    run: RunCommand, waiting: FakeServer, data: str, message: str
) -> None:
    assert refusal(run("tokens", "complete", ID, data)).startswith(message)
    assert waiting.asked == []


def test_stdin_that_is_no_data_is_named(
    run: RunCommand, waiting: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    message = refusal(run("tokens", "complete", ID, "-"))
    assert message == "The data cannot be read from stdin: it is not UTF-8 text at byte 1"


@pytest.mark.parametrize(("status", "said"), [("COMPLETED", "completed"), ("TIMED_OUT", "timed out")])
def test_a_token_that_is_over_is_left_as_it_is(
    run: RunCommand, local_server: FakeServer, status: str, said: str
) -> None:
    local_server.answer("GET", ONE, _token(status=status))
    outcome = run("tokens", "complete", ID, "true")
    assert (outcome.code, outcome.err) == (0, f"{ID} was over already: {said}\n")
    assert local_server.bodies("POST", COMPLETE) == []


@pytest.mark.parametrize("command", ["get", "complete"])
def test_an_unknown_token_and_what_is_no_token_are_told(
    run: RunCommand, local_server: FakeServer, command: str
) -> None:
    local_server.answer("GET", ONE, {"error": "Waitpoint not found"}, status=404)
    unknown = refusal(run("tokens", command, ID))
    assert f"There is no token {ID} in the prod environment of {local_server.url}" in unknown
    assert "'trigger-lite tokens list' shows them" in unknown
    assert "ids begin with waitpoint_" in refusal(run("tokens", command, "run_1"))


def test_a_refusal_and_a_failure_of_the_server_are_one_line(
    run: RunCommand, local_server: FakeServer
) -> None:
    local_server.answer("GET", ONE, _token())
    local_server.answer("POST", COMPLETE, {"error": "The body is too large"}, status=413)
    assert refusal(run("tokens", "complete", ID, "1")) == "The body is too large"
    local_server.answer("GET", ALL, {"error": "no room on the disk"}, status=501)
    outcome = run("tokens", "list")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == f"Error: {local_server.url} failed: no room on the disk\n"


@pytest.mark.parametrize("command", ["list", "get", "complete"])
def test_every_command_for_tokens_has_examples(run: RunCommand, command: str) -> None:
    assert "Examples:\n    trigger-lite tokens" in run("tokens", command, "--help").out
