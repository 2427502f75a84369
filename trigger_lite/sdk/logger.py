"""Structured log lines of a run."""

import sys
import traceback
from typing import Any, Final

import msgspec

from trigger_lite.sdk.context import find_context

_STANDARD: Final = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "LOG": 20, "WARN": 30, "ERROR": 40}


class Logger:
    """Writes log lines with values beside the text. Get one with `get_logger()`.

    >>> log = get_logger()
    >>> log.info("imported", rows=120, file="contacts.csv")
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name

    def debug(self, message: str, /, **attributes: Any) -> None:
        """Write a line that matters only when looking for a fault.

        >>> log.debug("cache miss", key="org_42")
        """
        self._write("DEBUG", message, attributes)

    def info(self, message: str, /, **attributes: Any) -> None:
        """Write a line about ordinary progress.

        >>> log.info("page fetched", page=3, rows=120)
        """
        self._write("INFO", message, attributes)

    def warning(self, message: str, /, **attributes: Any) -> None:
        """Write a line about something unexpected that the task coped with.

        >>> log.warning("row skipped", line=17, reason="no email")
        """
        self._write("WARN", message, attributes)

    def error(self, message: str, /, **attributes: Any) -> None:
        """Write a line about something that went wrong.

        >>> log.error("upload refused", status=403)
        """
        self._write("ERROR", message, attributes)

    def exception(self, message: str, /, **attributes: Any) -> None:
        """Write an error line with the traceback of the exception being handled.

        >>> try:
        ...     int("x")
        ... except ValueError:
        ...     log.exception("not a number")
        """
        self._write("ERROR", message, {**attributes, "exception": traceback.format_exc()})

    def _write(self, level: str, message: str, attributes: dict[str, Any]) -> None:
        context = find_context()
        if context is not None:
            context.log(level, message, _plain(attributes) if attributes else None)
            return
        import logging  # only needed outside a run, and costs a tenth of the import budget

        text = " ".join([message, *(f"{key}={value!r}" for key, value in attributes.items())])
        logging.getLogger(self.name).log(_STANDARD[level], "%s", text, stacklevel=3)


def _plain(attributes: dict[str, Any]) -> dict[str, object]:
    # A log line must not fail for a value it cannot show, so the last resort is its repr.
    try:
        plain: dict[str, object] = msgspec.to_builtins(attributes, str_keys=True, enc_hook=repr)
    except (TypeError, ValueError, RecursionError):
        plain = {key: repr(value) for key, value in attributes.items()}
    return plain


def get_logger(name: str | None = None) -> Logger:
    """Return a logger whose lines belong to the run that writes them.

    Outside a run they go to standard `logging`, under `name` or the calling module's name.

    >>> log = get_logger()
    >>> log.info("imported", rows=120)
    """
    return Logger(name or str(sys._getframe(1).f_globals.get("__name__", "trigger_lite")))
