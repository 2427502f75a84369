"""The table of what is promised, by number, and the tests that say so: drawn from the tests' docstrings."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
NUMBER: Final = re.compile(r"\b([A-Z]{1,2})-(\d\d)\b")
# Each section with how many behaviours it has.
SECTIONS: Final[Mapping[str, tuple[str, int]]] = {
    "ST": ("Statuses", 18),
    "TR": ("Trigger", 26),
    "ID": ("Idempotency keys", 11),
    "DB": ("Debounce", 11),
    "PV": ("Versions", 7),
    "Q": ("Queues", 44),
    "AT": ("Attempts and retries", 27),
    "HB": ("Heartbeats and timeouts", 11),
    "WP": ("Waitpoints", 21),
    "BA": ("Batches", 20),
    "CP": ("Checkpoints", 7),
    "CN": ("Cancel, replay, bulk", 15),
    "SC": ("Schedules", 21),
    "LK": ("Races", 10),
    "MC": ("Machines and limits", 5),
}


def behaviours() -> str:
    """Return a table for each section: a behaviour's number and the tests that name it."""
    named = _tests_by_number()
    return "\n\n".join(_section(code, named) for code in SECTIONS)


def _section(code: str, tests: Mapping[str, list[str]]) -> str:
    title, count = SECTIONS[code]
    numbers = [f"{code}-{number:02d}" for number in range(1, count + 1)]
    rows = [f"| {number} | {'<br>'.join(tests[number])} |" for number in numbers if number in tests]
    later = [number for number in range(1, count + 1) if f"{code}-{number:02d}" not in tests]
    parts = [f"## {title} ({code})"]
    if rows:
        parts.append("\n".join(["| Number | Tested as |", "|---|---|", *rows]))
    if later:
        parts.append(f"Later: {', '.join(_ranges(code, later))}.")
    return "\n\n".join(parts)


def _ranges(code: str, numbers: list[int]) -> list[str]:
    """Write numbers that follow each other as `Q-01…03`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1].append(number)
        else:
            ranges.append([number])
    return [f"{code}-{r[0]:02d}" + (f"…{r[-1]:02d}" if len(r) > 1 else "") for r in ranges]


def _tests_by_number() -> Mapping[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in files_of_tests():
        for name, docstring in documented_tests(path):
            sentence = name.removeprefix("test_").replace("_", " ")
            link = f"[{sentence}](../{path.relative_to(ROOT).as_posix()})"
            for code, number in dict.fromkeys(NUMBER.findall(docstring)):
                found[f"{code}-{number}"].append(link)
    return found


def files_of_tests() -> list[Path]:
    """Every file of tests."""
    return sorted((ROOT / "tests").rglob("test_*.py"))


def documented_tests(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the docstring of each test in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name, ast.get_docstring(node) or ""
