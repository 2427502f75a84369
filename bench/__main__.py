"""`python -m bench`: measure and print a table, or JSON."""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.celery_side import CelerySide, CeleryUnavailable, celery_side
from bench.figures import Figure, Report
from bench.growth import measure_growth
from bench.latency import measure_latency
from bench.load import load_tool
from bench.machine import describe_machine
from bench.printing import table
from bench.retention import measure_retention
from bench.runs import measure_runs
from bench.sizes import FULL, SMALL, Sizes
from bench.standing import measure_standing
from bench.triggers import measure_triggers
from bench.weight import measure_idle, measure_import, measure_start

Measure = Callable[[Sizes, Path, CelerySide | None], list[Figure]]

PARTS: Final[dict[str, Measure]] = {
    "import": lambda sizes, folder, _: measure_import(sizes, folder),
    "start": lambda sizes, folder, _: measure_start(sizes, folder),
    "idle": lambda sizes, folder, _: measure_idle(sizes, folder),
    "triggers": lambda sizes, folder, _: measure_triggers(sizes, folder),
    "latency": measure_latency,
    "runs": measure_runs,
    "growth": lambda sizes, folder, _: measure_growth(sizes, folder) + measure_standing(sizes, folder),
    "retention": lambda sizes, folder, _: measure_retention(sizes, folder),
}


def main() -> int:
    """Measure what was asked for; the exit status says whether measuring worked, not how fast it is."""
    options = parse(sys.argv[1:])
    with TemporaryDirectory(prefix="trigger-lite-bench-", dir=options.folder) as name:
        folder = Path(name)
        wanted = celery_side(folder, options.celery_environment) if options.with_celery else nullcontext()
        try:
            with wanted as celery:
                report = measure(options.part or list(PARTS), options.sizes, folder, celery)
        except CeleryUnavailable as error:
            print(error, file=sys.stderr)
            return 2
    print(json.dumps(report.to_json(), indent=2) if options.json else table(report))
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; a wrong one ends the program with a line that says what would be right."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"what to measure: {', '.join(PARTS)} (everything)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--small",
        dest="sizes",
        action="store_const",
        const=SMALL,
        default=FULL,
        help="see that measuring works; figures mean nothing",
    )
    parser.add_argument("--with-celery", action="store_true", help="measure Celery and Redis beside it")
    parser.add_argument(
        "--celery-environment",
        type=Path,
        metavar="FOLDER",
        help="keep Celery's virtual environment here (a temporary one)",
    )
    parser.add_argument("--folder", type=Path, help="where data is written: the disk to measure")
    options = parser.parse_args(arguments)
    unknown = set(options.part) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {min(unknown)!r}; there are {', '.join(PARTS)}")
    return options


def measure(parts: list[str], sizes: Sizes, folder: Path, celery: CelerySide | None) -> Report:
    """Measure the parts in the order of their table."""
    report = Report({**describe_machine(folder), "load": load_tool()})
    for name, part in PARTS.items():
        if name in parts:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            report.figures.extend(part(sizes, folder, celery))
    return report


if __name__ == "__main__":
    sys.exit(main())
