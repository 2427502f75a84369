"""What is missing on a machine is said exactly, and is an error only where nothing may be skipped."""

import sys
from pathlib import Path

import pytest

from tests.support.processes import Process
from tests.support.source import ROOT


def _without_programs(directory: Path, *, ci: str) -> Process:
    """Run the script on a machine whose PATH holds neither a browser nor apt-get."""
    script = ROOT / "scripts" / "system_packages.py"
    environment = {"CI": ci, "PATH": str(directory)}
    return Process([sys.executable, script], directory=directory, environment=environment)


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_a_missing_program_is_named_with_its_package(tmp_path: Path, ci: str, status: int) -> None:
    with _without_programs(tmp_path, ci=ci) as process:
        process.wait_for_line("Chromium is missing, .*: apt-get install chromium fonts-liberation")
        assert process.wait_for_exit() == status
