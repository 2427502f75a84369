"""Terminal colours in log lines, turned into classes; every other escape sequence is dropped."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

# CSI sequences (SGR has the end `m`), OSC sequences (titles, links), and two-character escapes.
_ESCAPE: Final = re.compile(
    r"\x1b(?:\[([0-9;:]*)([ -/]*[@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_=>78c])"
)
_ON: Final = {1: "a-b", 2: "a-d", 3: "a-i", 4: "a-u"}
_OFF: Final = {22: ("a-b", "a-d"), 23: ("a-i",), 24: ("a-u",)}


class Piece(NamedTuple):
    """Text that looks one way; `classes` is empty for plain text."""

    classes: str
    text: str


def pieces(line: str) -> Iterator[Piece]:
    """Cut a line where its look changes."""
    style: dict[str, str] = {}
    end = 0
    for escape in _ESCAPE.finditer(line):
        if escape.start() > end:
            yield Piece(" ".join(style.values()), line[end : escape.start()])
        end = escape.end()
        if escape[2] == "m":
            _restyle(style, escape[1])
    if end < len(line):
        yield Piece(" ".join(style.values()), line[end:])


def _restyle(style: dict[str, str], codes: str) -> None:
    """Change the style by the numbers of one SGR sequence."""
    numbers = iter([int(code) if code.isdigit() else 0 for code in codes.replace(":", ";").split(";")])
    for number in numbers:
        if number == 0:
            style.clear()
        elif number in _ON:
            style[_ON[number]] = _ON[number]
        elif number in _OFF:
            for name in _OFF[number]:
                style.pop(name, None)
        elif number in (38, 48):
            # 256 and true colours have no class: read past their numbers.
            for _ in range({5: 1, 2: 3}.get(next(numbers, 0), 0)):
                next(numbers, None)
        else:
            _recolour(style, number)


def _recolour(style: dict[str, str], number: int) -> None:
    if 30 <= number <= 37 or 90 <= number <= 97:
        style["colour"] = f"a-{number % 10}"
    elif number == 39:
        style.pop("colour", None)
