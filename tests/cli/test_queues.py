import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cli.conftest import RunCommand, refusal
from tests.cli.fake_server import FakeServer
from tests.support.answers import a_queue, a_queue_page

QUEUES = "/api/v1/queues"
ENVIRONMENT = "/api/v1/environment"
LOAD = {"slug": "prod", "paused": False, "running": 5, "concurrencyLimit": 100, "burst": 1.0}


def _overridden(limit: int, **fields: Any) -> dict[str, Any]:
    concurrency = {"current": limit, "base": 3, "override": limit, "overriddenAt": "2026-11-23T00:00:00.000Z"}
    return a_queue(limit=limit, concurrency={**concurrency, "overriddenBy": "api"}, **fields)


def test_queues_are_listed_as_a_table(run: RunCommand, local_server: FakeServer) -> None:
    queues = [
        a_queue("crm", rate="10/s", keyRate="2/s"),
        a_queue("resize", limit=None, type="task", paused=True),
        _overridden(2, name="slow"),
    ]
    local_server.answer("GET", QUEUES, a_queue_page(*queues).body)
    local_server.answer("GET", ENVIRONMENT, LOAD)
    outcome = run("queues", "list")
    head, *rows = outcome.out.splitlines()
    assert head.split() == ["QUEUE", "RUNNING", "QUEUED", "LIMIT", "RATE", "STATE"]
    assert [row.split()[0] for row in rows] == ["crm", "task/resize", "slow"]
    assert rows[0].split() == ["crm", "5", "12", "5", "10/s,", "2/s", "per", "key"]
    assert rows[1].split()[-1] == "paused"
    assert "2 (code: 3)" in rows[2]
    assert outcome.err == "prod: 5 running of 100\n"


def test_queues_are_printed_whole_for_programs(run: RunCommand, local_server: FakeServer) -> None:
    pages = [a_queue_page(a_queue(name), page=page, pages=2).body for page, name in ((1, "a"), (2, "b"))]
    for page in pages:
        local_server.answer("GET", QUEUES, page)
    assert [queue["name"] for queue in json.loads(run("queues", "list", "--json").out)] == ["a", "b"]


