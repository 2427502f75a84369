from pathlib import Path

import pytest

from trigger_lite.web.static_files import static_directory


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_an_installed_package_serves_its_own_files(tmp_path: Path) -> None:
    package = _folder(tmp_path / "trigger_lite")
    own = _folder(package / "static")
    _folder(tmp_path / "static")
    assert static_directory(package) == own


def test_a_checkout_serves_the_files_at_its_top(tmp_path: Path) -> None:
    package = _folder(tmp_path / "trigger_lite")
    top = _folder(tmp_path / "static")
    assert static_directory(package) == top


def test_an_incomplete_installation_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="static files is missing from this installation"):
        static_directory(tmp_path / "trigger_lite")
