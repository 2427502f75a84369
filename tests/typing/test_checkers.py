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
ACCEPTED: Final = [*sorted(HERE.glob("accepted*.py")), *sorted((ROOT / "examples").glob("*.py"))]
STRICT: Final = {
    "typeCheckingMode": "strict",
    "reportUnusedExpression": False,
    "reportUnusedCoroutine": False,
}


def mypy_errors(files: list[Path], directory: Path) -> dict[tuple[str, int], str]:
    """Return mypy's messages by file name and line, as a user of the installed package gets them."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context"]
    settings = ["--config-file=", f"--cache-dir={directory / '.mypy_cache'}"]
    finished = subprocess.run([*command, *settings, *files], cwd=ROOT, capture_output=True, text=True)
    found = {}
    for line in finished.stdout.splitlines():
        match = re.match(r"(.*?):(\d+): error: (.*)", line)
        assert match or ": note: " in line, finished.stdout + finished.stderr
        if match:
            found[Path(match[1]).name, int(match[2])] = match[3]
    return found


def pyright_errors(files: list[Path], directory: Path) -> dict[tuple[str, int], str]:
    """Return pyright's messages by file name and line, in strict mode."""
    (directory / "pyright").mkdir()
    for file in files:
        (directory / "pyright" / file.name).write_text(file.read_text())
    settings = {**STRICT, "extraPaths": [str(ROOT)]}
    (directory / "pyright" / "pyrightconfig.json").write_text(json.dumps(settings))
    finished = pyright("--outputjson", directory=directory / "pyright")
    report = json.loads(finished.stdout)
    assert report["summary"]["filesAnalyzed"] == len(files), finished.stdout
    return {
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1): found["message"]
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    }


Checker = Callable[[list[Path], Path], dict[tuple[str, int], str]]
both_checkers = pytest.mark.parametrize("checker", [mypy_errors, pyright_errors])


@both_checkers
def test_a_checker_accepts_right_programs(checker: Checker, tmp_path: Path) -> None:
    assert {"accepted.py", "accepted_lifecycle.py", "fetch.py", "init.py"} <= {file.name for file in ACCEPTED}
    assert checker(ACCEPTED, tmp_path) == {}


@both_checkers
def test_a_checker_rejects_wrong_programs_at_the_very_line(checker: Checker, tmp_path: Path) -> None:
    text = (HERE / "rejected.py.txt").read_text()
    file = tmp_path / "rejected.py"
    file.write_text(text)
    marked = {n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# error")}
    found = {line: message for (_, line), message in checker([file], tmp_path).items()}
    assert len(marked) > 30
    assert set(found) == marked, {n: found.get(n, "accepted") for n in marked ^ set(found)}
