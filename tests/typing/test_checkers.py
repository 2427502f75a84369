"""Users' type checkers: what they must accept, and what they must reject at which line."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.support.pyright import pyright
from tests.support.source import ROOT

HERE: Final = Path(__file__).parent
ACCEPTED: Final = [HERE / "accepted.py", *sorted((ROOT / "examples").glob("*.py"))]
STRICT: Final = {
    "typeCheckingMode": "strict",
    "reportUnusedExpression": False,
    "reportUnusedCoroutine": False,
}


def mypy_error_lines(file: Path, directory: Path) -> dict[int, str]:
    """Return mypy's messages by line, as a user of the installed package gets them."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context"]
    settings = ["--config-file=", f"--cache-dir={directory / '.mypy_cache'}", str(file)]
    finished = subprocess.run([*command, *settings], cwd=ROOT, capture_output=True, text=True)
    lines = {}
    for line in finished.stdout.splitlines():
        match = re.match(r".*?:(\d+): error: (.*)", line)
        assert match or ": note: " in line, finished.stdout + finished.stderr
        if match:
            lines[int(match[1])] = match[2]
    return lines


def pyright_error_lines(file: Path, directory: Path) -> dict[int, str]:
    """Return pyright's messages by line, in strict mode."""
    copy = directory / f"copy_{file.name}"
    copy.write_text(file.read_text())
    settings = {**STRICT, "extraPaths": [str(ROOT)], "include": [copy.name]}
    (directory / "pyrightconfig.json").write_text(json.dumps(settings))
    finished = pyright("--outputjson", directory=directory)
    report = json.loads(finished.stdout)
    assert report["summary"]["filesAnalyzed"] == 1, finished.stdout
    return {
        found["range"]["start"]["line"] + 1: found["message"]
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    }


Checker = Callable[[Path, Path], dict[int, str]]
CHECKERS: Final = [pytest.param(mypy_error_lines, id="mypy"), pytest.param(pyright_error_lines, id="pyright")]


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("file", ACCEPTED, ids=lambda file: file.name)
def test_both_checkers_accept_right_programs(file: Path, checker: Checker, tmp_path: Path) -> None:
    assert checker(file, tmp_path) == {}


@pytest.mark.parametrize("checker", CHECKERS)
def test_both_checkers_reject_wrong_ones_at_the_very_line(checker: Checker, tmp_path: Path) -> None:
    text = (HERE / "rejected.py.txt").read_text()
    file = tmp_path / "rejected.py"
    file.write_text(text)
    marked = {number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# error")}
    found = checker(file, tmp_path)
    assert set(found) == marked, {number: found.get(number, "accepted") for number in marked ^ set(found)}
