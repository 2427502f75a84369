"""The table of what is promised, by number, and the tests that say so: drawn from the tests' docstrings.

What is left out on purpose stands in ARCHITECTURE.md, with a reason.
"""

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
_LEFT_OUT: Final = re.compile(r"^\| ((?:[A-Z]{1,2}-\d\d(?:…\d\d)?(?:, )?)+) \| (.+) \|$", re.MULTILINE)


def behaviours() -> str:
    """Return a table for each section: a behaviour's number and the tests that name it."""
    named, left_out = links_by_number(), numbers_left_out()
    return "\n\n".join(_section(code, named, left_out) for code in SECTIONS)


def _section(code: str, tests: Mapping[str, list[str]], left_out: Mapping[str, str]) -> str:
    title, count = SECTIONS[code]
    rows = []
    for number in (f"{code}-{n:02d}" for n in range(1, count + 1)):
        said = [*tests.get(number, []), *([f"left out: {left_out[number]}"] if number in left_out else [])]
        rows.append(f"| {number} | {'<br>'.join(said)} |")
    return "\n".join([f"## {title} ({code})", "", "| Number | Tested as |", "|---|---|", *rows])


def all_numbers() -> list[str]:
    """Every number of the specification."""
    return [f"{code}-{n:02d}" for code, (_, count) in SECTIONS.items() for n in range(1, count + 1)]


def numbers_left_out() -> Mapping[str, str]:
    """Return the numbers that ARCHITECTURE.md lists as out of scope, each with its reason."""
    found = {}
    for numbers, reason in _LEFT_OUT.findall((ROOT / "ARCHITECTURE.md").read_text()):
        for part in numbers.split(", "):
            code, _, span = part.partition("-")
            first, _, last = span.partition("…")
            for number in range(int(first), int(last or first) + 1):
                found[f"{code}-{number:02d}"] = reason
    return found


def links_by_number() -> Mapping[str, list[str]]:
    """Return links to the tests that name each number."""
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
