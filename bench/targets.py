"""The numbers to hold, on a machine with two cores. Where it can be, a number is a ratio within one run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Target:
    """A limit of one figure, in the figure's own unit."""

    limit: float
    kind: Literal["at least", "at most"]

    def is_reached(self, value: float) -> bool:
        return value >= self.limit if self.kind == "at least" else value <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.kind == "at least" else "≤"
        return f"{sign} {self.limit:g}"


def _at_least(limit: float) -> Target:
    return Target(limit, "at least")


def _at_most(limit: float) -> Target:
    return Target(limit, "at most")


TARGETS: Final[Mapping[str, Target]] = {
    "triggers.16.ratio": _at_least(0.3),
    "runs.drained.one.ratio": _at_least(2),
    "runs.both.one.ratio": _at_least(2),
    "runs.drained.many.ratio": _at_least(3),
    "runs.both.many.ratio": _at_least(3),
    "latency.p50.ratio": _at_most(1),
    "latency.spread": _at_most(3),
    "memory.server": _at_most(60),
    "memory.with_worker": _at_most(90),
    "start.first": _at_most(0.8),
    "idle.server": _at_most(0.5),
    "idle.with_worker": _at_most(0.5),
    "import": _at_most(60),
    "growth.trigger.ratio": _at_most(1.2),
    "growth.claim_and_release.ratio": _at_most(1.2),
    "growth.complete.ratio": _at_most(1.2),
    "retention.hold": _at_most(20),
    "standing.memory": _at_most(50),
    "standing.idle": _at_most(0.2),
}
