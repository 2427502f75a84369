"""A log line of a run as a terminal shows it."""

from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from trigger_lite.cli.output import dim, printable
from trigger_lite.cli.times import clock

if TYPE_CHECKING:
    from trigger_lite.sdk.runs import RunLogLine

_LEVEL_COLOURS: Final = {
    "TRACE": "bright_black",
    "DEBUG": "bright_black",
    "INFO": "blue",
    "LOG": None,
    "WARN": "yellow",
    "ERROR": "red",
}
_SOURCE_WIDTH: Final = 6


def log_line(line: "RunLogLine") -> str:
    """Return time, level, source, message and attributes in one line."""
    return (
        f"{dim(clock(line.at))} {level_text(line.level)} {dim(line.source.ljust(_SOURCE_WIDTH))} "
        f"{message_text(line.message)}{_attributes(line.attributes)}"
    )


def level_text(level: str) -> str:
    """Return the level as a coloured word of five columns."""
    return click.style(level.ljust(5), fg=_LEVEL_COLOURS.get(level))


def message_text(message: str) -> str:
    """Return what was printed; line breaks stay, indented, and nothing steers the terminal."""
    return "\n    ".join(printable(part) for part in message.rstrip("\n").split("\n"))


def _attributes(attributes: dict[str, Any] | None) -> str:
    if not attributes:
        return ""
    pairs = (f"{printable(name)}={_value(value)}" for name, value in attributes.items())
    return "  " + dim(" ".join(pairs))


def _value(value: Any) -> str:
    return printable(value if isinstance(value, str) else msgspec.json.encode(value).decode())
