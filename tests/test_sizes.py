"""Short functions in short modules: the worst are printed (`pytest -s`), and past a limit the test fails."""

import ast
import statistics
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.support.source import Module, modules

_MODULE_LIMIT: Final = 500
_MODULE_MEDIAN: Final = 160
_FUNCTION_LIMIT: Final = 40
_SHOWN: Final = 10

# Each with its reason.
_LONG_MODULES: Final = {
    "trigger_lite/store/schema.py": "the whole data model on one page, read like a dictionary",
}
_LONG_FUNCTIONS: Final[dict[str, str]] = {}


class Sized(NamedTuple):
    lines: int
    place: str


def _functions(module: Module) -> Iterator[Sized]:
    for node in module.nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield Sized(lines, f"{module.file}:{node.name}")


def _show(title: str, sizes: list[Sized]) -> None:
    print(f"\n{title}: median {statistics.median(s.lines for s in sizes):g} lines; the longest:")
    for size in sorted(sizes, reverse=True)[:_SHOWN]:
        print(f"  {size.lines:4d}  {size.place}")


def test_modules_are_short() -> None:
    sizes = [Sized(module.line_count, module.file) for module in modules() if module.path.stem != "__init__"]
    _show(f"{len(sizes)} modules", sizes)
    over = [size for size in sizes if size.lines > _MODULE_LIMIT and size.place not in _LONG_MODULES]
    assert not over, f"over {_MODULE_LIMIT} lines: {over}"
    assert statistics.median(size.lines for size in sizes) <= _MODULE_MEDIAN


def test_functions_are_short() -> None:
    sizes = [size for module in modules() for size in _functions(module)]
    _show(f"{len(sizes)} functions", sizes)
    over = [size for size in sizes if size.lines > _FUNCTION_LIMIT and size.place not in _LONG_FUNCTIONS]
    assert not over, f"over {_FUNCTION_LIMIT} lines: {over}"


def test_every_exception_is_still_needed() -> None:
    files = {module.file for module in modules()}
    functions = {
        size.place for module in modules() for size in _functions(module) if size.lines > _FUNCTION_LIMIT
    }
    assert set(_LONG_MODULES) <= files
    assert set(_LONG_FUNCTIONS) <= functions
