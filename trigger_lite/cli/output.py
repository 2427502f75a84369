"""Printing: colours, tables, JSON. Data goes to stdout, everything said about it to stderr."""

import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click
import msgspec

# How the API writes the errors that the platform itself names.
_BUILT_IN: Final = re.compile(r"trigger\.dev internal error \((\w+)\)(?:: )?")
_LONGEST_JSON: Final = 4_000
F = TypeVar("F", bound=Callable[..., Any])

_STATUS_COLOURS: Final = {
    "COMPLETED": "green",
    "EXECUTING": "blue",
    "DEQUEUED": "blue",
    "WAITING": "blue",
    "QUEUED": "cyan",
    "DELAYED": "cyan",
    "PENDING_VERSION": "yellow",
    "CANCELED": "bright_black",
    "EXPIRED": "yellow",
}


def as_json(function: F) -> F:
    """Give a command the option --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print data for programs.")(function)


def print_json(value: Any) -> None:
    """Print a value as JSON that people can read, too."""
    print_raw_json(msgspec.json.encode(value))


def print_raw_json(raw: bytes) -> None:
    """Print JSON text, indented; numbers stay as they were written."""
    click.echo(msgspec.json.format(raw, indent=2))


def json_lines(value: Any) -> list[str]:
    """Return the lines of a value as JSON, indented; a long one ends with how to see the rest."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    if len(text) > _LONGEST_JSON:
        return [
            *text[:_LONGEST_JSON].splitlines(),
            dim(f"… {len(text) - _LONGEST_JSON} characters more: --json"),
        ]
    return text.splitlines()


def say(message: str = "") -> None:
    """Print something to a person, beside the data on stdout."""
    click.echo(message, err=True)


def dim(text: str) -> str:
    """Return text that steps back."""
    return click.style(text, dim=True)


def status_text(status: str, *, width: int = 0) -> str:
    """Return a run's status as a coloured word of at least this width."""
    word = status.lower().replace("_", " ")
    return click.style(word.ljust(width), fg=_STATUS_COLOURS.get(status, "red"))


def reason_text(message: str, name: str | None = None) -> str:
    """Return why a run failed, in one line: the exception's or the built-in code's name, then its message."""
    built_in = _BUILT_IN.match(message)
    if built_in:
        name, message = built_in[1], message[built_in.end() :]
    return printable(": ".join(part for part in (name, message) if part))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, flexible: int) -> list[str]:
    """Return the lines of a table that fits the terminal; the column `flexible` is cut when it must be."""
    plain = [[printable(click.unstyle(cell)) for cell in row] for row in rows]
    widths = [
        max([columns(name), *(columns(row[index]) for row in plain)]) for index, name in enumerate(head)
    ]
    room = terminal_width() - sum(widths) - 2 * (len(head) - 1)
    if room < 0:
        widths[flexible] = max(8, widths[flexible] + room)
    lines = [dim(_joined(head, widths).rstrip())]
    lines += [_joined(row, widths).rstrip() for row in rows]
    return lines


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(_fitted(cell, width) for cell, width in zip(cells, widths, strict=True))


def _fitted(cell: str, width: int) -> str:
    taken = columns(click.unstyle(cell))
    if taken > width:
        return cut(click.unstyle(cell), width)
    return cell + " " * (width - taken)


def cut(text: str, width: int) -> str:
    """Return one line of text in at most this many columns, an ellipsis where it was cut."""
    text = printable(text)
    if columns(text) <= width:
        return text
    kept: list[str] = []
    taken = 1
    for sign in text:
        taken += columns(sign)
        if taken > width:
            break
        kept.append(sign)
    return "".join(kept) + "…"


def columns(text: str) -> int:
    """Return how many columns a text takes in a terminal."""
    return sum(_columns_of(sign) for sign in text)


def _columns_of(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def printable(text: str) -> str:
    """Return text in one line, without signs that steer a terminal: what a task printed must not."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def terminal_width() -> int:
    """Return the columns of the terminal; where there is none, as many as anyone needs."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 1_000
