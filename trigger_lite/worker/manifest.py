"""What a worker offers, as the server wants it (worker-protocol 2.3)."""

import platform
from collections.abc import Sequence

from trigger_lite.protocol.manifest import RegisterWorker, TaskManifest, WorkerManifest
from trigger_lite.protocol.version import __version__


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
