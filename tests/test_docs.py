"""What the documents say is what the program does, and no document or file says where it was made."""

import ast
import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from scripts.redraw import DRAWN, redrawn
from tests.support.source import ROOT, Module, modules, tracked_files
from trigger_lite.config import Settings
from trigger_lite.protocol.version import __version__

_TOP_LEVEL: Final = frozenset(
    {
        "trigger_lite",
        "static",
        "tests",
        "pyproject.toml",
        "Dockerfile.alpine",
        "README.md",
        "ARCHITECTURE.md",  # one page that explains the rooms
        "CHANGELOG.md",  # what users read before they upgrade
        "LICENSE",
        "Makefile",  # the commands a contributor types
        "bench",  # the figures the README may claim
        "docs",  # what does not fit the README
        "examples",  # what a newcomer runs first
        "requirements.lock",  # what `make demo` installs
        "requirements-dev.lock",  # what `make test` installs
        "scripts",  # what the Makefile calls
        ".ci",
        ".gitignore",
    }
)


def _document(name: str) -> str:
    path = ROOT / name
    return path.read_text() if path.exists() else ""


def _markdown() -> list[Path]:
    return [file for file in tracked_files() if file.suffix == ".md"]


# --- settings, commands, routes -----------------------------------------------------------------------------


def _environment_variables() -> set[str]:
    """Every variable that a module names, and one for each setting."""
    constants = (
        node.value for module in modules() for node in module.nodes() if isinstance(node, ast.Constant)
    )
    named = {
        text for text in constants if isinstance(text, str) and re.fullmatch("TRIGGER_LITE(_[A-Z]+)+", text)
    }
    return named | {f"TRIGGER_LITE_{setting.name.upper()}" for setting in dataclasses.fields(Settings)}


def test_every_variable_is_documented() -> None:
    text = _document("docs/configuration.md")
    assert not {name for name in _environment_variables() if f"`{name}`" not in text}


def test_no_variable_is_documented_that_is_not_there() -> None:
    named = set(re.findall(r"`(TRIGGER_LITE(?:_[A-Z]+)+)`", _document("docs/configuration.md")))
    assert named <= _environment_variables()


_ROUTES: Final = frozenset({"Route", "WebSocketRoute"})


def _routes(module: Module) -> Iterator[str]:
    for node in module.nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ROUTES:
            path = node.args[0]
            if isinstance(path, ast.Constant) and isinstance(path.value, str):
                yield path.value


def _without_names(text: str) -> str:
    """Write `:runId` and `{run_id:path}` alike, so that only the shape of a path counts."""
    return re.sub(r"\{[^}/]*\}|(?<=/):\w+", "{}", text)


def test_every_route_of_the_api_is_documented() -> None:
    text = _without_names(_document("docs/http-api.md"))
    api = [m for m in modules() if m.name.startswith("trigger_lite.web") and ".dashboard" not in m.name]
    assert not {route for module in api for route in _routes(module) if _without_names(route) not in text}


# --- documents ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DRAWN)
def test_what_a_document_shows_of_the_code_is_up_to_date(name: str) -> None:
    text = _document(name)
    assert text == redrawn(text, DRAWN[name]()), "run `make fmt`"


def test_the_newest_change_is_of_this_version() -> None:
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)\]?", _document("CHANGELOG.md"), flags=re.MULTILINE)
    assert newest and newest.group(1) == __version__


def _python_in(document: str) -> Iterator[tuple[str, str]]:
    """Yield each block of Python, after the file that its first line names, or one of its own."""
    blocks = re.findall(
        r"^```python(?: (\S+))?\n(.*?)^```", _document(document), flags=re.MULTILINE | re.DOTALL
    )
    for number, (name, code) in enumerate(blocks, 1):
        yield name or f"{Path(document).stem.lower()}_{number}.py", code


@pytest.mark.parametrize("path", _markdown(), ids=str)
def test_python_in_a_document_is_python(path: Path) -> None:
    for name, code in _python_in(str(path)):
        compile(code, f"{path}: {name}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that users copy from the documents they read first."""
    folder = tmp_path_factory.mktemp("copied")
    for document in ("README.md", "docs/guide.md"):
        for name, code in _python_in(document):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(code)
    return folder


_DESCRIBE_ALL: Final = """
import importlib, pathlib
from trigger_lite.sdk.registry import registry
for file in pathlib.Path("jobs").glob("*.py"):
    importlib.import_module(f"jobs.{file.stem}")
assert not registry.duplicates() and len([task.manifest() for task in registry.tasks()]) > 10
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "mypy", "--strict", "--explicit-package-bases", "--config-file=", "."],
        ["-c", _DESCRIBE_ALL],
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "tests"],
    ],
    ids=["types", "tasks", "tests"],
)
def test_what_a_user_copies_is_right(copied: Path, arguments: list[str]) -> None:
    finished = subprocess.run([sys.executable, *arguments], cwd=copied, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("path", _markdown(), ids=str)
def test_a_documents_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", _document(str(path)))
    assert not [target for target in targets if not (ROOT / path.parent / target).exists()]


# --- what no file may hold ----------------------------------------------------------------------------------

# Written in pieces, so that this file does not hold what it looks for.
_REGISTRIES: Final = (
    "pypi" r"\.org",
    "python" r"hosted\.org",
    "npm" r"js\.(?:org|com)",
    "debian" r"\.org/debian",
)
_MACHINE_PATHS: Final = r"(?<![\w.*$}])/(?:work|root|home|Users)/\w"


@pytest.mark.parametrize("pattern", [*_REGISTRIES, _MACHINE_PATHS])
def test_no_file_names_a_registry_or_a_folder_of_one_machine(pattern: str) -> None:
    wanted = re.compile(pattern.encode())
    assert not [str(file) for file in tracked_files() if wanted.search((ROOT / file).read_bytes())]


def test_the_top_level_holds_what_earns_its_place() -> None:
    assert {file.parts[0] for file in tracked_files()} <= _TOP_LEVEL


# --- lock files ---------------------------------------------------------------------------------------------


def _pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", _document(name), flags=re.MULTILINE))


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_file_holds_hashes_and_no_address(name: str) -> None:
    text = _document(name)
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(_pins(name)) > 0
    assert not re.search(r"://|file:/|@ |--(?:index-url|extra-index-url|find-links|trusted-host)", text)


def test_both_lock_files_pin_the_same_versions() -> None:
    assert _pins("requirements.lock").items() <= _pins("requirements-dev.lock").items()


def test_every_dependency_is_pinned_alike_in_the_lock_file() -> None:
    named = re.findall(
        r'^  "([\w-]+)(?:\[\w+\])?==([\w.]+)"', _document("pyproject.toml"), flags=re.MULTILINE
    )
    pins = _pins("requirements-dev.lock")
    assert not {name for name, version in named if pins.get(name.lower()) != version}, "run `make lock`"
