"""With CI=true nothing may be skipped; elsewhere a skipped test says why."""

import sys
from pathlib import Path

import pytest

from tests.support.processes import Process

_ROOT = Path(__file__).parents[2]
_ONE_TEST = "import pytest\ndef test_it():\n    pytest.skip('no such program here')\n"
_WHOLE_FILE = "import pytest\npytest.skip('no such program here', allow_module_level=True)\n"


def _run(directory: Path, code: str, *, ci: str) -> Process:
    path = directory / "test_skipped.py"
    path.write_text(code)
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", f"--config-file={_ROOT / 'pyproject.toml'}"]
    environment = {"CI": ci, "PYTHONPATH": str(_ROOT)}
    return Process(
        [sys.executable, "-m", "pytest", *options, path], directory=directory, environment=environment
    )


@pytest.mark.parametrize("code", [_ONE_TEST, _WHOLE_FILE])
def test_a_skipped_test_fails_the_run_in_ci(tmp_path: Path, code: str) -> None:
    with _run(tmp_path, code, ci="true") as process:
        process.wait_for_line("With CI=true nothing may be skipped: .*no such program here")
        assert process.wait_for_exit() != 0


def test_what_the_kernel_forbids_is_skipped_in_ci_too(tmp_path: Path) -> None:
    """No installation would help: the fault is then proven by the tests that need no privilege."""
    forbidden = _ONE_TEST.replace("no such program here", "this machine\\'s kernel forbids to do it")
    with _run(tmp_path, forbidden, ci="true") as process:
        process.wait_for_line("SKIPPED.*kernel forbids to do it")
        assert process.wait_for_exit() == 0


def test_elsewhere_a_skipped_test_gives_its_reason(tmp_path: Path) -> None:
    with _run(tmp_path, _ONE_TEST, ci="") as process:
        process.wait_for_line("SKIPPED.*no such program here")
        assert process.wait_for_exit() == 0
