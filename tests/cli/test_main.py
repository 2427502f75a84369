import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import RunCommand, refusal
from trigger_lite.cli import crash, main, version
from trigger_lite.protocol.version import __version__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["servee"], "No such command 'servee'. Did you mean 'serve'?"),
        (["cancel", "run_1"], "No such command 'cancel'. Did you mean 'runs cancel'?"),
        (["runs", "lst"], "No such command 'lst'. Did you mean 'list'?"),
        (["nothing-like-it"], "No such command 'nothing-like-it'. See 'trigger-lite --help'."),
        (["serve", "--prot", "1"], "No such option '--prot'. Did you mean '--port'?"),
        (["trigger"], "Missing argument 'TASK'. See 'trigger-lite trigger --help'."),
        (
            ["trigger", "a", "{}", "b"],
            "Got unexpected extra argument (b). See 'trigger-lite trigger --help'.",
        ),
        (
            ["trigger", "a", "--machine", "smal-1x"],
            "Invalid value for '--machine': 'smal-1x' is not a machine; did you mean 'small-1x'?",
        ),
        (
            ["runs", "list", "--status", "faild"],
            "Invalid value for '--status': 'faild' is not a status; did you mean 'failed'?",
        ),
        (
            ["logs", "abc"],
            "Invalid value for 'RUN': 'abc' is not a run's id; ids begin with run_ and "
            "'trigger-lite runs list' shows them",
        ),
    ],
)
def test_a_wrong_word_is_refused_in_one_line_that_names_the_right_one(
    run: RunCommand, arguments: list[str], message: str
) -> None:
    assert refusal(run(*arguments)) == message


@pytest.mark.parametrize(
    "command", [[], *([name] for name in main._MODULES), ["runs", "list"], ["runs", "get"]]
)
def test_every_help_text_has_examples(run: RunCommand, command: list[str]) -> None:
    outcome = run(*command, "--help")
    assert outcome.code == 0
    assert "Examples:" in outcome.out or "First steps:" in outcome.out


def test_the_version_is_printed_for_people_and_for_programs(run: RunCommand) -> None:
    assert run("version").out == f"trigger-lite {__version__}\n"
    assert f'"version": "{__version__}"' in run("version", "--json").out


def test_a_fault_of_our_own_is_one_line_and_a_private_file(
    run: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(version.command, "callback", broken)
    (tmp_path / "trigger-lite-data").mkdir()
    outcome = run("version")
    (file,) = (tmp_path / "trigger-lite-data").iterdir()
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1 and "KeyError: 'a fault'" in outcome.err
    assert f"trigger-lite-data/{file.name}" in outcome.err
    assert "Traceback" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_the_details_of_a_fault_are_shown_to_who_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(crash.DEBUG_VARIABLE, "1")
    crash.report_crash(KeyError("a fault"))
    shown = capsys.readouterr().err
    assert shown.startswith("KeyError: 'a fault'\n") and "the details are above" in shown


def test_an_interrupted_command_ends_quietly(run: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(version.command, "callback", interrupted)
    outcome = run("version")
    assert (outcome.code, outcome.out, outcome.err.strip()) == (130, "", "")


def test_a_reader_that_goes_away_is_no_fault() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "trigger_lite", "version", "--json"]
    with open(writer, "wb") as nowhere:
        finished = subprocess.run(command, stdout=nowhere, stderr=subprocess.PIPE, check=False)
    assert (finished.returncode, finished.stderr) == (141, b"")


def test_the_version_comes_at_once() -> None:
    """Processor time, because other tests may keep the machine busy; idle, it is what a user waits."""
    taken = []
    for _ in range(5):
        before = _children_seconds()
        subprocess.run([sys.executable, "-m", "trigger_lite", "version"], capture_output=True, check=True)
        taken.append(_children_seconds() - before)
    assert min(taken) < 0.12, taken


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_completion_offers_commands() -> None:
    environment = {
        **os.environ,
        "_TRIGGER_LITE_COMPLETE": "bash_complete",
        "COMP_WORDS": "trigger-lite ru",
        "COMP_CWORD": "1",
    }
    command = [sys.executable, "-m", "trigger_lite"]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "plain,runs" in finished.stdout


@pytest.mark.parametrize(("variable", "colours"), [({"NO_COLOR": "1"}, False), ({"FORCE_COLOR": "1"}, True)])
def test_colours_follow_the_users_wish(variable: dict[str, str], colours: bool) -> None:
    command = [
        sys.executable,
        "-c",
        "import click; from trigger_lite.cli.main import _colour_wish; print(_colour_wish())",
    ]
    environment = {**os.environ, **variable}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == str(colours)


def test_a_terminal_that_cannot_show_a_sign_shows_something_else() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    stream.reconfigure(errors="replace")
    stream.write("✓")
    stream.flush()
