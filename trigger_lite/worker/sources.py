"""Whether task files changed: a quick look at their times, and a hash of what they say."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from trigger_lite.protocol.manifest import TaskManifest
from trigger_lite.protocol.version import __version__
from trigger_lite.worker.discovery import list_task_files
from trigger_lite.worker.project import CONFIG_FILE, PYPROJECT

Fingerprint = frozenset[tuple[str, int, int]]


def fingerprint(directory: Path, root: Path, ignore: Sequence[str], dirs: Sequence[str] = ()) -> Fingerprint:
    """Return what is another when a task file, or the project's settings, were changed, added or removed."""
    found = []
    files = list_task_files(directory.resolve(), root, ignore, dirs) if directory.is_dir() else []
    for path in (*files, root / CONFIG_FILE, root / PYPROJECT):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # removed while we looked
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return frozenset(found)


def hash_sources(files: Iterable[Path], root: Path, tasks: Sequence[TaskManifest]) -> str:
    """Return a name for the text of these files and what they offer: another when one of them changes."""
    digest = hashlib.sha256(__version__.encode())
    digest.update(msgspec.json.encode(tasks))
    for path in sorted(files):
        text = path.read_bytes()
        name = path.relative_to(root) if path.is_relative_to(root) else path
        digest.update(f"\0{name}\0{len(text)}\0".encode())
        digest.update(text)
    return digest.hexdigest()
