"""Whether task files changed, by looking at them."""

from collections.abc import Sequence
from pathlib import Path

from trigger_lite.worker.discovery import list_task_files
from trigger_lite.worker.project import CONFIG_FILE, PYPROJECT

Fingerprint = frozenset[tuple[str, int, int]]


def fingerprint(directory: Path, root: Path, ignore: Sequence[str]) -> Fingerprint:
    """Return what is another when a task file, or the project's settings, were changed, added or removed."""
    found = []
    files = list_task_files(directory.resolve(), root, ignore) if directory.is_dir() else []
    for path in (*files, root / CONFIG_FILE, root / PYPROJECT):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # removed while we looked
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return frozenset(found)
