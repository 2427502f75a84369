import json
import os
import signal
import sqlite3
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.served import Outcome, Served, prepare_jobs, run_to_end
from tests.support.processes import Process, StartCommand, trigger_lite_command
from tests.support.source import ROOT

RunAnywhere = Callable[..., Outcome]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`trigger-lite serve jobs` for all tests of this module."""
    folder = tmp_path_factory.mktemp("served")
    prepare_jobs(folder)
    command = [*trigger_lite_command(), "serve", "jobs", "--port", "0"]
    with Process(command, directory=folder) as process:
        process.wait_for_line("waiting for runs")
        yield Served(folder, process)
        assert process.stop() == 0
        process.assert_nothing_left()
        assert "Traceback" not in process.output


@pytest.fixture
def run(tmp_path: Path) -> RunAnywhere:
    """Run a command to its end in an empty folder."""

    def run_here(*arguments: str | Path, **environment: str) -> Outcome:
        return run_to_end([*arguments], directory=tmp_path, environment=environment)

    return run_here


def refusal(outcome: Outcome) -> str:
    """Return the one line of a refusal, and fail when there is anything else."""
    assert outcome.code == 2, outcome
    (line,) = outcome.lines
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


# --- runs ------------------------------------------------------------------------------------------


def test_a_run_that_fails_twice_is_followed_until_it_succeeds(served: Served) -> None:
    outcome = served.run("trigger", "charge_order", '{"order": 7, "amount": 19.9}', "--wait")
    run_id = outcome.lines[0].split()[0]
    assert outcome.code == 0
    assert outcome.lines[-1] == f'"charge-7-{run_id}"'
    assert any(line.startswith("✓ charge_order completed after 3 attempts in ") for line in outcome.lines)
    logs = served.run("logs", run_id).text
    assert "— attempt 3 —" in logs and "charging" in logs
    assert run_id in served.run("runs", "list", "--task", "charge_order", "--status", "completed").text
    shown = served.run("runs", "get", run_id).text
    assert "attempts    3" in shown and '"amount": 19.9' in shown


def test_runs_are_moved_replayed_with_changes_and_cancelled_in_bulk(served: Served) -> None:
    """CN-09, CN-11, CN-14: each as one would type it."""
    later = [
        served.run("trigger", "greet", '{"name": "Ada"}', "--delay", "1h", "--tag", "late")
        .lines[0]
        .split()[0]
        for _ in range(2)
    ]
    assert served.run("runs", "reschedule", later[0], "2h").code == 0
    again = served.run("runs", "replay", later[0], "--payload", '{"name": "Grace"}', "--wait")
    assert again.lines[-1] == '"Hello, Grace!"', again
    outcome = served.run("bulk", "cancel", "--tag", "late", "--status", "delayed", "--yes")
    assert outcome.code == 0 and "2 runs are cancelled" in outcome.lines, outcome
    assert {str(served.run_json("runs", "get", run_id)["status"]) for run_id in later} == {"CANCELED"}


def test_the_exit_code_of_waiting_is_that_of_the_run(served: Served) -> None:
    outcome = served.run("trigger", "broken", "--wait")
    assert outcome.code == 1
    assert "✗ broken failed in " in outcome.text and "ValueError: no such picture" in outcome.text
    run_id = outcome.lines[0].split()[0]
    assert "in broken" in served.run("runs", "get", run_id).text


def test_a_payload_that_does_not_fit_the_task_fails_the_run_in_one_line(served: Served) -> None:
    outcome = served.run("trigger", "greet", '{"nam": "you"}', "--wait")
    assert outcome.code == 1
    assert "TASK_INPUT_ERROR: greet: the payload has no `name`" in outcome.text
    assert "Traceback" not in outcome.text


def test_a_replay_runs_again(served: Served) -> None:
    run_id = served.run("trigger", "greet", '{"name": "you"}').lines[0]
    outcome = served.run("runs", "replay", run_id, "--wait")
    assert (outcome.code, outcome.lines[-1]) == (0, '"Hello, you!"')
    assert outcome.lines[0].split()[0] != run_id


def test_logs_are_followed_until_the_run_is_cancelled(served: Served) -> None:
    run_id = served.run("trigger", "patient", '{"seconds": 60}').lines[0]
    with served.start("trigger", "patient", '{"seconds": 60}', "--wait") as waiting:
        other_id = waiting.wait_for_line(r"^(run_\w+)")[1]
        with served.start("logs", "-f", run_id) as logs:
            logs.wait_for_line("begun")
            assert "is cancelled" in served.run("runs", "cancel", run_id, other_id).text
            assert logs.wait_for_exit() == 0
        assert waiting.wait_for_exit() == 3
        assert "patient canceled" in waiting.output
    assert served.run_json("runs", "get", run_id)["status"] == "CANCELED"


def test_a_run_goes_on_when_its_watcher_is_interrupted(served: Served) -> None:
    with served.start("trigger", "patient", '{"seconds": 1.5}', "--wait") as waiting:
        waiting.wait_for_line("patient is executing")
        waiting.send(signal.SIGINT)
        assert waiting.wait_for_exit() == 130
        run_id = waiting.lines[0].split()[0]
        assert f"the run goes on. To stop it: trigger-lite runs cancel {run_id}" in waiting.output
    assert served.run("logs", "-f", run_id).code == 0
    assert served.run_json("runs", "get", run_id)["output"] == "waited"


def test_a_run_of_a_task_that_nobody_offers_says_what_it_waits_for(served: Served) -> None:
    with served.start("trigger", "gret", '{"name": "you"}', "--wait") as waiting:
        waiting.wait_for_line(r"gret is pending version \(no worker offers this task yet\)")
        run_id = waiting.lines[0].split()[0]
        assert served.run("runs", "cancel", run_id).code == 0
        assert waiting.wait_for_exit() == 3


def test_a_sign_in_link_opens_the_dashboard(served: Served) -> None:
    (link, _) = served.run("sign-in").lines
    with urllib.request.urlopen(link, timeout=10) as page:
        assert page.status == 200


def test_the_keys_printed_are_those_that_work(served: Served, run: RunAnywhere) -> None:
    (address, dev, prod) = (line.split()[0].partition("=")[2] for line in served.run("keys").lines)
    assert (address, {"dev": dev, "prod": prod}) == (served.local.url, served.local.keys)
    variables = {"TRIGGER_LITE_URL": address, "TRIGGER_LITE_KEY": prod}
    outcome = run("trigger", "greet", '{"name": "elsewhere"}', "--wait", **variables)
    assert outcome.lines[-1] == '"Hello, elsewhere!"'


# --- serve, worker, dev -----------------------------------------------------------------------------------


def test_a_worker_that_dies_is_started_again(served: Served) -> None:
    (worker,) = [pid for pid in served.process.descendants() if _is_worker(pid)]
    _kill(worker)
    served.process.wait_for_line("The worker ended by SIGKILL; it is started again in")
    outcome = served.run("trigger", "greet", '{"name": "again"}', "--wait")
    assert (outcome.code, outcome.lines[-1]) == (0, '"Hello, again!"')


def test_a_second_interrupt_does_not_wait_for_runs(start_command: StartCommand, tmp_path: Path) -> None:
    _tasks(
        tmp_path / "jobs", "def endless() -> None:\n    import time\n    while True:\n        time.sleep(1)\n"
    )
    server = start_command("serve", "jobs", "--port", "0")
    server.wait_for_line("waiting for runs")
    with start_command("trigger", "endless", "--wait") as waiting:
        waiting.wait_for_line("endless is executing")
        server.send(signal.SIGINT)
        server.wait_for_line("stopping: 1 run may finish within 30s; Ctrl-C again ends them now")
        server.send(signal.SIGINT)
        assert server.wait_for_exit() == 0


def test_a_worker_elsewhere_runs_the_tasks_of_its_folder(served: Served, start_command: StartCommand) -> None:
    folder = _tasks(served.folder / "elsewhere", "def distant() -> str:\n    return 'from afar'\n")
    worker = start_command(
        *("worker", folder, "--url", served.local.url, "--concurrency", "1"),
        TRIGGER_LITE_KEY=served.local.keys["dev"],
    )
    worker.wait_for_line("registered 1 task as version .*: distant")
    assert served.run("trigger", "distant", "--env", "dev", "--wait").lines[-1] == '"from afar"'
    worker.wait_for_line(r"✓ distant·\w+ completed in .*run_")
    assert worker.stop() == 0


def test_dev_shows_each_run_and_reloads_what_was_saved(served: Served, start_command: StartCommand) -> None:
    folder = _tasks(
        served.folder / "developing", "def draft() -> str:\n    print('working')\n    return 'one'\n"
    )
    dev = start_command("dev", folder, directory=served.folder)
    dev.wait_for_line("1 task ready as version .*: draft")
    assert served.run("trigger", "draft", "--env", "dev", "--wait").lines[-1] == '"one"'
    dev.wait_for_line(r"▶ draft·\w+  run_")
    dev.wait_for_line(r"│ draft·\w+ working")
    dev.wait_for_line(r"✓ draft·\w+ completed in ")

    _tasks(folder, "def draft() -> str:\n    return 'two'\n")
    dev.wait_for_line("↻ reloaded as version")
    assert served.run("trigger", "draft", "--env", "dev", "--wait").lines[-1] == '"two"'

    (folder / "half.py").write_text("def half(:\n")
    dev.wait_for_line(r"✗ .*half\.py:1: SyntaxError: invalid syntax")
    dev.wait_for_line("✗ not reloaded; the version before stays")
    assert served.run("trigger", "draft", "--env", "dev", "--wait").lines[-1] == '"two"'

    (folder / "half.py").write_text("from trigger_lite import task\n\n@task\ndef draft(): ...\n")
    dev.wait_for_line(r"✗ Two tasks have the id 'draft': .*half\.py:\d+ and .*tasks\.py:\d+")
    dev.send(signal.SIGINT)
    assert dev.wait_for_exit() == 0


def test_dev_says_once_that_it_makes_no_retries(served: Served, start_command: StartCommand) -> None:
    folder = _tasks(served.folder / "failing", "def fails() -> None:\n    raise OSError('away')\n")
    dev = start_command("dev", folder, directory=served.folder)
    dev.wait_for_line("ready as version")
    for _ in range(2):
        assert served.run("trigger", "fails", "--env", "dev", "--wait").code == 1
    dev.wait_for(lambda lines: sum("✗ fails" in line for line in lines) == 2 or None)
    assert sum("No attempt is made again in dev" in line for line in dev.lines) == 1


def test_stopping_dev_cancels_what_it_was_running(served: Served, start_command: StartCommand) -> None:
    """CN-08: also runs that wait for others; what was not begun waits for the next time."""
    folder = _tasks(
        served.folder / "abandoned",
        "def parent() -> None:\n    child.trigger_and_wait()\n\n\n"
        "@task\ndef child() -> None:\n    print('begun', flush=True)\n    time.sleep(600)\n",
    )
    dev = start_command("dev", folder, "--concurrency", "1", directory=served.folder)
    dev.wait_for_line("ready as version")
    parent = _triggered(served, "parent")
    dev.wait_for_line(r"│ child·\w+ begun")
    later = _triggered(served, "child")
    dev.send(signal.SIGINT)
    dev.wait_for_line("Ctrl-C again ends them now")
    dev.send(signal.SIGINT)
    assert dev.wait_for_exit() == 0
    family = _shown(served, parent)
    (child,) = family["relatedRuns"]["children"]
    assert (family["status"], child["status"]) == ("CANCELED", "CANCELED")
    assert "The worker was stopped before the run finished" in family["error"]["message"]
    assert _shown(served, later)["status"] == "QUEUED"
    assert served.run("runs", "cancel", later, "--env", "dev").code == 0


def test_dev_without_a_server_says_how_to_start_one(run: RunAnywhere, tmp_path: Path) -> None:
    _tasks(tmp_path / "jobs", "def idle() -> None: ...\n")
    assert "start one with 'trigger-lite serve'" in refusal(run("dev", "jobs"))


# --- what cannot be served --------------------------------------------------------------------------------


def test_a_port_in_use_is_refused(served: Served, run: RunAnywhere) -> None:
    port = served.local.url.rpartition(":")[2]
    assert refusal(run("serve", "--port", port)) == (
        f"127.0.0.1:{port} is in use by another program. Choose another with --port."
    )


def test_a_data_folder_is_served_once(served: Served, run: RunAnywhere) -> None:
    data = served.folder / "trigger-lite-data"
    assert refusal(run("serve", "--port", "0", "--data", data)) == (
        f"The data folder {data} is already served by another process (pid {served.process.pid}). "
        "Stop that one first, or choose another folder with --data."
    )


def test_a_data_folder_that_cannot_be_made_is_refused(run: RunAnywhere, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refusal(run("serve", "--port", "0", "--data", "file/data"))
    assert message == (
        f"The data folder {tmp_path}/file/data cannot be made: Not a directory. Choose another with --data."
    )


def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    start_command: StartCommand, run: RunAnywhere, tmp_path: Path
) -> None:
    server = start_command("serve", "--port", "0")
    server.wait_for_line("Ctrl-C stops it")
    assert server.stop() == 0
    with sqlite3.connect(tmp_path / "trigger-lite-data/trigger.db") as database:
        (columns,) = [len(list(database.execute("PRAGMA table_info(state_migration)")))]
        values = (9999, "9999_from_the_future", *[0] * (columns - 2))
        database.execute(f"INSERT INTO state_migration VALUES ({', '.join('?' * columns)})", values)
    database.close()
    assert refusal(run("serve", "--port", "0")) == (
        "The database has the schema change '9999_from_the_future', which this version does not know. "
        "Run the newer trigger-lite that made it, or restore a backup from before."
    )


@pytest.mark.parametrize("name", ["trigger.db", "telemetry.db"])
def test_a_file_that_is_no_database_is_refused(run: RunAnywhere, tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / name).write_bytes(b"not a database" * 500)
    message = refusal(run("serve", "--port", "0", "--data", data))
    assert message.startswith(f"The database {data}/{name} cannot be opened: file is not a database.")


def test_a_database_server_that_does_not_answer_is_named_without_its_password(run: RunAnywhere) -> None:
    message = refusal(
        run("serve", "--port", "0", "--database-url", "postgresql://user:secret@127.0.0.1:9/name")
    )
    assert "cannot be reached" in message and "secret" not in message


def test_an_unknown_setting_is_refused_with_the_nearest(run: RunAnywhere) -> None:
    message = refusal(run("serve", TRIGGER_LITE_PROT="1"))
    assert message == "TRIGGER_LITE_PROT is not a setting; did you mean TRIGGER_LITE_PORT?"


@pytest.mark.parametrize("command", ["serve", "dev", "worker"])
def test_a_mistake_in_the_project_settings_is_refused(run: RunAnywhere, tmp_path: Path, command: str) -> None:
    _tasks(tmp_path / "jobs", "def idle() -> None: ...\n")
    (tmp_path / "jobs/trigger.toml").write_text('dir = ["jobs"]\n')
    assert "trigger.toml: unknown key 'dir'; did you mean 'dirs'?" in refusal(run(command, "jobs"))


def test_a_key_of_no_environment_is_refused(served: Served, run: RunAnywhere) -> None:
    address = ("--url", served.local.url, "--key", "tr_prod_unknown")
    for command in (["runs", "list"], ["trigger", "greet"], ["worker", str(served.folder / "jobs")]):
        assert "does not know this key" in refusal(run(*command, *address))


# --- the demo ------------------------------------------------------------------------------------------


def test_the_demo_shows_three_runs_and_stops(tmp_path: Path) -> None:
    with Process([sys.executable, ROOT / "scripts/demo.py"], directory=tmp_path) as demo:
        assert demo.wait_for_exit(seconds=60) == 0, demo.output
        demo.assert_nothing_left()
        assert "✓ charge_order completed after 3 attempts" in demo.output
        assert demo.output.count("✓ ") == 3
        assert "\nDashboard: http://127.0.0.1:" in demo.output


def _tasks(folder: Path, function: str) -> Path:
    """Write a file with one task; return its folder."""
    folder.mkdir(exist_ok=True)
    (folder / "tasks.py").write_text(f"import time\n\nfrom trigger_lite import task\n\n\n@task\n{function}")
    return folder


def _triggered(served: Served, task: str) -> str:
    return served.run("trigger", task, "--env", "dev").lines[0].split()[0]


def _shown(served: Served, run_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(served.run("runs", "get", run_id, "--env", "dev", "--json").text)
    return shown


def _is_worker(pid: int) -> bool:
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return b"worker" in arguments and Path(f"/proc/{pid}/stat").read_text().split()[5] == str(pid)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
