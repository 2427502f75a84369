"""How much memory waiting runs may hold: by flag or variable, by the project, or a quarter of all."""

from pathlib import Path

import pytest

from tests.cli.conftest import RunCommand
from trigger_lite.cli.target import Target
from trigger_lite.cli.work import worker_settings
from trigger_lite.worker.memory import total_memory
from trigger_lite.worker.project import ProjectConfig, WorkerTable


@pytest.mark.parametrize(
    ("given", "of_project", "expected"),
    [
        (None, None, total_memory() // 4),
        (None, "2GB", 2_000_000_000),
        (500_000_000, "2GB", 500_000_000),
        (0, "2GB", 0),
    ],
)
def test_the_command_says_or_the_project_or_a_quarter_holds(
    tmp_path: Path, given: int | None, of_project: str | None, expected: int
) -> None:
    settings = worker_settings(
        Target("http://127.0.0.1:3040", "tr_prod_1", "prod"),
        tmp_path,
        ProjectConfig(worker=WorkerTable(parked_memory=of_project)),
        concurrency=None,
        parked_memory=given,
        name=None,
        watch=False,
    )
    assert settings.parked_memory == expected


@pytest.mark.parametrize("command", ["worker", "dev"])
def test_an_amount_that_is_none_is_refused_with_an_example(run: RunCommand, command: str) -> None:
    outcome = run(command, ".", "--parked-memory", "lots")
    assert outcome.code == 2
    assert '\'lots\' is no amount of memory; write for example "500MB", "2GB" or "25%"' in outcome.err


def test_the_variable_is_read_like_the_flag(run: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGGER_LITE_PARKED_MEMORY", "lots")
    outcome = run("worker", ".")
    assert outcome.code == 2
    assert "'lots' is no amount of memory" in outcome.err
