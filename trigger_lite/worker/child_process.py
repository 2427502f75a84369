"""The parent's end of one child: its socket, its output, and the run it makes."""

import array
import asyncio
import fcntl
import os
import socket
import termios
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from trigger_lite.protocol.worker import LogSource
from trigger_lite.worker.frames import frame_of, split_frames
from trigger_lite.worker.held import HeldRun
from trigger_lite.worker.messages import FromChild, ToChild

if TYPE_CHECKING:
    from trigger_lite.worker.template_process import TemplateProcess

_CHUNK: Final = 65_536
_CONTROL_CHUNK: Final = 262_144
_CHUNKS_AT_ONCE: Final = 4
"""How much of a flood is read before others get their turn."""


class ChildListener(Protocol):
    """Gets what a child says and prints."""

    def child_sent(self, child: "ChildProcess", message: FromChild) -> None:
        """The child said something about the run it makes."""

    def child_printed(self, child: "ChildProcess", source: LogSource, chunk: bytes) -> None:
        """Bytes came out of the child's stdout or stderr."""


class ChildProcess:
    """One child. `run` is what it makes now; whoever hands it a run sets it."""

    def __init__(
        self, number: int, template: "TemplateProcess", listener: ChildListener, *, reading: bool
    ) -> None:
        self.number = number
        self.template = template
        self.run: HeldRun | None = None
        self.is_ready = False
        self.is_dismissed = False
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._decoder: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)
        self._encoder = msgspec.msgpack.Encoder()
        self._received = bytearray()
        self._unsent = bytearray()
        self._available = array.array("i", [0])
        self._reading = False
        self._open(reading=reading)

    def _open(self, *, reading: bool) -> None:
        self._control, control = socket.socketpair()
        self._is_connected = True
        stdout, stdout_writer = os.pipe()
        stderr, stderr_writer = os.pipe()
        lifeline, self._lifeline = os.pipe()
        self._outputs: dict[LogSource, int] = {"stdout": stdout, "stderr": stderr}
        for fd in (self._control.fileno(), stdout, stderr):
            os.set_blocking(fd, False)
        given = [control.detach(), stdout_writer, stderr_writer, lifeline]
        self.template.fork(self.number, given)
        for fd in given:
            os.close(fd)
        if reading:
            self.resume_reading()

    def send(self, packet: ToChild) -> None:
        """Tell the child something, such as its next run; one that is gone is not told."""
        if not self._is_connected:
            return
        data = frame_of(self._encoder.encode(packet))
        if not self._unsent:
            try:
                sent = self._control.send(data)
            except BlockingIOError:
                sent = 0
            except (BrokenPipeError, ConnectionResetError):
                return  # it is gone, and its exit will be reported
            if sent == len(data):
                return
            data = data[sent:]
        self._unsent += data
        self._loop.add_writer(self._control, self._write)

    def resume_reading(self) -> None:
        """Read what the child says and prints."""
        if not self._reading:
            self._reading = True
            if self._is_connected:
                self._loop.add_reader(self._control, self._read_control)
            for source, fd in self._outputs.items():
                self._loop.add_reader(fd, self._read_output, source, fd)

    def pause_reading(self) -> None:
        """Read no more for now; the child waits once the pipes are full."""
        if self._reading:
            self._reading = False
            if self._is_connected:
                self._loop.remove_reader(self._control)
            for fd in self._outputs.values():
                self._loop.remove_reader(fd)

    def drain_output(self) -> None:
        """Read all that was printed up to now, whoever else may print on."""
        for source, fd in list(self._outputs.items()):
            fcntl.ioctl(fd, termios.FIONREAD, self._available)
            left = self._available[0]
            while left > 0:
                chunk = os.read(fd, min(left, _CHUNK))
                if not chunk:
                    break
                left -= len(chunk)
                self._listener.child_printed(self, source, chunk)

    def drain(self) -> None:
        """Read all that the child left behind when it ended."""
        self._read_control()
        self.drain_output()

    def hang_up(self) -> None:
        """Tell an idle child to end."""
        if self._is_connected:
            self._is_connected = False
            self._loop.remove_reader(self._control)
            self._loop.remove_writer(self._control)
            self._control.close()

    def close(self) -> None:
        """Give back everything; kills the child's process group if it still lives."""
        self.pause_reading()
        self.hang_up()
        for fd in (*self._outputs.values(), self._lifeline):
            os.close(fd)
        self._outputs.clear()

    def _write(self) -> None:
        try:
            sent = self._control.send(self._unsent)
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            sent = len(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._control)

    def _read_control(self) -> None:
        while self._is_connected:
            try:
                data = self._control.recv(_CONTROL_CHUNK)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if not data:
                self._loop.remove_reader(self._control)
                return
            self._received += data
            for frame in split_frames(self._received):
                self._listener.child_sent(self, self._decoder.decode(frame))
            if len(data) < _CONTROL_CHUNK:
                return

    def _read_output(self, source: LogSource, fd: int) -> None:
        for _ in range(_CHUNKS_AT_ONCE):
            try:
                chunk = os.read(fd, _CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self._loop.remove_reader(fd)
                return
            self._listener.child_printed(self, source, chunk)
            if len(chunk) < _CHUNK or not self._reading:
                return
