"""Write anew every part of a document that is drawn from the code; `make fmt` calls it."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from scripts.behaviours import behaviours
from scripts.references import commands_reference, settings_reference
from scripts.state_diagram import state_diagram

ROOT: Final = Path(__file__).parents[1]
DRAWN: Final[Mapping[str, Callable[[], str]]] = {
    "ARCHITECTURE.md": state_diagram,
    "docs/configuration.md": settings_reference,
    "docs/commands.md": commands_reference,
    "docs/behaviours.md": behaviours,
}
_BEGIN: Final = "<!-- drawn from the code by `make fmt`: begin -->\n"
_END: Final = "<!-- drawn from the code by `make fmt`: end -->\n"


def redrawn(document: str, part: str) -> str:
    """Return the document with its drawn part replaced; raises ValueError when it has no place for one."""
    before, begin, rest = document.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"the lines {_BEGIN.strip()!r} and {_END.strip()!r} are missing")
    return f"{before}{begin}\n{part}\n\n{end}{after}"


def main() -> int:
    """Rewrite the documents; the result is the exit status."""
    for name, draw in DRAWN.items():
        path = ROOT / name
        path.write_text(redrawn(path.read_text(), draw()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
