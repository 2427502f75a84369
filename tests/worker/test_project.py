"""Project settings."""

from pathlib import Path

import pytest

from trigger_lite.protocol.manifest import TaskManifest
from trigger_lite.worker.project import (
    Defaults,
    ProjectConfigError,
    find_project,
    retry_of,
    with_defaults,
)

WHOLE = """
project = "shop"
dirs = ["jobs"]
ignore = ["**/*_old.py"]
python = "3.12"
lock = "uv.lock"
[defaults]
retry = { attempts = 5, min = "2s", max = "30s", randomize = false }
max_duration = "1h"
machine = "small-2x"
[build]
apt = ["ffmpeg"]
files = ["models/*.onnx"]
[worker]
parked_memory = "2GB"
[dev]
env_files = [".env"]
retries = true
"""


def test_trigger_toml_above_the_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "trigger.toml").write_text(WHOLE)
    below = tmp_path / "jobs" / "deep"
    below.mkdir(parents=True)
    project = find_project(below)
    assert (project.root, project.project, project.dirs) == (tmp_path, "shop", ["jobs"])
    assert project.dev.retries and project.build.apt == ["ffmpeg"]
    assert project.worker.parked_memory == "2GB"


def test_pyproject_is_read_when_it_has_the_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.trigger-lite]\nproject = "shop"\n')
    assert find_project(tmp_path).project == "shop"
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert find_project(tmp_path).project is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('projct = "x"', "unknown key 'projct'; did you mean 'project'?"),
        ("[defaults]\nretry = { atempts = 3 }", "'defaults.retry.atempts'; did you mean 'attempts'?"),
        ("zebra = 1", "unknown key 'zebra'; known are project, dirs"),
        ("dirs = 3", "Expected `array`, got `int`"),
        ('[defaults]\nmax_duration = "soon"', "'soon' is not a duration"),
        ('[worker]\nparked_memory = "lots"', "'lots' is no amount of memory"),
        ("[worker]\nparked_memry = 1", "unknown key 'worker.parked_memry'; did you mean 'parked_memory'?"),
        ('[defaults]\nmachine = "huge"', "machine 'huge' is not one of micro"),
        ("[defaults]\nretry = { attempts = 0 }", "attempts must be 1 to"),
        ("project =", "is not valid TOML"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "trigger.toml"
    path.write_text(text)
    with pytest.raises(ProjectConfigError) as refused:
        find_project(tmp_path)
    message = str(refused.value)
    assert words in message and str(path) in message and "\n" not in message


def test_defaults_fill_only_what_a_task_does_not_say(tmp_path: Path) -> None:
    (tmp_path / "trigger.toml").write_text(WHOLE)
    defaults = find_project(tmp_path).defaults
    filled = with_defaults(TaskManifest("a", max_duration=5.0), defaults)
    assert filled.max_duration == 5.0
    assert filled.machine is not None and filled.machine.preset == "small-2x"
    assert retry_of(defaults).config().min_timeout_in_ms == 2000
    assert with_defaults(TaskManifest("a"), Defaults()) == TaskManifest("a")
