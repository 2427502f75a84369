"""The server's own log lines: one line each, for people or for machines. No line holds a key or a payload."""

import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

import orjson

_QUIET: Final = ("apscheduler", "uvicorn", "websockets", "sqlalchemy", "aiosqlite")
LEVELS: Final = ("debug", "info", "warning", "error")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message and, after a defect, its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


class PlainLines(logging.Formatter):
    """`12:00:01 warning  what happened`, and after a defect its traceback."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.levelname = record.levelname.lower()
        return super().formatMessage(record)


def say(level: str, formatter: logging.Formatter, stream: TextIO = sys.stderr) -> None:
    """Send the server's log lines of this level and above to a stream; its libraries only warn."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
