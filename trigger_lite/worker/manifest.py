"""What a worker offers, as the server wants it (worker-protocol 2.3)."""

import hashlib
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from trigger_lite.protocol.manifest import RegisterWorker, TaskManifest, WorkerManifest
from trigger_lite.protocol.version import __version__


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


def registration(tasks: Sequence[TaskManifest], content_hash: str) -> RegisterWorker:
    """Return the body that registers a version of this worker."""
    return RegisterWorker(
        WorkerManifest(
            content_hash=content_hash,
            tasks=list(tasks),
            package_version=__version__,
            cli_package_version=__version__,
            runtime="python",
            runtime_version=platform.python_version(),
        )
    )
