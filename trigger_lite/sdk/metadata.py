"""Metadata of a run: read at once, written in small operations that travel at most once a second."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trigger_lite.protocol.metadata import Operation, apply_operations
from trigger_lite.sdk.codec import plain
from trigger_lite.sdk.errors import PayloadError

if TYPE_CHECKING:
    from trigger_lite.sdk.channel import RunChannel

FLUSH_SECONDS: Final = 1.0


class PendingOperations:
    """Operations not sent yet. A later `set` replaces an earlier one, increments of one key add up."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []
        self._newest: dict[str, int] = {}

    def add(self, operation: Operation) -> None:
        """Put an operation at the end, or into the newest one that it makes needless."""
        if operation.type == "update":
            self._newest.clear()  # nothing may move from behind it to before it
            self._operations.append(operation)
            return
        key = operation.key or ""
        root = key.removeprefix("$.").partition(".")[0]
        index = self._newest.get(root)
        merged = _merge(self._operations[index], operation) if index is not None else None
        if index is not None and merged is not None:
            self._operations[index] = merged
        else:
            self._newest[root] = len(self._operations)
            self._operations.append(operation)

    def take(self) -> list[Operation]:
        """Return the operations in order and forget them."""
        taken, self._operations, self._newest = self._operations, [], {}
        return taken


def _merge(earlier: Operation, later: Operation) -> Operation | None:
    if earlier.type != later.type or earlier.key != later.key:
        return None
    if later.type == "set":
        return later
    if later.type == "increment":
        return Operation("increment", later.key, earlier.value + later.value)
    return None


class MetadataBuffer:
    """The operations of one attempt, for its run, the parent and the root, on their way to the channel."""

    def __init__(
        self, channel: "RunChannel", present: dict[str, Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._channel = channel
        self._values = present
        self._clock = clock
        self._lock = threading.Lock()
        self._pending = (PendingOperations(), PendingOperations(), PendingOperations())
        self._unapplied: list[Operation] = []
        self._sent_at = clock() - FLUSH_SECONDS
        self._timer: threading.Timer | None = None

    def values(self) -> dict[str, Any]:
        """Return the run's metadata with this attempt's own changes."""
        with self._lock:
            if self._unapplied:
                self._values = apply_operations(self._values, self._unapplied)
                self._unapplied = []
            return self._values

    def add(self, operation: Operation, whose: int) -> None:
        """Take a change of the run's (`whose` 0), the parent's (1) or the root's (2) metadata."""
        with self._lock:
            if whose == 0:
                self._unapplied.append(operation)
            self._pending[whose].add(operation)
            if self._timer is not None:
                return
            wait = self._sent_at + FLUSH_SECONDS - self._clock()
            if wait > 0:
                self._timer = threading.Timer(wait, self.flush)
                self._timer.daemon = True
                self._timer.start()
                return
        self.flush()

    def flush(self) -> None:
        """Hand what is pending to the channel."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            own, parent, root = (pending.take() for pending in self._pending)
            self._sent_at = self._clock()
            # Inside the lock, so that two flushes cannot overtake each other on their way out.
            if own or parent or root:
                self._channel.metadata(own, parent, root)


class MetadataWriter:
    """Changes the metadata of a run; every value must be JSON."""

    def __init__(self, find_buffer: Callable[[], MetadataBuffer | None], whose: int) -> None:
        self._find_buffer = find_buffer
        self._whose = whose

    def set(self, key: str, value: Any) -> None:
        """Set a key; `$.a.b` is a path, made where it is missing.

        >>> metadata.set("progress", 0.5)
        >>> metadata.set("$.rows.done", 120)
        """
        self._add(Operation("set", key, self._json(key, value)))

    def incr(self, key: str, amount: float = 1) -> None:
        """Add to a number; a missing one counts from 0.

        >>> metadata.incr("rows", 250)
        """
        if not isinstance(amount, int | float):
            raise PayloadError(f"metadata {key!r}: incr adds a number, not {amount!r}", path=key)
        self._add(Operation("increment", key, amount))

    def append(self, key: str, value: Any) -> None:
        """Add an item to a list; a missing one is made.

        >>> metadata.append("failed", "cat.png")
        """
        self._add(Operation("append", key, self._json(key, value)))

    def remove(self, key: str, value: Any) -> None:
        """Take every item equal to `value` out of a list.

        >>> metadata.remove("failed", "cat.png")
        """
        self._add(Operation("remove", key, self._json(key, value)))

    def delete(self, key: str) -> None:
        """Take a top-level key away.

        >>> metadata.delete("progress")
        """
        self._add(Operation("delete", key))

    def replace(self, values: dict[str, Any]) -> None:
        """Put `values` in the place of all metadata.

        >>> metadata.replace({"phase": "upload"})
        """
        self._add(Operation("update", None, self._json("*", values)))

    def _json(self, key: str, value: Any) -> Any:
        try:
            return plain(value)
        except TypeError as error:
            raise PayloadError(f"metadata {key!r}: {error}", path=key) from error

    def _add(self, operation: Operation) -> None:
        if operation.type != "update":
            # The server refuses the same keys; said here, the error shows the line that wrote it.
            apply_operations({}, [operation])
        buffer = self._find_buffer()
        if buffer is not None:
            buffer.add(operation, self._whose)


class RunMetadata(MetadataWriter):
    """Metadata of the current run: a JSON object that its page, API and subscribers show while it runs.

    Outside a run nothing is written and nothing is there, so a task stays an ordinary function.

    >>> metadata.set("progress", 0.5)
    >>> metadata.incr("rows", 250)
    >>> metadata.parent.append("children", "export")
    """

    def __init__(self, find_buffer: Callable[[], MetadataBuffer | None]) -> None:
        super().__init__(find_buffer, 0)
        self._parent = MetadataWriter(find_buffer, 1)
        self._root = MetadataWriter(find_buffer, 2)

    @property
    def parent(self) -> MetadataWriter:
        """Metadata of the run that triggered this one; of this run when there is none.

        >>> metadata.parent.incr("done")
        """
        return self._parent

    @property
    def root(self) -> MetadataWriter:
        """Metadata of the first run of this tree; of this run when it is that.

        >>> metadata.root.set("phase", "upload")
        """
        return self._root

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a top-level key, this attempt's changes included.

        >>> metadata.get("progress", 0)
        0
        """
        return self.all().get(key, default)

    def all(self) -> dict[str, Any]:
        """Return a copy of all metadata, this attempt's changes included.

        >>> metadata.all()
        {}
        """
        buffer = self._find_buffer()
        copied: dict[str, Any] = msgspec.to_builtins(buffer.values()) if buffer is not None else {}
        return copied
