"""What was measured: figures, each beside its target, and the report they make."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.targets import TARGETS, Target


@dataclass(frozen=True)
class Figure:
    """One measured value. `name` is its key in JSON and in the table of targets."""

    name: str
    what: str
    value: float
    unit: str
    detail: str = ""

    @property
    def target(self) -> Target | None:
        return TARGETS.get(self.name)

    @property
    def is_reached(self) -> bool | None:
        """Whether the target is reached; None when the figure has none."""
        return None if self.target is None else self.target.is_reached(self.value)


@dataclass(frozen=True)
class Report:
    """All figures of one run of the benchmark, and where they were taken."""

    machine: dict[str, str]
    figures: list[Figure] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {"machine": self.machine, "figures": [_plain(figure) for figure in self.figures]}


def _plain(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.name,
        "what": figure.what,
        "value": figure.value,
        "unit": figure.unit,
        "detail": figure.detail,
        "target": None if figure.target is None else str(figure.target),
        "reached": figure.is_reached,
    }


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the rounds' ratios: what slowed a whole round on a busy machine cancels out."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def spread(values: Sequence[float]) -> str:
    """Return the lowest and highest of the rounds' values."""
    return f"{min(values):,.0f} to {max(values):,.0f}" if len(values) > 1 else ""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of them does not exceed, such as 0.95 for p95."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
