"""What it costs when nothing happens: memory, processor time, the time to start and to import."""

import os
import socket
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.figures import Figure
from bench.http_client import Connection, Target, UnexpectedAnswer
from bench.installation import serving, serving_data, warm_worker
from bench.process_tree import cpu_seconds, memory_mb, tree
from bench.sizes import Sizes

_START_SECONDS: Final = 30


def measure_idle(sizes: Sizes, folder: Path) -> list[Figure]:
    """Return memory (PSS) and processor time of a server alone, and with a worker that has made runs."""
    with serving(folder) as server:
        figures = _idle("server", "Idle server", tree(server.process.pid), sizes)
        with warm_worker(server, children=1) as worker:
            both = tree(server.process.pid) + tree(worker.pid)
            figures += _idle("with_worker", "Idle server and worker", both, sizes)
        return figures


def _idle(name: str, what: str, pids: list[int], sizes: Sizes) -> list[Figure]:
    time.sleep(sizes.settle_seconds)
    memory = memory_mb(pids)
    began = time.perf_counter()
    used = cpu_seconds(pids)
    time.sleep(sizes.idle_seconds)
    share = (cpu_seconds(pids) - used) / (time.perf_counter() - began) * 100
    each = ", ".join(f"{memory_mb([pid]):.0f}" for pid in pids)
    return [
        Figure(f"memory.{name}", f"{what}: memory (PSS)", memory, "MB", each if len(pids) > 1 else ""),
        Figure(f"idle.{name}", f"{what}: processor", share, "%"),
    ]


def measure_start(sizes: Sizes, folder: Path) -> list[Figure]:
    """Return seconds from starting the process to the first healthy answer: on no data, then on that data."""
    first, again = [], []
    for _ in range(sizes.starts):
        with TemporaryDirectory(dir=folder) as name:
            data = Path(name) / "data"
            first.append(_seconds_to_answer(data))
            again.append(_seconds_to_answer(data))
    return [
        Figure("start.first", "Start to first answer, no data yet", statistics.median(first), "s"),
        Figure("start.again", "Start to first answer, later", statistics.median(again), "s"),
    ]


def _seconds_to_answer(data: Path) -> float:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    began = time.perf_counter()
    with serving_data(data, port=port):
        target = Target(f"http://127.0.0.1:{port}", "/healthz", "")
        while not _answers(target):
            assert time.perf_counter() - began < _START_SECONDS, "the server did not start"
            time.sleep(0.002)
        return time.perf_counter() - began


def _answers(target: Target) -> bool:
    try:
        connection = Connection(target.address)
    except ConnectionRefusedError:
        return False
    with connection.socket:
        try:
            connection.exchange(target.request())
        except UnexpectedAnswer:
            return False
        return True


def measure_import(sizes: Sizes, _folder: Path) -> list[Figure]:
    """Return the milliseconds that `import trigger_lite` adds to a bare interpreter, both run by turns."""
    differences = []
    for _ in range(sizes.imports):
        bare = _interpreter_seconds("pass")
        differences.append(_interpreter_seconds("from trigger_lite import task") - bare)
    milliseconds = statistics.median(differences) * 1000
    return [Figure("import", "Import of trigger_lite", milliseconds, "ms")]


def _interpreter_seconds(code: str) -> float:
    began = time.perf_counter()
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", code], dict(os.environ))
    _, status = os.waitpid(child, 0)
    assert status == 0, code
    return time.perf_counter() - began
