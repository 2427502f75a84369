"""Messages over Unix stream sockets between the processes of one worker.

A frame is a length of four bytes and that many bytes of MessagePack. File descriptors may travel
with a frame; they arrive no later than its last byte.
"""

import array
import os
import socket
import struct
from collections import deque
from typing import Final

_LENGTH: Final = struct.Struct("!I")
_CHUNK: Final = 262_144
_FDS_AT_ONCE: Final = 16


def split_frames(buffer: bytearray) -> list[bytes]:
    """Take every complete frame off the front of `buffer`."""
    frames = []
    start, end = 0, len(buffer)
    while end - start >= 4:
        (length,) = _LENGTH.unpack_from(buffer, start)
        if end - start - 4 < length:
            break
        frames.append(bytes(buffer[start + 4 : start + 4 + length]))
        start += 4 + length
    if start:
        del buffer[:start]
    return frames


def frame_of(body: bytes) -> bytes:
    """Return the body with its length before it."""
    return _LENGTH.pack(len(body)) + body


class BlockingFrames:
    """The end of a process that does one thing at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._ready: deque[bytes] = deque()
        self.fds: deque[int] = deque()

    def receive(self) -> bytes | None:
        """Wait for the next frame; None when the other end is gone."""
        while not self._ready:
            try:
                data = self._sock.recv(_CHUNK)
            except ConnectionResetError:
                return None  # it went without reading all that it was sent
            if not data:
                return None
            self._buffer += data
            self._ready.extend(split_frames(self._buffer))
        return self._ready.popleft()

    def receive_with_fds(self) -> bytes | None:
        """Wait for the next frame, and put descriptors that came with it into `fds`, kept from heirs."""
        while not self._ready:
            size = array.array("i").itemsize * _FDS_AT_ONCE
            try:
                data, ancillary, _, _ = self._sock.recvmsg(_CHUNK, socket.CMSG_SPACE(size))
            except ConnectionResetError:
                return None
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._adopt(content)
            if not data:
                return None
            self._buffer += data
            self._ready.extend(split_frames(self._buffer))
        return self._ready.popleft()

    def _adopt(self, content: bytes) -> None:
        fds = array.array("i")
        fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        for fd in fds:
            os.set_inheritable(fd, False)
            self.fds.append(fd)

    def fileno(self) -> int:
        """Return the descriptor of the socket, to wait for the other end with."""
        return self._sock.fileno()

    @property
    def has_ready(self) -> bool:
        """Whether a frame can be had without waiting."""
        return bool(self._ready)

    def send(self, body: bytes) -> None:
        """Send one frame; waits while the other end does not read."""
        self._sock.sendall(frame_of(body))
