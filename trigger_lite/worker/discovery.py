"""Finding and importing task files. Runs in processes that may run user code, never in the parent."""

import fnmatch
import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from trigger_lite.worker.events import DuplicateTask, ImportFailed

INIT_FILE: Final = "init.py"
"""Imported first: hooks and middleware of every task."""

_SKIPPED_FOLDERS: Final = frozenset({"__pycache__", "node_modules", "site-packages", "test", "tests"})
_SKIPPED_FILES: Final = ("test_*.py", "*_test.py", "conftest.py", "setup.py", "__main__.py")
_NAME: Final = re.compile(r"[A-Za-z_]\w*")


def list_task_files(
    directory: Path, root: Path, ignore: Sequence[str], dirs: Sequence[str] = ()
) -> list[Path]:
    """Return every task file at or below `directory`, sorted; in the root of the project, of its `dirs`.

    Hidden folders, virtual environments and tests are left out, and what matches a pattern of
    `ignore`, relative to `root`, where `**/` stands for any folders.
    """
    chosen = [root / name for name in dirs if (root / name).is_dir()]
    folders = chosen if directory == root and dirs else [directory]
    found = {path for folder in folders for path in _walk(folder)}
    return sorted(path for path in found if not _is_ignored(path, root, ignore))


def init_files(files: Sequence[Path], folders: Sequence[Path]) -> list[Path]:
    """Return those task files that are an `init.py` of a tasks folder: what they set up is everybody's."""
    wanted = {folder / INIT_FILE for folder in folders}
    return [path for path in files if path in wanted]


def import_task_files(
    files: Sequence[Path], root: Path, importing: Callable[[str], None]
) -> list[ImportFailed]:
    """Import each file once, and return those that failed; `importing` is told each before it begins."""
    failures = []
    for path in files:
        importing(_shown(path, root))
        try:
            _import_file(path, root)
        except (Exception, SystemExit) as error:
            failures.append(_failure(error, path, root))
    return failures


def put_on_path(directory: Path, root: Path) -> None:
    """Let task files import their neighbours by short names and everything else from the root."""
    for folder in (directory, root):
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        sys.path.insert(0, str(folder))


def find_duplicates() -> list[DuplicateTask]:
    """Return each pair of tasks that share one id, with both places."""
    from trigger_lite.sdk.registry import registry

    return [
        DuplicateTask(pair.first.id, f"{pair.first.file_path}:{pair.first.line}", _second(pair.second))
        for pair in registry.duplicates()
    ]


def _second(task: object) -> str:
    return f"{getattr(task, 'file_path', '?')}:{getattr(task, 'line', 0)}"


def _walk(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                if entry.name not in _SKIPPED_FOLDERS and not _is_virtual_environment(entry.path):
                    yield from _walk(Path(entry.path))
            elif entry.name.endswith(".py") and not _matches_any(entry.name, _SKIPPED_FILES):
                yield Path(entry.path)


def _is_virtual_environment(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "pyvenv.cfg"))


def _matches_any(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _is_ignored(path: Path, root: Path, ignore: Sequence[str]) -> bool:
    name = _shown(path, root)
    return any(
        fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(f"/{name}", pattern.replace("**/", "*/"))
        for pattern in ignore
    )


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _import_file(path: Path, root: Path) -> None:
    name = _module_name(path, root)
    if name is not None:
        present = sys.modules.get(name)
        if present is None and not _is_elsewhere(name, path):
            importlib.import_module(name)
            return
        if present is not None and _is_file(present, path):
            return
    if not any(_is_file(module, path) for module in list(sys.modules.values())):
        _import_by_location(path)


def _module_name(path: Path, root: Path) -> str | None:
    if not path.is_relative_to(root):
        return None
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if parts and all(_NAME.fullmatch(part) for part in parts) else None


def _is_elsewhere(name: str, path: Path) -> bool:
    """Whether importing `name` would bring another file, such as the standard library's `email`."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return True
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return True  # a file beside the folder has the folder's name, such as `jobs.py` in `jobs/`
    return spec is None or spec.origin is None or not os.path.samefile(spec.origin, path)


def _is_file(module: ModuleType, path: Path) -> bool:
    """Whether a module came from a file; some modules have none, or one inside an archive."""
    file = getattr(module, "__file__", None)
    return (
        isinstance(file, str)
        and os.path.basename(file) == path.name
        and os.path.realpath(file) == os.path.realpath(path)
    )


def _import_by_location(path: Path) -> None:
    """Import a file whose name is no module name, or one that is taken."""
    name = "task_file_" + re.sub(r"\W", "_", str(path))
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported as a module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _failure(error: BaseException, path: Path, root: Path) -> ImportFailed:
    file, line = str(path), 0
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno or 0
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            if Path(frame.filename).is_relative_to(root) and "site-packages" not in frame.filename:
                file, line = frame.filename, frame.lineno or 0
    reason = error.msg if isinstance(error, SyntaxError) else str(error)
    message = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return ImportFailed(_shown(Path(file), root), line or 1, " ".join(message.split()))
