"""Draw the life of a run in ARCHITECTURE.md from the transition table, so that the two cannot differ."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from trigger_lite.engine.lifecycle import TRANSITIONS
from trigger_lite.protocol.statuses import ExecutionStatus

DOCUMENT: Final = Path(__file__).parents[1] / "ARCHITECTURE.md"
_BEGIN: Final = "<!-- state diagram: begin, drawn by `make fmt` -->\n"
_END: Final = "<!-- state diagram: end -->\n"


def diagram() -> str:
    """Return the transition table as a Mermaid state diagram, one arrow per pair of states."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, transition), (target, _) in TRANSITIONS.items():
        arrows.setdefault((_name(state), target.value), []).append(transition.value)
    lines = [f"    {start} --> {end}: {', '.join(why)}" for (start, end), why in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, *_ends(), "```", ""])


def redrawn(document: str) -> str:
    """Return the document with its diagram drawn anew; raises ValueError when it has no place for one."""
    before, begin, rest = document.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(
            f"no lines {_BEGIN.strip()!r} and {_END.strip()!r} to draw the state diagram between"
        )
    return f"{before}{begin}{diagram()}{end}{after}"


def _name(state: ExecutionStatus | None) -> str:
    return "[*]" if state is None else state.value


def _ends() -> Iterator[str]:
    leaving = {state for state, _ in TRANSITIONS}
    reached = {target for target, _ in TRANSITIONS.values()}
    return (f"    {state.value} --> [*]" for state in sorted(reached - leaving))


def main() -> int:
    """Rewrite ARCHITECTURE.md; the result is the exit status."""
    DOCUMENT.write_text(redrawn(DOCUMENT.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
