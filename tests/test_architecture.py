"""The rules of ARCHITECTURE.md that a program can check; who may import whom is `lint-imports`'s part."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from tests.support.source import PACKAGE, Module, modules

_ROOMS: Final = frozenset(
    {"protocol", "sdk", "worker", "store", "engine", "launch", "telemetry", "background", "web", "cli"}
)
_PARTS: Final = _ROOMS | {"__init__", "__main__", "config", "server", "testing"}
_BUCKETS: Final = frozenset({"utils", "util", "helpers", "common", "manager", "base", "misc", "models"})
_HEAVY: Final = frozenset(
    {
        "aiosqlite",
        "apscheduler",
        "asyncio",
        "click",
        "greenlet",
        "http.client",
        "httptools",
        "jinja2",
        "orjson",
        "psycopg",
        "sqlalchemy",
        "sqlite3",
        "starlette",
        "uvicorn",
        "uvloop",
        "websockets",
    }
)
_SERVER_SIDE: Final = frozenset({"store", "engine", "launch", "telemetry", "background", "web"})


def _loaded_by(statement: str) -> set[str]:
    """Return the names of all modules that a fresh interpreter holds after the statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return set(json.loads(finished.stdout))


def _server_side_modules(loaded: set[str]) -> set[str]:
    return {
        name for name in loaded if name.startswith("trigger_lite.") and name.split(".")[1] in _SERVER_SIDE
    }


def test_importing_the_sdk_loads_no_server_room_and_no_heavy_library() -> None:
    public = (
        "import trigger_lite\nfor name in getattr(trigger_lite, '__all__', ()): getattr(trigger_lite, name)"
    )
    loaded = _loaded_by(public)
    assert not loaded & _HEAVY
    assert not _server_side_modules(loaded)


def test_the_command_starts_without_loading_the_server() -> None:
    loaded = _loaded_by("import trigger_lite.cli.main")
    assert not loaded & {"sqlalchemy", "starlette", "uvicorn", "jinja2", "apscheduler"}
    assert not _server_side_modules(loaded)


def test_every_room_is_one_that_the_architecture_names() -> None:
    parts = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts <= _PARTS, f"new rooms: {sorted(parts - _PARTS)}"


def test_no_module_is_a_bucket() -> None:
    named = {module.file for module in modules() if set(module.path.with_suffix("").parts) & _BUCKETS}
    assert not named


def test_no_module_is_empty_but_the_marks_of_packages() -> None:
    empty = [module.file for module in modules() if not module.tree.body and module.path.stem != "__init__"]
    assert not empty


def test_every_package_holds_something() -> None:
    folders = {module.path.parent for module in modules()}
    hollow = [folder for folder in folders if not any(p.stem != "__init__" for p in folder.rglob("*.py"))]
    assert not hollow


def _passthroughs(module: Module) -> Iterator[str]:
    for node in module.nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _takes_untyped_options(node):
            yield f"{module.file}:{node.lineno} {node.name}"


def _takes_untyped_options(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether `**options` are handed on; as a ParamSpec's or an unpacked TypedDict mypy checks them."""
    options = node.args.kwarg
    if options is None or _is_checked(options.annotation):
        return False
    handed_on = (k.value for k in ast.walk(node) if isinstance(k, ast.keyword) and k.arg is None)
    return any(isinstance(value, ast.Name) and value.id == options.arg for value in handed_on)


def _is_checked(annotation: ast.expr | None) -> bool:
    match annotation:
        case ast.Attribute(attr="kwargs") | ast.Subscript(value=ast.Name(id="Unpack")):
            return True
    return False


def test_no_function_hands_on_options_that_nothing_checks() -> None:
    assert not [found for module in modules() for found in _passthroughs(module)]


def _global_statements(module: Module) -> Iterator[str]:
    return (f"{module.file}:{n.lineno}" for n in module.nodes() if isinstance(n, ast.Global))


def test_no_module_keeps_global_state() -> None:
    assert not [found for module in modules() for found in _global_statements(module)]


def _positional(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    arguments = [*node.args.posonlyargs, *node.args.args]
    return arguments[1:] if arguments and arguments[0].arg in ("self", "cls") else arguments


def _asynchronous_transactions(module: Module) -> Iterator[str]:
    for node in module.nodes():
        if isinstance(node, ast.AsyncFunctionDef) and any(a.arg == "tx" for a in _positional(node)[:1]):
            yield f"{module.file}:{node.lineno} {node.name}"


def test_a_function_over_a_transaction_is_synchronous() -> None:
    assert not [found for module in modules() for found in _asynchronous_transactions(module)]


# The bus calls subscribers after the commit, outside every transaction.
_AROUND_ENGINE: Final = frozenset({"trigger_lite.engine.bus"})
_FORBIDDEN_IN_ENGINE: Final = frozenset(
    {
        "asyncio",
        "http",
        "logging",
        "os",
        "pathlib",
        "random",
        "secrets",
        "socket",
        "threading",
        "time",
        "urllib",
        "uuid",
    }
)


def _imports(module: Module) -> Iterator[tuple[int, str]]:
    for node in module.nodes():
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module


def test_the_engine_touches_no_clock_no_chance_and_no_network() -> None:
    engine = (
        m for m in modules() if m.name.startswith("trigger_lite.engine.") and m.name not in _AROUND_ENGINE
    )
    touching = [
        f"{module.file}:{line} imports {name}"
        for module in engine
        for line, name in _imports(module)
        if name.split(".")[0] in _FORBIDDEN_IN_ENGINE
    ]
    assert not touching


_SQL_VERBS: Final = ("SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ")


def test_sql_is_written_in_the_store_alone() -> None:
    outside = (module for module in modules() if not module.name.startswith("trigger_lite.store"))
    found = [
        f"{module.file}:{node.lineno}"
        for module in outside
        for node in module.nodes()
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.lstrip().startswith(_SQL_VERBS)
    ]
    assert not found
