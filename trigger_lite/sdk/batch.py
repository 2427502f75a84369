"""Many triggers at once: one request each, over a few kept connections, their order kept."""

import contextvars
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from trigger_lite.protocol.tasks import TriggerOptions
from trigger_lite.sdk.errors import ApiError, BatchError
from trigger_lite.sdk.handle import RunHandle
from trigger_lite.sdk.triggering import send

if TYPE_CHECKING:
    from trigger_lite.sdk.task import Task

PARALLEL: Final = 8
_NOBODY_CAN: Final = (401, 403)


@dataclass(frozen=True, slots=True)
class Prepared:
    """One item, checked and ready to be sent."""

    task: "Task[..., Any]"
    payload: str
    options: TriggerOptions


class Sending:
    """One batch on its way: threads take items in order until none is left or none can be sent."""

    def __init__(self, items: Sequence[Prepared]) -> None:
        self._items = items
        self._next: Iterator[int] = iter(range(len(items)))
        self._lock = threading.Lock()
        self._stopped: Exception | None = None
        self.handles: list[RunHandle[Any] | None] = [None] * len(items)
        self.failed: dict[int, Exception] = {}

    def work(self) -> None:
        """Send items until there is none."""
        while True:
            with self._lock:
                index = next(self._next, None)
            if index is None:
                return
            self._send(index)

    def _send(self, index: int) -> None:
        if self._stopped is not None:
            self.failed[index] = self._stopped
            return
        item = self._items[index]
        try:
            self.handles[index] = send(item.task, item.payload, item.options)
        except Exception as error:
            self.failed[index] = error
            # What one item met, all others would: do not let each of them try for seconds.
            if not isinstance(error, ApiError) or error.status in _NOBODY_CAN:
                self._stopped = error


def send_batch(items: Sequence[Prepared]) -> "list[RunHandle[Any]]":
    """Return a handle for each item, in order; raises BatchError when some were not triggered."""
    sending = Sending(items)
    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=(sending.work,), daemon=True)
        for _ in range(min(PARALLEL, len(items)) - 1)
    ]
    for thread in threads:
        thread.start()
    sending.work()
    for thread in threads:
        thread.join()
    if sending.failed:
        raise BatchError("send", sending.failed, sending.handles)
    return [handle for handle in sending.handles if handle is not None]
