"""Messages to the server: one frame for all of one turn of the loop, kept until the server answers."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.worker import Complete, LogLine, Logs, Message, Metadata, Release, Start, Tags
from trigger_lite.worker.messages import MetadataChanged

FRAME_TARGET: Final = 1_048_576
"""A frame is closed once it has this many bytes; one message may be longer, up to the protocol's limit."""


class Unacknowledged(msgspec.Struct, frozen=True):
    """A message the server has not answered; `run` is empty for log lines, which may be of many."""

    kind: type[Message]
    run: str
    data: bytes


class Outbox:
    """Numbers messages and keeps them until `settle`; nothing leaves while no connection is attached."""

    def __init__(self, before_flush: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._before_flush = before_flush
        self._encoder = msgspec.json.Encoder()
        self._transmit: Callable[[bytes], None] | None = None
        self._seq = 0
        self._pending: dict[int, Unacknowledged] = {}
        self._unsent: list[bytes] = []
        self._is_flush_due = False
        self._settled: asyncio.Future[None] | None = None
        self.unacknowledged_bytes = 0
        """Bytes of log lines, metadata and tags that wait for an answer: what running code can pile up."""

    def attach(self, transmit: Callable[[bytes], None]) -> int:
        """Send through this connection from now on, first all that was not answered; returns how many."""
        self._transmit = transmit
        self._unsent = [message.data for message in self._pending.values()]
        self._schedule()
        return len(self._unsent)

    def detach(self) -> None:
        """The connection is gone: keep what comes."""
        self._transmit = None
        self._unsent.clear()

    def start(self, run: str, snapshot: str) -> None:
        self._post(Start(self._next(), run, snapshot), run)

    def complete(self, run: str, snapshot: str, completion: Completion) -> int:
        """Post how an attempt ended; returns the number that the answer will carry."""
        self._post(Complete(self._next(), run, snapshot, completion), run)
        return self._seq

    def release(self, run: str, snapshot: str) -> None:
        self._post(Release(self._next(), run, snapshot), run)

    def logs(self, lines: list[LogLine]) -> None:
        self._post_bulk(Logs(self._next(), lines), "")

    def metadata(self, run: str, changed: MetadataChanged) -> None:
        message = Metadata(
            self._next(), run, changed.operations, changed.parent_operations, changed.root_operations
        )
        self._post_bulk(message, run)

    def tags(self, run: str, tags: list[str]) -> None:
        self._post_bulk(Tags(self._next(), run, tags), run)

    def say(self, message: Message) -> None:
        """Send a message that is not answered and means nothing later."""
        if self._transmit is not None:
            self._unsent.append(self._encoder.encode(message))
            self._schedule()

    def settle(self, seq: int) -> Unacknowledged | None:
        """The server answered this number: forget the message and return it; None when not known."""
        message = self._pending.pop(seq, None)
        if message is not None and message.kind in _BULK:
            self.unacknowledged_bytes -= len(message.data)
        if not self._pending and self._settled is not None:
            self._settled.set_result(None)
            self._settled = None
        return message

    async def wait_settled(self, seconds: float) -> bool:
        """Wait until the server answered everything, up to so many seconds; returns whether it did."""
        if self._pending and self._settled is None:
            self._settled = self._loop.create_future()
        if self._settled is not None:
            await asyncio.wait([self._settled], timeout=seconds)
        return not self._pending

    def forget_run(self, run: str) -> None:
        """Drop what waits about a run that is no longer this worker's, except what it printed."""
        for seq in [seq for seq, message in self._pending.items() if message.run == run]:
            self.settle(seq)

    def wake(self) -> None:
        """Flush at the end of this turn even if nothing is posted, so that `before_flush` is called."""
        self._schedule()

    def flush(self) -> None:
        """Send all there is, now."""
        self._is_flush_due = False
        if self._transmit is None:
            return
        self._before_flush()
        unsent, self._unsent = self._unsent, []
        frame: list[bytes] = []
        size = 0
        for data in unsent:
            frame.append(data)
            size += len(data)
            if size >= FRAME_TARGET:
                self._transmit(b"[%b]" % b",".join(frame))
                frame, size = [], 0
        if frame:
            self._transmit(b"[%b]" % b",".join(frame))

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _post(self, message: Message, run: str) -> bytes:
        data = self._encoder.encode(message)
        self._pending[self._seq] = Unacknowledged(type(message), run, data)
        if self._transmit is not None:
            self._unsent.append(data)
            self._schedule()
        return data

    def _post_bulk(self, message: Message, run: str) -> None:
        self.unacknowledged_bytes += len(self._post(message, run))

    def _schedule(self) -> None:
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self.flush)


_BULK: Final = frozenset({Logs, Metadata, Tags})