def test_a_list_without_queues_says_what_makes_one(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", QUEUES, a_queue_page(pages=0).body)
    assert run("queues", "list").err == "No queue yet; the first trigger or the first worker makes one.\n"


def test_one_queue_is_shown(run: RunCommand, local_server: FakeServer) -> None:
    queue = _overridden(2, rate="10/s", maxLength=50, overrideEndsAt="2090-01-01T00:00:00.000Z")
    local_server.answer("GET", f"{QUEUES}/crm", queue)
    shown = run("queues", "get", "crm").out
    for expected in ("queued      12 of 50", "limit       2 (code: 3) until ", "rate        10/s"):
        assert expected in shown
    assert json.loads(run("queues", "get", "crm", "--json").out)["maxLength"] == 50


def test_the_queue_of_a_task_is_named_by_its_prefix(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", f"{QUEUES}/task%252Fresize", a_queue("resize", type="task"))
    assert "task/resize" in run("queues", "get", "task/resize").out
    assert local_server.asked[-1].query == {"type": "task"}


def test_a_queue_that_is_not_there_is_refused_by_name(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("GET", f"{QUEUES}/crm", {"error": "queue-not-found"}, status=404)
    message = refusal(run("queues", "get", "crm"))
    assert message.startswith(f"There is no queue crm in the prod environment of {local_server.url}")


def test_queues_are_paused_and_resumed(run: RunCommand, local_server: FakeServer) -> None:
    for name in ("crm", "mail"):
        local_server.answer("POST", f"{QUEUES}/{name}/pause", a_queue(name, paused=True))
        local_server.answer("POST", f"{QUEUES}/{name}/pause", a_queue(name))
    assert run("queues", "pause", "crm", "mail").err == (
        "crm is paused: 5 running, 12 queued\nmail is paused: 5 running, 12 queued\n"
    )
    assert run("queues", "resume", "crm").err == "crm goes on: 5 running, 12 queued\n"
    sent = local_server.bodies("POST", f"{QUEUES}/crm/pause")
    assert [body["action"] for body in sent] == ["pause", "resume"]


def test_the_environment_is_paused_and_resumed(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("POST", f"{ENVIRONMENT}/pause", {**LOAD, "paused": True})
    local_server.answer("POST", f"{ENVIRONMENT}/pause", LOAD)
    assert run("queues", "pause", "--all").err == "prod: 5 running of 100, paused\n"
    assert run("queues", "resume", "--all").err == "prod: 5 running of 100\n"
    assert local_server.bodies("POST", f"{ENVIRONMENT}/pause") == [{"action": "pause"}, {"action": "resume"}]


@pytest.mark.parametrize("command", ["pause", "resume"])
@pytest.mark.parametrize("arguments", [[], ["crm", "--all"]])
def test_what_is_paused_must_be_said(run: RunCommand, command: str, arguments: list[str]) -> None:
    assert "Name queues, or --all" in refusal(run("queues", command, *arguments))


def test_a_limit_is_a_number_or_a_percentage(run: RunCommand, local_server: FakeServer) -> None:
    path = f"{QUEUES}/crm/concurrency/override"
    local_server.answer("POST", path, _overridden(2))
    assert run("queues", "limit", "crm", "2").err == "crm runs at most 2 at once\n"
    run("queues", "limit", "crm", "12.5%")
    assert local_server.bodies("POST", path) == [
        {"type": "custom", "concurrencyLimit": 2},
        {"type": "custom", "percent": 12.5},
    ]


def test_a_limit_may_end_by_itself(run: RunCommand, local_server: FakeServer) -> None:
    path = f"{QUEUES}/crm/concurrency/override"
    local_server.answer("POST", path, _overridden(2, overrideEndsAt="2090-01-01T00:00:00.000Z"))
    assert " at once until " in run("queues", "limit", "crm", "2", "--until", "2h").err
    (body,) = local_server.bodies("POST", path)
    until = datetime.fromisoformat(body["until"])
    assert abs(datetime.now(UTC) + timedelta(hours=2) - until) < timedelta(seconds=30)


def test_the_limit_of_the_environment_is_changed(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("POST", f"{ENVIRONMENT}/limit", {**LOAD, "concurrencyLimit": 20, "burst": 1.5})
    assert run("queues", "limit", "--all", "20", "--burst", "1.5").err == "prod: 5 running of 20 x 1.5\n"
    run("queues", "limit", "--all", "20")
    sent = local_server.bodies("POST", f"{ENVIRONMENT}/limit")
    assert sent == [{"concurrencyLimit": 20, "burst": 1.5}, {"concurrencyLimit": 20}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["crm"], "Name a queue and a limit"),
        (["--all", "crm", "5"], "or --all and a limit"),
        (["crm", "some"], "'some' is neither a number"),
        (["crm", "x%"], "neither a number such as 5 nor a percentage"),
        (["--all", "50%"], "The limit of the environment is a number"),
        (["--all", "5", "--until", "2h"], "has no --until"),
        (["crm", "5", "--burst", "2"], "--burst is for the environment"),
        (["crm", "5", "--until", "soon"], "neither a duration"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(
    run: RunCommand, local_server: FakeServer, arguments: list[str], message: str
) -> None:
    assert message in refusal(run("queues", "limit", *arguments))
    assert local_server.asked == []


def test_a_limit_goes_back_to_the_code(run: RunCommand, local_server: FakeServer) -> None:
    local_server.answer("POST", f"{QUEUES}/crm/concurrency/reset", a_queue(limit=None))
    assert run("queues", "reset", "crm").err == "crm has no limit of its own, as its code says\n"


def test_a_refusal_of_the_server_is_one_line(run: RunCommand, local_server: FakeServer) -> None:
    error = {"error": "The limit of crm is not overridden"}
    local_server.answer("POST", f"{QUEUES}/crm/concurrency/reset", error, status=400)
    assert refusal(run("queues", "reset", "crm")) == "The limit of crm is not overridden"
