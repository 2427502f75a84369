"""What an attempt tells the process that carries it out while it runs, and how it waits."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from trigger_lite.protocol.metadata import Operation
from trigger_lite.sdk.cancellation import Cancellation

if TYPE_CHECKING:
    from trigger_lite.protocol.waitpoints import CompletedWaitpoint
    from trigger_lite.sdk.local import LocalWorld


class Awaited(Protocol):
    """One wait of a run: how to ask for it, and what ends it.

    `sdk.waiting.wait_in_run` takes one through its wait; each is used once.
    """

    @property
    def longest(self) -> float | None:
        """How many seconds it takes at most; None when nobody can say."""
        ...

    def begin(self) -> None:
        """Ask the server to let the run wait; asked again with the same key until it answers.

        Raises ApiError or ConnectionFailed: the run does not wait then.
        """

    def accept(self, waitpoint: "CompletedWaitpoint") -> None:
        """Take note, after `begin`, of something that ended; what belongs to another wait is ignored."""

    @property
    def is_over(self) -> bool:
        """Whether all of it has ended."""
        ...

    def pretend(self, world: "LocalWorld") -> None:
        """Be over at once, as a run without a server sees it; instead of all the others."""


class RunChannel(Protocol):
    """The way out of one attempt. Methods may be called from any thread; only `wait` blocks for long."""

    @property
    def world(self) -> "LocalWorld | None":
        """What a run without a server lives in; None for one of a server."""
        ...

    @property
    def canceled(self) -> Cancellation:
        """Set once somebody asked this run to stop."""
        ...

    @property
    def is_ending(self) -> bool:
        """Whether this process was told to end: what becomes of the attempt is no longer its business."""
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

    def wait(self, awaited: Awaited) -> None:
        """Block until `awaited` is over or the run is cancelled. Called by one thread at a time.

        Raises ParkedMemoryFull when this process may not be kept that long, and what `awaited.begin` raises.
        """
