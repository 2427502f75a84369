"""What one attempt prints, cut into lines and held to a limit."""

from typing import Any, Final

from trigger_lite.protocol.worker import MAX_LOG_BYTES, LogLevel, LogLine, LogSource

LINE_COST: Final = 100
"""What a line counts beyond its length: a million empty lines are not free."""

_LEVELS: Final[dict[LogSource, LogLevel]] = {"stdout": "LOG", "stderr": "ERROR"}
_CUT: Final = " …"


def line_cost(line: LogLine) -> int:
    """Return what a line counts towards limits, in bytes."""
    return len(line.message) + LINE_COST


class AttemptOutput:
    """Turns bytes and records of one attempt into log lines, up to `limit`; the rest is counted."""

    __slots__ = ("_attempt", "_kept", "_limit", "_lost_bytes", "_lost_lines", "_partial", "_run", "_skipping")

    def __init__(self, run: str, attempt: int, *, limit: int) -> None:
        self._run = run
        self._attempt = attempt
        self._limit = limit
        self._kept = 0
        self._lost_lines = 0
        self._lost_bytes = 0
        self._partial: dict[LogSource, bytes] = {}
        # Sources in the middle of a line whose beginning was already passed on, cut.
        self._skipping: set[LogSource] = set()

    def printed(self, source: LogSource, chunk: bytes, *, at: int) -> list[LogLine]:
        """Return the lines that `chunk` completes; `at` in Unix milliseconds."""
        if self._kept >= self._limit:
            self._lose(source, chunk)
            return []
        pieces = chunk.split(b"\n")
        if source in self._skipping:
            if len(pieces) == 1:
                return []
            self._skipping.discard(source)
            del pieces[0]
        else:
            pieces[0] = self._partial.pop(source, b"") + pieces[0]
        rest = pieces.pop()
        lines = self._lines(source, pieces, at)
        self._hold(source, rest, lines, at)
        return lines

    def said(
        self, level: LogLevel, message: str, *, at: int, attributes: dict[str, Any] | None
    ) -> LogLine | None:
        """Return the line of one log record, or None when the limit is reached."""
        if self._kept >= self._limit:
            self._lost_lines += 1
            self._lost_bytes += len(message)
            return None
        encoded = message.encode(errors="replace")
        text = message.replace("\0", "\ufffd") if len(encoded) <= MAX_LOG_BYTES else self._text(encoded)
        line = LogLine(self._run, self._attempt, at, level, "log", text, attributes)
        self._kept += line_cost(line)
        return line

    def close(self, *, at: int) -> list[LogLine]:
        """Return what is left at the end: lines without a newline, and word of what was not kept."""
        lines: list[LogLine] = []
        for source, rest in self._partial.items():
            lines += self._lines(source, [rest], at)
        self._partial.clear()
        self._skipping.clear()
        if self._lost_bytes or self._lost_lines:
            message = f"… {self._lost_lines} more lines ({self._lost_bytes} bytes) were not kept"
            lines.append(LogLine(self._run, self._attempt, at, "WARN", "system", message))
            self._lost_lines = self._lost_bytes = 0
        return lines

    def _lines(self, source: LogSource, pieces: list[bytes], at: int) -> list[LogLine]:
        lines = []
        for number, piece in enumerate(pieces):
            if self._kept >= self._limit:
                self._lost_lines += len(pieces) - number
                self._lost_bytes += sum(map(len, pieces[number:])) + len(pieces) - number
                break
            line = LogLine(self._run, self._attempt, at, _LEVELS[source], source, self._text(piece))
            self._kept += line_cost(line)
            lines.append(line)
        return lines

    def _hold(self, source: LogSource, rest: bytes, lines: list[LogLine], at: int) -> None:
        if len(rest) > MAX_LOG_BYTES:
            lines += self._lines(source, [rest], at)
            self._skipping.add(source)
        elif rest:
            self._partial[source] = rest

    def _lose(self, source: LogSource, chunk: bytes) -> None:
        held = self._partial.pop(source, b"")
        self._lost_lines += chunk.count(b"\n")
        self._lost_bytes += len(held) + len(chunk)

    def _text(self, line: bytes) -> str:
        line = line.removesuffix(b"\r")
        if len(line) > MAX_LOG_BYTES:
            kept = MAX_LOG_BYTES - len(_CUT.encode())
            return line[:kept].decode(errors="replace").replace("\0", "\ufffd") + _CUT
        return line.decode(errors="replace").replace("\0", "\ufffd")
