"""The life of a run as a picture, from the transition table, so that the two cannot differ."""

from collections.abc import Iterator

from trigger_lite.engine.lifecycle import TRANSITIONS
from trigger_lite.protocol.statuses import ExecutionStatus


def state_diagram() -> str:
    """Return the transition table as a Mermaid state diagram, one arrow per pair of states."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, transition), (target, _) in TRANSITIONS.items():
        arrows.setdefault((_name(state), target.value), []).append(transition.value)
    lines = [f"    {start} --> {end}: {', '.join(why)}" for (start, end), why in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, *_ends(), "```"])


def _name(state: ExecutionStatus | None) -> str:
    return "[*]" if state is None else state.value


def _ends() -> Iterator[str]:
    leaving = {state for state, _ in TRANSITIONS}
    reached = {target for target, _ in TRANSITIONS.values()}
    return (f"    {state.value} --> [*]" for state in sorted(reached - leaving))
