"""The parent's end of one template."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from trigger_lite.worker.frames import frame_of, split_frames
from trigger_lite.worker.launching import Launch
from trigger_lite.worker.messages import Fork, FromTemplate, Packet, Prepare, Retire, Signal
from trigger_lite.worker.settings import WorkerSettings

_CHUNK = 262_144


class TemplateListener(Protocol):
    """Gets what a template says."""

    def template_sent(self, template: "TemplateProcess", message: FromTemplate) -> None:
        """The template said something."""

    def template_ended(self, template: "TemplateProcess", code: int) -> None:
        """The template is gone, and its children with it; `code` as of a process's exit."""


class TemplateProcess:
    """Starts a template at once; ends it, and all it forked, with `close`."""

    def __init__(self, settings: WorkerSettings, launch: Launch, listener: TemplateListener) -> None:
        self._loop = asyncio.get_running_loop()
        self.listener = listener
        self._decoder: msgspec.msgpack.Decoder[FromTemplate] = msgspec.msgpack.Decoder(FromTemplate)
        self._received = bytearray()
        self._is_closed = False
        self.exit_code: int | None = None
        """How it ended by itself; None while it runs."""
        self._launched = launch()
        self._sock = self._launched.sock
        self._sock.setblocking(False)
        self._loop.add_reader(self._sock, self._read)
        self._send(
            Prepare(
                directory=str(Path(settings.directory).absolute()),
                url=settings.url,
                key=settings.key,
                start_method=settings.start_method,
                enforce_memory=settings.enforce_memory,
            )
        )

    def fork(self, child: int, fds: Sequence[int]) -> None:
        """Ask for a child with control socket, stdout, stderr and lifeline."""
        data = frame_of(msgspec.msgpack.encode(Fork(child)))
        try:
            socket.send_fds(self._sock, [data], list(fds))
        except (BrokenPipeError, ConnectionResetError):
            return  # its end will be noticed, and its children's with it

    def signal(self, child: int, number: int) -> None:
        """Send a signal to a child, if it lives."""
        self._send(Signal(child, number, group=False))

    def signal_group(self, child: int, number: int) -> None:
        """Send a signal to a child and all it started, if it lives."""
        self._send(Signal(child, number, group=True))

    def retire(self) -> None:
        """Make no more children and end after the last."""
        self._send(Retire())

    def close(self) -> None:
        """End the template and all it forked."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._sock)
            self._launched.kill()

    def _send(self, packet: Packet) -> None:
        if self._is_closed:
            return
        try:
            self._sock.sendall(frame_of(msgspec.msgpack.encode(packet)))
        except (BrokenPipeError, ConnectionResetError):
            return  # its end will be noticed

    def _read(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._ended()
            return
        self._received += data
        for frame in split_frames(self._received):
            self.listener.template_sent(self, self._decoder.decode(frame))

    def _ended(self) -> None:
        self._is_closed = True
        self._loop.remove_reader(self._sock)
        self.exit_code = self._launched.bury()
        self.listener.template_ended(self, self.exit_code)
