"""A key that the server does not know is refused at every door, in words that say what to do."""

from pathlib import Path

import httpx
import pytest

from tests.journeys.faults.conftest import WriteTasks
from tests.support.processes import StartCommand
from tests.support.real_server import RealServer

_WRONG = "tr_prod_ofAnotherInstallation00"


@pytest.mark.parametrize(
    "arguments",
    [["trigger", "hello", "{}"], ["runs", "list"], ["logs", "run_1"], ["runs", "cancel", "run_1"]],
)
def test_a_command_says_that_the_key_is_wrong(
    server: RealServer, start_command: StartCommand, arguments: list[str]
) -> None:
    server.start()
    command = start_command(*arguments, "--url", server.url, TRIGGER_LITE_KEY=_WRONG)
    assert command.wait_for_exit() == 2, command.output
    (line,) = command.lines
    assert line.startswith("Error: ") and "key" in line and _WRONG not in line
    assert "trigger-lite keys" in line


def test_a_worker_says_that_the_key_is_wrong_and_ends(server: RealServer, write_tasks: WriteTasks) -> None:
    server.start()
    jobs = write_tasks("@task\ndef hello() -> None: ...\n")
    worker = server.begin_worker(jobs, TRIGGER_LITE_KEY=_WRONG)
    assert worker.wait_for_exit() == 2, worker.output
    (line,) = worker.lines
    assert "does not know this key" in line and "trigger-lite keys" in line
    assert _WRONG not in line


def test_a_worker_whose_folder_holds_no_task_ends(server: RealServer, tmp_path: Path) -> None:
    server.start()
    (tmp_path / "empty").mkdir()
    worker = server.begin_worker(tmp_path / "empty")
    assert worker.wait_for_exit() == 2, worker.output
    (line,) = worker.lines
    assert "no task could be found in" in line


@pytest.mark.parametrize(
    "header", [{}, {"authorization": f"Bearer {_WRONG}"}, {"authorization": "Basic abc"}]
)
def test_http_answers_401_and_changes_nothing(server: RealServer, header: dict[str, str]) -> None:
    server.start()
    answer = httpx.post(f"{server.url}/api/v1/tasks/hello/trigger", json={"payload": 1}, headers=header)
    assert answer.status_code == 401
    assert list(answer.json()) == ["error"] and "API key" in answer.json()["error"]
    with server.client() as client:
        assert client.get("/api/v1/runs").json()["data"] == []
