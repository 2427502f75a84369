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
    finished_runs: int
    """In the database that has grown."""
    queued_runs: int
    growth_rounds: int
    growth_operations: int
    delayed_runs: int
    """On the server that keeps much that waits."""
    schedules: int
    open_tokens: int
    standing_seconds: float
    retained_runs: int


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
    finished_runs=1_000_000,
    queued_runs=100_000,
    growth_rounds=15,
    growth_operations=300,
    delayed_runs=100_000,
    schedules=10_000,
    open_tokens=10_000,
    standing_seconds=20,
    retained_runs=100_000,
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
    finished_runs=500,
    queued_runs=50,
    growth_rounds=1,
    growth_operations=10,
    delayed_runs=50,
    schedules=20,
    open_tokens=20,
    standing_seconds=0.2,
    retained_runs=300,
)
