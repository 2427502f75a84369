"""Durable triggers over HTTP, beside a bare endpoint that decodes and answers the same body."""

import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Figure, median_ratio, spread
from bench.http_client import Target
from bench.installation import Server, serving, warm_worker
from bench.load import request_rate
from bench.sizes import Sizes
from tests.support.processes import Process

_PAYLOAD = {"order": 4711, "customer": "a@example.com", "lines": [{"sku": "A-1", "count": 2}] * 3}


def measure_triggers(sizes: Sizes, folder: Path) -> list[Figure]:
    """Return rates and ratios for each number of clients."""
    with serving(folder) as server, bare_endpoint(folder) as bare_url:
        # So that the task is known; nothing runs while triggers are counted.
        with warm_worker(server, children=1):
            pass
        figures: list[Figure] = []
        for clients in sizes.clients:
            figures += _beside_bare(server, bare_url, clients, sizes=sizes, folder=folder)
        return figures


def _beside_bare(
    server: Server, bare_url: str, clients: int, *, sizes: Sizes, folder: Path
) -> Iterator[Figure]:
    target = server.trigger_target("noop", _PAYLOAD)
    bare = Target(bare_url, target.path, target.key, target.body)
    ours, theirs = [], []
    for _ in range(sizes.rounds):
        theirs.append(request_rate(bare, clients=clients, seconds=sizes.load_seconds, folder=folder))
        ours.append(request_rate(target, clients=clients, seconds=sizes.load_seconds, folder=folder))
    name, whose = f"triggers.{clients}", f"{clients} client{'s' * (clients > 1)}"
    yield Figure(name, f"Triggers on disk, {whose}", statistics.median(ours), "/s", spread(ours))
    yield Figure(f"{name}.bare", "  a bare endpoint", statistics.median(theirs), "/s", spread(theirs))
    yield Figure(f"{name}.ratio", "  share of the bare endpoint", median_ratio(ours, theirs), "×")


@contextmanager
def bare_endpoint(folder: Path) -> Iterator[str]:
    """Serve the yardstick; yields its URL."""
    root = Path(__file__).parents[1]
    environment = {"PYTHONPATH": str(root)}
    with Process([sys.executable, "-m", "bench.bare"], directory=folder, environment=environment) as process:
        port = process.wait_for_line(r"serving on port (\d+)")[1]
        yield f"http://127.0.0.1:{port}"
        process.stop()
