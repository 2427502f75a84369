"""`logging` inside a run: every record becomes a log line with its level and time, once."""

import logging
import sys
from collections.abc import Callable
from typing import Any, Final

from trigger_lite.protocol.worker import LogLevel

LogSink = Callable[[LogLevel, int, str, dict[str, Any] | None], None]
"""Takes level, Unix milliseconds, message, attributes."""

_OWN_ATTRIBUTES: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def log_level(number: int) -> LogLevel:
    """Return the wire's word for a level of `logging`."""
    if number >= logging.ERROR:
        return "ERROR"
    if number >= logging.WARNING:
        return "WARN"
    if number >= logging.INFO:
        return "INFO"
    return "DEBUG" if number >= logging.DEBUG else "TRACE"


class RecordHandler(logging.Handler):
    """Hands each record to the run that is being made."""

    def __init__(self, sink: LogSink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
            if record.exc_info:
                message = f"{message}\n{self._trace(record.exc_info)}"
            extra = {k: _plain(v) for k, v in record.__dict__.items() if k not in _OWN_ATTRIBUTES}
            self._sink(log_level(record.levelno), int(record.created * 1000), message, extra or None)
        except Exception:
            self.handleError(record)

    def _trace(self, exc_info: Any) -> str:
        return (self.formatter or logging.Formatter()).formatException(exc_info)


def capture_logging(sink: LogSink) -> None:
    """Send all records to `sink` instead of the console.

    Handlers that print to the console would show each record a second time, without its level, so
    they give way; others (files, services) stay. Without any set-up by the user, INFO is shown.
    """
    handler = RecordHandler(sink)
    root = logging.getLogger()
    configured = bool(root.handlers)
    for logger in (root, *(item for item in root.manager.loggerDict.values() if _is_logger(item))):
        _replace_console(logger, handler)  # type: ignore[arg-type]  # placeholders were left out
    root.addHandler(handler)
    if not configured and root.level == logging.WARNING:
        root.setLevel(logging.INFO)


def _is_logger(item: object) -> bool:
    return isinstance(item, logging.Logger)


def _replace_console(logger: logging.Logger, handler: RecordHandler) -> None:
    for present in list(logger.handlers):
        if type(present) is logging.StreamHandler and present.stream in (sys.stdout, sys.stderr):
            logger.removeHandler(present)
            if not logger.propagate:
                logger.addHandler(handler)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
