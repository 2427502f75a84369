"""Task files that do not import: the worker says file and line and goes on with what it has."""

from pathlib import Path

import pytest

from tests.journeys.faults.conftest import WriteTasks
from tests.support.processes import StartCommand
from tests.support.real_server import RealServer

_GOOD = """
    @task
    def version() -> str:
        return "first"
"""


def test_a_worker_serves_the_files_that_import_and_names_the_others(
    server: RealServer, write_tasks: WriteTasks
) -> None:
    server.start()
    jobs = write_tasks(_GOOD)
    (jobs / "half.py").write_text("def half(:\n")
    (jobs / "lost.py").write_text("import os\n\nimport no_such_module\n")
    (jobs / "quits.py").write_text("raise SystemExit('not today')\n")
    worker = server.start_worker(jobs)
    worker.wait_for_line(r"✗ .*half\.py:1: SyntaxError: invalid syntax")
    worker.wait_for_line(r"✗ .*lost\.py:3: ModuleNotFoundError: No module named 'no_such_module'")
    worker.wait_for_line(r"✗ .*quits\.py:1: SystemExit: not today")
    assert server.finished(server.trigger("version"))["output"] == "first"
    assert "Traceback" not in worker.output


def test_a_file_that_ends_the_process_is_named(server: RealServer, write_tasks: WriteTasks) -> None:
    server.start()
    worker = server.begin_worker(write_tasks("os._exit(3)\n"))
    assert worker.wait_for_exit() == 2, worker.output
    (line,) = worker.lines
    assert "importing jobs/tasks.py ended its process: The process exited with code 3" in line


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def half(:\n", r"✗ .*more\.py:1: SyntaxError: invalid syntax"),
        ("\nraise ValueError('no colours today')\n", r"✗ .*more\.py:2: ValueError: no colours today"),
        (
            "from trigger_lite import task\n\n@task\ndef version(): ...\n",
            r"✗ Two tasks have the id 'version': .*more\.py:\d+ and .*tasks\.py:\d+",
        ),
        ("import os\nos._exit(3)\n", r"importing jobs/more\.py ended its process: .* code 3"),
    ],
)
def test_while_developing_the_version_before_stays_until_all_files_import(
    server: RealServer, start_command: StartCommand, write_tasks: WriteTasks, source: str, said: str
) -> None:
    server.start()
    jobs = write_tasks(_GOOD)
    dev = start_command("dev", jobs, "--data", server.data)
    dev.wait_for_line("1 task ready as version")
    (jobs / "more.py").write_text(source)
    dev.wait_for_line(said)
    dev.wait_for_line("✗ not reloaded[;,] the version before stays")
    run = server.finished(server.trigger("version", environment="dev"), environment="dev")
    assert run["output"] == "first"
    (jobs / "more.py").unlink()
    write_tasks(_GOOD.replace("first", "second"))
    dev.wait_for_line("↻ reloaded as version")
    run = server.finished(server.trigger("version", environment="dev"), environment="dev")
    assert run["output"] == "second"
    assert "Traceback" not in dev.output
    assert dev.output.count("not reloaded") == 1, dev.output


def test_two_tasks_of_one_id_are_both_left_out_and_the_others_served(
    server: RealServer, write_tasks: WriteTasks, tmp_path: Path
) -> None:
    server.start()
    jobs = write_tasks(_GOOD + "\n    @task(id='version')\n    def other() -> str: ...\n")
    write_tasks("@task\ndef third() -> str:\n    return 'third'\n", "third.py")
    worker = server.start_worker(jobs)
    worker.wait_for_line(r"✗ Two tasks have the id 'version': .*tasks\.py:5 and .*tasks\.py:9")
    worker.wait_for_line(r"registered 1 task as version .*: third")
    assert server.finished(server.trigger("third"))["output"] == "third"
    assert server.reaches(server.trigger("version"), "PENDING_VERSION")
