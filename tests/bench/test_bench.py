"""The benchmark measures what it says it measures; how fast it is, only `make bench` tells."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.figures import Figure, Report, median_ratio, percentile
from bench.printing import table
from bench.targets import TARGETS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.journey


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark as a contributor would."""
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bench")
    finished = bench("--small", "--json", "--folder", str(folder))
    assert finished.returncode == 0, finished.stderr
    assert list(folder.iterdir()) == []
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def test_every_part_is_measured(report: dict[str, Any]) -> None:
    parts = {figure["name"].partition(".")[0] for figure in report["figures"]}
    names = {"import", "start", "memory", "idle", "triggers", "latency", "runs", "growth", "standing"}
    names.add("retention")
    assert parts == names
    # These are differences, which may be less than what is measured of them by chance.
    absolute = [f for f in report["figures"] if not f["name"].startswith(("import", "standing"))]
    assert all(figure["value"] > 0 for figure in absolute)


def test_the_machine_is_described(report: dict[str, Any]) -> None:
    assert {"processor", "memory", "system", "python", "disk", "load"} <= report["machine"].keys()
    assert all(report["machine"].values())


def test_a_rate_is_measured_beside_a_bare_endpoint(report: dict[str, Any]) -> None:
    figures = {figure["name"]: figure["value"] for figure in report["figures"]}
    assert figures["triggers.4.ratio"] == figures["triggers.4"] / figures["triggers.4.bare"]


def test_an_operation_is_measured_on_a_grown_database_beside_an_empty_one(report: dict[str, Any]) -> None:
    figures = {figure["name"]: figure["value"] for figure in report["figures"]}
    for operation in ("trigger", "claim_and_release", "complete"):
        name = f"growth.{operation}"
        assert figures[f"{name}.ratio"] == figures[name] / figures[f"{name}.empty"]


def test_a_figure_is_judged_by_its_target() -> None:
    reached = Figure("memory.server", "Idle server: memory", 59.0, "MB")
    missed = replace(reached, value=61.0)
    without = Figure("start.again", "Later starts", 0.4, "s")
    assert [figure.is_reached for figure in (reached, missed, without)] == [True, False, None]
    text = table(Report({"python": "3"}, [reached, missed, without]))
    assert "1 of 2 targets reached" in text
    assert next(line for line in text.splitlines() if "MISSED" in line).split()[3] == "61.0"


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    assert median_ratio([10, 1, 30], [20, 20, 20]) == 0.5


def test_percentiles_are_measured_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (51.0, 100.0, 7.0)


def test_every_target_is_of_a_figure_that_is_measured(report: dict[str, Any]) -> None:
    measured = {figure["name"] for figure in report["figures"]}
    # Those beside Celery, and the rate of more clients than the small form has.
    elsewhere = {name for name in TARGETS if name.startswith(("runs.", "latency.p50", "triggers."))}
    assert TARGETS.keys() - elsewhere <= measured


def test_an_unknown_part_is_refused_in_one_line() -> None:
    finished = bench("weather")
    assert finished.returncode == 2
    assert "there is no part 'weather'" in finished.stderr.splitlines()[-1]
