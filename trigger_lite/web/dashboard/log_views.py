"""Log lines as a page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from trigger_lite.store.log_lists import LEVELS, levels_from, list_after, list_newest
from trigger_lite.store.logs import LogRow
from trigger_lite.store.transaction import Reader
from trigger_lite.web.dashboard.ansi import Piece, pieces
from trigger_lite.web.dashboard.texts import CUT, absolute, clock, shown

PAGE: Final = 500
"""Lines loaded at once."""
END: Final = 2**62
_SOURCES: Final = {"stdout": "o", "stderr": "e", "log": "l", "system": "s"}
_LEVEL_TITLES: Final = (("", "All"), ("INFO", "Info"), ("WARN", "Warn"), ("ERROR", "Error"))


@dataclass(frozen=True)
class LineView:
    """One line. `source` is o, e, l or s: stdout, stderr, logging, the platform. `level` names a class."""

    seq: int
    clock: str
    title: str
    level: str
    source: str
    attempt: int
    pieces: tuple[Piece, ...]
    attributes: str


@dataclass(frozen=True)
class LevelView:
    title: str
    href: str
    is_current: bool


@dataclass(frozen=True)
class LinesView:
    """Some lines, and the address of those before them; empty when there are none."""

    lines: tuple[LineView, ...]
    older_href: str


@dataclass(frozen=True)
class LogView:
    """The log panel: lines, level filter, raw download. `follows` while the run can still print."""

    lines: LinesView
    levels: tuple[LevelView, ...]
    raw_href: str
    follows: bool
    last_seq: int


def known_level(text: str) -> str:
    """Return the level that a page is narrowed to, or an empty text for all."""
    return text if text in dict(_LEVEL_TITLES) else ""


def read_newest(tx: Reader, run_id: str, level: str, before: int) -> list[LogRow]:
    """Read one more line than a page has, oldest first."""
    return list_newest(tx, run_id, _levels(level), before=before, count=PAGE + 1)


def read_following(tx: Reader, run_id: str, level: str, after: int) -> tuple[list[LogRow], bool]:
    """Read the lines after one; when they are more than a page, the newest page of them and True."""
    rows = list_after(tx, run_id, _levels(level), after=after, count=PAGE + 1)
    if len(rows) <= PAGE:
        return rows, False
    return list_newest(tx, run_id, _levels(level), before=END, count=PAGE), True


def _levels(level: str) -> Sequence[str]:
    return levels_from(level) if level else LEVELS


def log_view(rows: list[LogRow], *, base: str, level: str, follows: bool) -> LogView:
    """Return the panel for the newest lines of a run whose page lies at `base`."""
    levels = tuple(
        LevelView(title, base + (f"?level={name}" if name else "") + "#log", is_current=name == level)
        for name, title in _LEVEL_TITLES
    )
    last = rows[-1].seq if rows else 0
    return LogView(lines_view(rows, base=base, level=level), levels, f"{base}/logs.txt", follows, last)


def lines_view(rows: list[LogRow], *, base: str, level: str) -> LinesView:
    """Return a page of lines; a line more than a page means that there are older ones."""
    page = rows[-PAGE:]
    narrowed = f"&level={level}" if level else ""
    older = f"{base}?before={page[0].seq}{narrowed}#log" if len(rows) > PAGE else ""
    return LinesView(tuple(line_view(row) for row in page), older)


def line_view(row: LogRow) -> LineView:
    return LineView(
        seq=row.seq,
        clock=clock(row.at),
        title=absolute(row.at),
        level=row.level.lower(),
        source=_SOURCES.get(row.source, "l"),
        attempt=row.attempt,
        pieces=tuple(Piece(classes, shown(text, CUT)) for classes, text in _cut(row.message)),
        attributes=shown(row.attributes, 500) if row.attributes and row.attributes != "{}" else "",
    )


def _cut(message: str) -> list[Piece]:
    """Return the pieces of as much of a line as is shown, with a word on the rest."""
    found = list(pieces(message[:CUT]))
    rest = len(message) - CUT
    return [*found, Piece("muted", f"… ({rest:,} more characters in the raw log)")] if rest > 0 else found


def raw_line(row: LogRow) -> str:
    """Return a line of the raw download."""
    return f"{absolute(row.at)} {row.level:<5} {row.message}\n"
