"""From a trigger to the task's first line, on an idle queue with a warm worker."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.celery_side import CelerySide
from bench.figures import Figure, percentile
from bench.http_client import Connection
from bench.installation import Server, serving, warm_worker
from bench.sizes import Sizes

_PAUSE: Final = 0.01
"""Long enough for everything of the run before to be over."""


def measure_latency(sizes: Sizes, folder: Path, celery: CelerySide | None) -> list[Figure]:
    """Return the percentiles in milliseconds; with Celery also its own and the ratio of the medians."""
    ours: list[float] = []
    theirs: list[float] = []
    beside = nullcontext(None) if celery is None else celery.idle_worker()
    with serving(folder) as server, warm_worker(server, children=1), beside as idle:
        for _ in range(sizes.rounds):
            ours += latencies(server, sizes.latency_samples)
            if idle is not None:
                theirs += idle.latencies(sizes.latency_samples)
    figures = [*_percentiles("latency", "Trigger to running code", ours)]
    figures.append(
        Figure("latency.spread", "  p99 over p50", percentile(ours, 0.99) / percentile(ours, 0.5), "×")
    )
    if theirs:
        figures += _percentiles("latency.celery", "  Celery", theirs)
        ratio = percentile(ours, 0.5) / percentile(theirs, 0.5)
        figures.append(Figure("latency.p50.ratio", "  p50 over Celery's", ratio, "×"))
    return figures


def latencies(server: Server, count: int) -> list[float]:
    """Trigger runs one by one; return milliseconds from before the request to the task's first line."""
    measured = []
    with stamps() as (receiver, path):
        target = server.trigger_target("stamp", {"path": path})
        connection = Connection(target.address)
        with connection.socket:
            for _ in range(count):
                began = time.time_ns()
                json.loads(connection.exchange(target.request()))
                measured.append((int(receiver.recv(64)) - began) / 1e6)
                time.sleep(_PAUSE)
    return measured


@contextmanager
def stamps() -> Iterator[tuple[socket.socket, str]]:
    """Open the datagram socket to which tasks send the time; yields it with its path."""
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        path = str(Path(folder) / "stamps")
        receiver.bind(path)
        receiver.settimeout(30)
        yield receiver, path


def _percentiles(name: str, what: str, values: list[float]) -> Iterator[Figure]:
    for label, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        yield Figure(f"{name}.{label}", f"{what}, {label}", percentile(values, share), "ms")
