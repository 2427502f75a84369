"""One line at the bottom of a terminal that is written over and over; elsewhere, a line for each change."""

import sys
from types import TracebackType
from typing import Final, Self

import click

from trigger_lite.cli.output import cut, terminal_width

_ERASE: Final = "\r\x1b[2K"


class LiveLine:
    """A status line on stderr. `update` may be called often; without a terminal it prints only news."""

    def __init__(self) -> None:
        self._is_live = sys.stderr.isatty()
        self._shown = ""

    @property
    def is_live(self) -> bool:
        """Whether the line is written over, so that it may hold what changes all the time."""
        return self._is_live

    def update(self, line: str) -> None:
        """Show this line instead of the one before; it is cut to the terminal's width."""
        if line == self._shown:
            return
        self._shown = line
        if self._is_live:
            click.echo(_ERASE + _cut_styled(line), err=True, nl=False)
        else:
            click.echo(line, err=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._is_live and self._shown:
            click.echo(_ERASE, err=True, nl=False)
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()


def _cut_styled(line: str) -> str:
    """Return the line, without colours when it has to be cut."""
    width = terminal_width() - 1
    plain = click.unstyle(line)
    return line if len(plain) <= width else cut(plain, width)
