"""How the code of a run waits in its process: it reads what the parent says, and a cancel wakes it."""

import os
import select
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from trigger_lite.sdk.errors import ParkedMemoryFull
from trigger_lite.worker.frames import BlockingFrames
from trigger_lite.worker.memory import own_memory
from trigger_lite.worker.messages import Packet, Park, Parked, Resolved, ToChild, Unpark

if TYPE_CHECKING:
    from trigger_lite.sdk.channel import Awaited

T = TypeVar("T")
decoder: Final[msgspec.msgpack.Decoder[ToChild]] = msgspec.msgpack.Decoder(ToChild)


class Bell:
    """Wakes whoever polls it, from any thread or signal handler."""

    def __init__(self) -> None:
        self.fd, self._rope = os.pipe()
        for fd in (self.fd, self._rope):
            os.set_blocking(fd, False)

    def ring(self) -> None:
        """Wake once; more often before that is the same."""
        try:
            os.write(self._rope, b"!")
        except BlockingIOError:
            return  # it rings already

    def hush(self) -> None:
        """Be silent until rung again."""
        try:
            os.read(self.fd, 4096)
        except BlockingIOError:
            return


class AttemptWaits:
    """The waits of one attempt, one at a time; `is_canceled` tells whether they are in vain.

    Between attempts the child itself reads what the parent says, so `close` comes before that: code that an
    attempt left behind in a thread then reads no more.
    """

    def __init__(
        self,
        frames: BlockingFrames,
        bell: Bell,
        *,
        send: Callable[[Packet], None],
        is_canceled: Callable[[], bool],
    ) -> None:
        self._frames = frames
        self._bell = bell
        self._send = send
        self._is_canceled = is_canceled
        self._reading = threading.Lock()
        self._is_closed = False

    def wait(self, awaited: "Awaited") -> None:
        """Wait until `awaited` is over or the run is cancelled; see `sdk.channel.RunChannel.wait`."""
        if self._is_closed:
            return
        self._send(Park(awaited.longest, own_memory()))
        try:
            answer = self._next(Parked)
            if answer is None:
                return
            if answer.problem is not None:
                raise ParkedMemoryFull(answer.problem)
            awaited.begin()
            while not awaited.is_over:
                resolved = self._next(Resolved)
                if resolved is None:
                    return
                for waitpoint in resolved.waitpoints:
                    awaited.accept(waitpoint)
        finally:
            if not self._is_closed:
                self._send(Unpark())

    def close(self) -> None:
        """End whatever still waits: the attempt is over."""
        self._is_closed = True
        if self._reading.locked():
            self._bell.ring()
            with self._reading:
                self._bell.hush()

    def _next(self, kind: type[T]) -> T | None:
        """Return the next message of a kind, others left aside; None when there is no point in waiting on."""
        with self._reading:
            while self._has_message():
                frame = self._frames.receive()
                message = None if frame is None else decoder.decode(frame)
                if message is None or isinstance(message, kind):
                    return message
        return None

    def _has_message(self) -> bool:
        """Wait for the parent; False when the run is cancelled or over."""
        poll = select.poll()
        for fd in (self._frames.fileno(), self._bell.fd):
            poll.register(fd, select.POLLIN)
        while not (self._is_closed or self._is_canceled()):
            if self._frames.has_ready:
                return True
            ready = [fd for fd, _ in poll.poll()]
            if self._bell.fd in ready:
                self._bell.hush()
            elif ready:
                return True
        return False
