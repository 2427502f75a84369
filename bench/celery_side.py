"""Celery with Redis beside us: installed into an environment of its own, started, measured, stopped.

Redis keeps everything in memory and Celery acknowledges early: what it is asked is less than what we do.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.support.processes import Process

_ROOT: Final = Path(__file__).parents[1]
_PACKAGES: Final = ("celery[redis]", "packaging")


class CeleryUnavailable(Exception):
    """Celery or Redis could not be had; the message says why."""


@dataclass(frozen=True)
class CelerySide:
    """An environment with Celery, and the Redis program. Every measure starts a Redis of its own."""

    python: Path
    redis: str
    folder: Path

    def drained_rate(self, children: int | None, runs: int) -> float:
        """Queue tasks, then start a worker: tasks per second between the first end and the last."""
        with self._redis() as store:
            self._drive(store, "queue", runs)
            with self._worker(store, children):
                times = self._drive(store, "finished", runs)
            return float((len(times) - 1) / (max(times) - min(times)))

    def both_rate(self, children: int | None, runs: int) -> float:
        """Send tasks while a warm worker makes them: tasks per second from first sending to last end."""
        with self._redis() as store, self._worker(store, children):
            return float(self._drive(store, "both", runs))

    @contextmanager
    def idle_worker(self) -> Iterator["IdleCelery"]:
        """Start a worker with one child, for latencies."""
        with self._redis() as store, self._worker(store, 1):
            yield IdleCelery(self, store)

    def _drive(self, store: "_Redis", command: str, count: int) -> Any:
        """Run one command of `celery_driver.py` and return what it printed."""
        environment = {**os.environ, **store.environment()}
        finished = subprocess.run(
            [self.python, "-m", "bench.celery_driver", command, str(count)],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout)

    @contextmanager
    def _redis(self) -> Iterator["_Redis"]:
        with TemporaryDirectory(dir=self.folder) as name, socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
            free.close()
            options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
            with Process([self.redis, *options], directory=Path(name)) as process:
                process.wait_for_line("Ready to accept connections")
                yield _Redis(f"redis://127.0.0.1:{port}/0", f"redis://127.0.0.1:{port}/1")
                process.stop()

    @contextmanager
    def _worker(self, store: "_Redis", children: int | None) -> Iterator[None]:
        crew = [] if children is None else ["-c", str(children)]
        worker = ["-m", "celery", "-A", "bench.celery_app", "worker", "--loglevel", "WARNING"]
        command: list[str | Path] = [self.python, *worker, *crew]
        # Celery asks why it runs as root, where there may be nobody else.
        environment = {**store.environment(), "BENCH_RESULTS": store.results, "C_FORCE_ROOT": "1"}
        with Process(command, directory=self.folder, environment=environment) as process:
            yield
            process.stop(seconds=60)


@dataclass(frozen=True)
class _Redis:
    """Where tasks and results are kept."""

    tasks: str
    results: str

    def environment(self) -> dict[str, str]:
        """Return what a program needs to find it, and this package."""
        return {"BENCH_REDIS": self.tasks, "BENCH_STORED": self.results, "PYTHONPATH": str(_ROOT)}


@dataclass(frozen=True)
class IdleCelery:
    """A worker with nothing to do."""

    side: CelerySide
    store: _Redis

    def latencies(self, count: int) -> list[float]:
        """Return milliseconds from sending a task to its first line, for each of `count`."""
        return [float(ms) for ms in self.side._drive(self.store, "latencies", count)]


@contextmanager
def celery_side(folder: Path, environment: Path | None) -> Iterator[CelerySide]:
    """Make what is missing: Celery in `environment` (else in a temporary one), and Debian's Redis.

    Raises CeleryUnavailable.
    """
    with TemporaryDirectory(dir=folder) as temporary:
        home = environment or Path(temporary) / "celery"
        python = home.absolute() / "bin" / "python"
        if not python.exists():
            _run([sys.executable, "-m", "venv", home])
            _run([python, "-m", "pip", "install", "--quiet", *_PACKAGES])
        yield CelerySide(python, _find_redis(), folder)


def _find_redis() -> str:
    if shutil.which("redis-server") is None and shutil.which("apt-get") and os.geteuid() == 0:
        _run(["apt-get", "install", "--yes", "--no-install-recommends", "redis-server"])
    found = shutil.which("redis-server")
    if found is None:
        raise CeleryUnavailable("Redis is missing: apt-get install redis-server")
    return found


def _run(command: list[str | Path]) -> None:
    finished = subprocess.run(command, stdout=sys.stderr, stdin=subprocess.DEVNULL)
    if finished.returncode != 0:
        raise CeleryUnavailable(f"{' '.join(map(str, command))} ended with status {finished.returncode}")
