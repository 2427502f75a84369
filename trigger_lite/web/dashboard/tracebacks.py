"""Python tracebacks, read as frames, so that a page can show one's own code before the libraries'."""

import re
from typing import Final, NamedTuple

_FRAME: Final = re.compile(r'^\s*File "(?P<file>[^"\n]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
_LIBRARY: Final = re.compile(
    r"site-packages|dist-packages|/lib/python3|<frozen |/trigger_lite/(?:sdk|worker)/"
)
MAX_FRAMES: Final = 60


class Frame(NamedTuple):
    """One step; `code` is its source line, empty when it was not in the text."""

    file: str
    line: str
    function: str
    code: str
    is_library: bool


def frames(stack: str) -> list[Frame]:
    """Return the frames of the last traceback in the text, innermost last; none when it is no traceback."""
    lines = stack.splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    found: list[Frame] = []
    for number in range(starts[-1] if starts else 0, len(lines)):
        match = _FRAME.match(lines[number])
        if match is None:
            continue
        following = lines[number + 1] if number + 1 < len(lines) else ""
        code = "" if _FRAME.match(following) or not following.startswith("    ") else following.strip()
        file = match["file"]
        is_library = _LIBRARY.search(file) is not None
        found.append(Frame(file, match["line"], match["function"] or "", code, is_library))
    return found[-MAX_FRAMES:]
