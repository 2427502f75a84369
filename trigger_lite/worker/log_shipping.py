"""Collects lines of all runs into batches."""

import asyncio
from typing import Final

from trigger_lite.protocol.worker import LogLine
from trigger_lite.worker.outbox import Outbox
from trigger_lite.worker.output import line_cost

FLUSH_SECONDS: Final = 0.1
BATCH_LINES: Final = 200
BATCH_BYTES: Final = 262_144


class LogShipping:
    """Posts lines to the outbox by 200, by 256 KB, or after a tenth of a second."""

    def __init__(self, outbox: Outbox) -> None:
        self._loop = asyncio.get_running_loop()
        self._outbox = outbox
        self._lines: list[LogLine] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, lines: list[LogLine]) -> None:
        """Take lines, in the order they are to be shown."""
        for line in lines:
            self._lines.append(line)
            self._size += line_cost(line)
            if self._size >= BATCH_BYTES or len(self._lines) >= BATCH_LINES:
                self.flush()
        if self._lines and self._timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Post what was collected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            lines, self._lines, self._size = self._lines, [], 0
            self._outbox.logs(lines)
