"""How much is measured: enough to trust a figure, or just enough to see that measuring works."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Sizes:
    """Durations in seconds. A round measures every side once; a figure is the median of its rounds."""

    rounds: int
    load_seconds: float
    clients: tuple[int, ...]
    runs: int
    latency_samples: int
    idle_seconds: float
    settle_seconds: float
    """How long a process is left alone before it counts as idle."""
    starts: int
    imports: int


FULL: Final = Sizes(
    rounds=4,
    load_seconds=3,
    clients=(1, 16, 64),
    runs=4_000,
    latency_samples=150,
    idle_seconds=10,
    settle_seconds=3,
    starts=7,
    imports=25,
)
SMALL: Final = Sizes(
    rounds=1,
    load_seconds=0.2,
    clients=(1, 4),
    runs=40,
    latency_samples=5,
    idle_seconds=0.2,
    settle_seconds=0.1,
    starts=1,
    imports=2,
)
