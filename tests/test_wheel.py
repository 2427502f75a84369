"""What users install is the wheel, so it is the wheel that is looked into."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.source import PACKAGE, ROOT, tracked_files
from trigger_lite.protocol.version import __version__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from what git knows with the build tools that are installed: nothing is downloaded."""
    source = tmp_path_factory.mktemp("source")
    for file in tracked_files():
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).write_bytes((ROOT / file).read_bytes())
    folder = tmp_path_factory.mktemp("dist")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(source),
    ]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (built,) = folder.glob("*.whl")
    return built


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_carries_the_version_and_the_licence(wheel: Path) -> None:
    assert f"-{__version__}-" in wheel.name
    assert f"trigger_lite-{__version__}.dist-info/licenses/LICENSE" in _names(wheel)


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    package = PACKAGE.relative_to(ROOT)
    wanted = {file.as_posix() for file in tracked_files() if file.is_relative_to(package)}
    assert wanted - _names(wheel) == set()
    assert "trigger_lite/py.typed" in wanted


def test_the_static_files_are_inside_the_package(wheel: Path) -> None:
    wanted = {f"trigger_lite/{file.as_posix()}" for file in tracked_files() if file.parts[0] == "static"}
    assert wanted
    assert wanted - _names(wheel) == set()


def test_nothing_else_is_in_the_wheel(wheel: Path) -> None:
    folders = {name.split("/")[0] for name in _names(wheel)}
    assert folders == {"trigger_lite", f"trigger_lite-{__version__}.dist-info"}


def test_the_command_is_installed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entries = archive.read(f"trigger_lite-{__version__}.dist-info/entry_points.txt").decode()
    assert "trigger-lite = trigger_lite.cli.main:main" in entries
