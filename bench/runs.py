"""Runs that do nothing, end to end: waiting ones drained by a worker, and triggered while they run."""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bench.celery_side import CelerySide
from bench.figures import Figure, median_ratio, spread
from bench.http_client import send_many
from bench.installation import (
    cores,
    finish_times,
    serving,
    warm_worker,
    working,
)
from bench.sizes import Sizes

_CLIENTS: Final = 16


def measure_runs(sizes: Sizes, folder: Path, celery: CelerySide | None) -> list[Figure]:
    """Return rates with one child and with two for each core; with Celery also its rates and the ratios."""
    figures = []
    for way, (what, ours, theirs) in _WAYS.items():
        for crew, children in (("one", 1), ("many", 2 * cores())):
            rates, rivals = [], []
            for _ in range(sizes.rounds):
                rates.append(ours(folder, children, sizes.runs))
                if celery is not None:
                    rivals.append(theirs(celery, 1 if crew == "one" else None, sizes.runs))
            name = f"runs.{way}.{crew}"
            label = f"{what}, {children} child{'ren' * (children > 1)}"
            figures.append(Figure(name, label, statistics.median(rates), "/s", spread(rates)))
            if rivals:
                figures += _rival_figures(name, rates, rivals)
    return figures


def _rival_figures(name: str, rates: list[float], rivals: list[float]) -> list[Figure]:
    crew = "-c 1" if name.endswith("one") else "default"
    return [
        Figure(f"{name}.celery", f"  Celery {crew}", statistics.median(rivals), "/s", spread(rivals)),
        Figure(f"{name}.ratio", "  times Celery", median_ratio(rates, rivals), "×"),
    ]


def drained_rate(folder: Path, children: int, runs: int) -> float:
    """Queue runs, then connect a worker: runs per second between the first that is over and the last."""
    with serving(folder) as server:
        with warm_worker(server, children=1):
            pass  # so that the task is known
        send_many(server.trigger_target("noop"), clients=_CLIENTS, count=runs - 1)
        connection = server.connect()
        with connection.socket:
            last = server.trigger(connection)
            with working(server, children=children):
                server.wait_for(connection, last)
        return rate_between(finish_times(server, runs))


def both_rate(folder: Path, children: int, runs: int) -> float:
    """Trigger runs while a warm worker makes them: runs per second from the first trigger to the last end."""
    with serving(folder) as server, warm_worker(server, children=children):
        connection = server.connect()
        with connection.socket:
            began = time.time()
            send_many(server.trigger_target("noop"), clients=_CLIENTS, count=runs - 1)
            server.wait_for(connection, server.trigger(connection))
        return runs / (max(finish_times(server, runs)) - began)


def rate_between(times: list[float]) -> float:
    """Return how many a second ended between the first and the last end."""
    # Ends are known to the millisecond; a handful may share one.
    return (len(times) - 1) / max(max(times) - min(times), 0.001)


_Ours = Callable[[Path, int, int], float]
_Theirs = Callable[[CelerySide, int | None, int], float]
_WAYS: Final[Mapping[str, tuple[str, _Ours, _Theirs]]] = {
    "drained": ("Waiting runs executed", drained_rate, CelerySide.drained_rate),
    "both": ("Runs triggered and executed", both_rate, CelerySide.both_rate),
}
