"""Lines of JSON out of a body that arrives in pieces, whatever the pieces are (BA-07)."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

HEAD_BYTES: Final = 4_096
"""What is kept of a line that is too long, to tell whose it is."""
_MEMBER: Final = re.compile(rb'\s*(?:"index"\s*:\s*(\d{1,9})|"task"\s*:\s*("(?:[^"\\]|\\.)*"))\s*,')


class LongLine(msgspec.Struct, frozen=True):
    """A line over the limit: its size in bytes, and how it begins."""

    size: int
    head: bytes


class LineReader:
    """Cuts a body into lines without their ends; blank ones are left out, and the last needs no end.

    A line over `limit` bytes is not kept: it comes as a LongLine, and the next one is read as ever.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[bytes | LongLine]:
        """Yield the lines that end in this piece."""
        *ended, rest = piece.split(b"\n")
        for part in ended:
            self._keep(part)
            yield from self._line()
        self._keep(rest)

    def end(self) -> Iterator[bytes | LongLine]:
        """Yield what came after the last line end."""
        yield from self._line()

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._limit:
            self._parts.append(part)
        elif len(self._parts) != 1 or len(self._parts[0]) > HEAD_BYTES:
            # From here on the line is only counted.
            self._parts = [b"".join([*self._parts, part])[:HEAD_BYTES]]

    def _line(self) -> Iterator[bytes | LongLine]:
        size, line = self._size, b"".join(self._parts)
        self._parts, self._size = [], 0
        if size > self._limit:
            yield LongLine(size, line)
        elif line and not line.isspace():
            yield line


def read_head(head: bytes) -> tuple[int | None, str]:
    """Return the index and the task that an item begins with, as far as they come before its payload."""
    index, task = None, ""
    at = head.find(b"{") + 1
    while found := _MEMBER.match(head, at):
        if found[1] is not None:
            index = int(found[1])
        else:
            task = _text(found[2])
        at = found.end()
    return index, task


def _text(quoted: bytes) -> str:
    try:
        return msgspec.json.decode(quoted.decode(), type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
