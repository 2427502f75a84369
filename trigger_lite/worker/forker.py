"""A process that forks others on demand, reaps them, and says how they ended.

It starts no thread: `fork` copies it while nothing else happens in it. When the process it takes
orders from is gone, it ends with everything that it forked and that those started.
"""

import os
import select
import signal
import socket
import traceback
import warnings
from collections.abc import Callable
from typing import NoReturn

import msgspec

from trigger_lite.worker import messages
from trigger_lite.worker.frames import BlockingFrames
from trigger_lite.worker.messages import Exited, Fork, Forked, NotForked, Packet, Prepare, Retire

Birth = Callable[[list[int]], int]
"""Makes a process that owns these descriptors and returns its id; returns 0 in it, if it is a copy."""
Life = Callable[[list[int]], None]
"""What a copy then does with them."""


class Forker:
    """Obeys Fork, Signal and Retire. Each new process gets the `fds_each` descriptors of its order."""

    def __init__(
        self, sock: socket.socket, frames: BlockingFrames, *, fds_each: int, birth: Birth, life: Life
    ) -> None:
        self._sock = sock
        self._frames = frames
        self._fds_each = fds_each
        self._birth = birth
        self._life = life
        self._decoder = msgspec.msgpack.Decoder(messages.ToTemplate)
        self._children: dict[int, int] = {}
        self._retired = False
        self._wakeup = (-1, -1)

    def serve(self) -> NoReturn:
        """Obey until retired and alone, or until nobody gives orders any more; never returns."""
        self._watch_children()
        poll = select.poll()
        for fd in (self._sock.fileno(), self._wakeup[0]):
            poll.register(fd, select.POLLIN)
        while not (self._retired and not self._children):
            self._handle_ready([fd for fd, _ in poll.poll()])
        os._exit(0)

    def send(self, packet: Packet) -> None:
        """Tell whoever gives the orders."""
        try:
            self._frames.send(msgspec.msgpack.encode(packet))
        except BrokenPipeError:
            self._end_all()

    def _watch_children(self) -> None:
        self._wakeup = os.pipe()
        for fd in self._wakeup:
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)

    def _handle_ready(self, fds: list[int]) -> None:
        if self._wakeup[0] in fds:
            os.read(self._wakeup[0], 4096)
            self._reap()
        if self._sock.fileno() in fds:
            self._receive()

    def _receive(self) -> None:
        frame = self._frames.receive_with_fds()
        while frame is not None:
            self._handle(self._decoder.decode(frame))
            if not self._frames.has_ready:
                return
            frame = self._frames.receive_with_fds()
        self._end_all()

    def _handle(self, message: messages.ToTemplate) -> None:
        match message:
            case Fork():
                self._fork(message.child)
            case messages.Signal():
                self._signal(message)
            case Retire():
                self._retired = True
            case Prepare():
                raise AssertionError("a template imports once")

    def _fork(self, child: int) -> None:
        fds = [self._frames.fds.popleft() for _ in range(self._fds_each)]
        try:
            pid = self._birth(fds)
        except OSError as error:
            self.send(NotForked(child, str(error)))
        else:
            if pid == 0:
                self._live(fds)
            self._children[child] = pid
            self.send(Forked(child, pid))
        for fd in fds:
            os.close(fd)

    def _live(self, fds: list[int]) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in self._wakeup:
                os.close(fd)
            self._sock.close()
            self._life(fds)
        except BaseException:
            traceback.print_exc()
        os._exit(1)

    def _signal(self, order: messages.Signal) -> None:
        pid = self._children.get(order.child)
        if pid is None:
            return
        # Not reaped yet, so the id still is that child's.
        if order.group:
            _kill_group(pid, order.signal)
        os.kill(pid, order.signal)

    def _reap(self) -> None:
        for child, pid in list(self._children.items()):
            code = _reap_one(pid)
            if code is not None:
                del self._children[child]
                self.send(Exited(child, code))

    def _end_all(self) -> NoReturn:
        for pid in self._children.values():
            _kill_group(pid, signal.SIGKILL)
        os._exit(0)


def fork_quietly(fds: list[int]) -> int:
    """A birth by `fork`."""
    with warnings.catch_warnings():
        # Python 3.12 warns of threads that imported libraries started; nothing here can change that.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _reap_one(pid: int) -> int | None:
    """Return how a child ended, with everything it left behind ended too; None while it lives."""
    if hasattr(os, "waitid"):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        _kill_group(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    done, status = os.waitpid(pid, os.WNOHANG)
    if done == 0:
        return None
    _kill_group(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status)


def _kill_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        # Not its own group yet, or nothing left in it; macOS says so of zombies with EPERM.
        return
