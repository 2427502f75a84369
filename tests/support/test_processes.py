"""The tools that the journeys trust must themselves be right."""

import sys
from pathlib import Path

import pytest

from tests.support.processes import Process

_PRINTS_AND_WAITS = "import signal; print('port 3040', flush=True); signal.pause()"
_LEAVES_A_CHILD = """
import subprocess, sys
command = [sys.executable, '-c', 'import signal; signal.pause()']
subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
"""


def _python(code: str, directory: Path) -> Process:
    return Process([sys.executable, "-c", code], directory=directory)


def test_a_line_is_waited_for_and_matched(tmp_path: Path) -> None:
    with _python(_PRINTS_AND_WAITS, tmp_path) as process:
        assert process.wait_for_line(r"port (\d+)").group(1) == "3040"
        assert process.is_running


def test_waiting_ends_as_soon_as_the_process_does(tmp_path: Path) -> None:
    complaint = "ended with status 0 and printed:\nsomething else"
    with (
        _python("print('something else')", tmp_path) as process,
        pytest.raises(AssertionError, match=complaint),
    ):
        process.wait_for_line("never printed", seconds=30)


def test_waiting_ends_at_its_deadline(tmp_path: Path) -> None:
    with _python(_PRINTS_AND_WAITS, tmp_path) as process:
        process.wait_for_line("port")
        with pytest.raises(AssertionError, match=r"did not come in 0\.1 s; it is still running"):
            process.wait_for_line("never printed", seconds=0.1)


def test_stopping_returns_how_the_process_ended(tmp_path: Path) -> None:
    with _python(_PRINTS_AND_WAITS, tmp_path) as process:
        process.wait_for_line("port")
        assert process.stop() == -15
        assert process.output == "port 3040"
        process.assert_nothing_left()


def test_a_child_that_outlives_its_parent_is_found_and_ended(tmp_path: Path) -> None:
    with _python(_LEAVES_A_CHILD, tmp_path) as process:
        assert process.wait_for_exit() == 0
        (child,) = process.descendants()
        with pytest.raises(AssertionError, match=f"left processes running: .*{child}.*signal.pause"):
            process.assert_nothing_left()


def test_no_setting_of_the_machines_user_reaches_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIGGER_LITE_PORT", "1")
    with _python(
        "import os; print(os.environ.get('TRIGGER_LITE_PORT'), os.environ['HOME'])", tmp_path
    ) as process:
        process.wait_for_line(f"None {tmp_path}")
