"""What an attempt tells the process that carries it out while it runs."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from trigger_lite.protocol.metadata import Operation


class RunChannel(Protocol):
    """The way out of one attempt. Methods may be called from any thread and do not block for long."""

    @property
    def canceled(self) -> threading.Event:
        """Set once somebody asked this run to stop."""
        ...

    def log(self, level: str, message: str, attributes: Mapping[str, Any] | None) -> None:
        """Pass on one structured log line; `level` is one of `protocol.worker.LogLevel`."""

    def metadata(
        self,
        operations: Sequence[Operation],
        parent_operations: Sequence[Operation],
        root_operations: Sequence[Operation],
    ) -> None:
        """Pass on changes of the metadata of this run, its parent and its root, in order."""

    def tags(self, tags: Sequence[str]) -> None:
        """Add tags to this run."""
