"""Commands run in this process, against a fake server, in a folder of their own."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.fake_server import DEV_KEY, KEY, FakeServer, fake_server
from trigger_lite.cli.main import run_command


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


RunCommand = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """Run `trigger-lite` with these arguments in an empty folder, with no setting of the machine's user."""
    for name in os.environ:
        if name.startswith(("TRIGGER_", "NO_COLOR", "FORCE_COLOR")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run_here(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = run_command(arguments)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run_here


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that answers what the test prepares."""
    with fake_server() as running:
        yield running


@pytest.fixture
def local_server(server: FakeServer, tmp_path: Path) -> FakeServer:
    """The same, found by its data folder as a server on this machine is."""
    data = tmp_path / "trigger-lite-data"
    data.mkdir()
    (data / "connection.json").write_text(
        json.dumps({"url": server.url, "keys": {"dev": DEV_KEY, "prod": KEY}})
    )
    return server


def refusal(outcome: Outcome) -> str:
    """Return the one line of a refusal, and fail when there is anything else."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1 and outcome.err.startswith("Error: "), outcome.err
    assert "Traceback" not in outcome.err
    return outcome.err.removeprefix("Error: ").strip()
