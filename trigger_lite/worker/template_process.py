"""The parent's end of one template."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from trigger_lite.worker.frames import frame_of, split_frames
from trigger_lite.worker.interpreter import python_command
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

    def __init__(self, settings: WorkerSettings, listener: TemplateListener) -> None:
        self._loop = asyncio.get_running_loop()
        self.listener = listener
        self._decoder: msgspec.msgpack.Decoder[FromTemplate] = msgspec.msgpack.Decoder(FromTemplate)
        self._received = bytearray()
        self._sock, control = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        with control:
            self._process = _start(control.fileno(), lifeline, settings)
        os.close(lifeline)
        self._sock.setblocking(False)
        self._loop.add_reader(self._sock, self._read)
        self.is_retired = False
        directory = str(Path(settings.directory).absolute())
        self._send(Prepare(directory, settings.start_method, settings.enforce_memory))

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
        self.is_retired = True
        self._send(Retire())

    def close(self) -> int:
        """End the template and all it forked; returns its exit code, or minus the signal that ended it."""
        if self._lifeline >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()
            os.close(self._lifeline)
            self._lifeline = -1
        if self._process.poll() is None:
            self._process.kill()
        return self._process.wait()

    def _send(self, packet: Packet) -> None:
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
            self._end()
            return
        self._received += data
        for frame in split_frames(self._received):
            self.listener.template_sent(self, self._decoder.decode(frame))

    def _end(self) -> None:
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.listener.template_ended(self, self.close())


def _start(control: int, lifeline: int, settings: WorkerSettings) -> "subprocess.Popen[bytes]":
    command = python_command("trigger_lite.worker.template", str(control), str(lifeline))
    # What user code prints while it is imported belongs to no run: it goes where this process complains.
    complaints = 2
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=complaints,
        stderr=complaints,
        pass_fds=(control, lifeline),
        env=_environment(settings),
        process_group=0,
    )


def _environment(settings: WorkerSettings) -> Mapping[str, str]:
    return {**os.environ, "TRIGGER_LITE_URL": settings.url, "TRIGGER_LITE_KEY": settings.key}
