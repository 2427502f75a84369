"""Sends tasks to Celery and reads their results; prints one line of JSON. Runs in Celery's environment."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import redis

from bench import celery_app

_SECONDS: Final = 300
_WARM_UP: Final = 20


def queue(count: int) -> None:
    """Put tasks in line."""
    for _ in range(count):
        celery_app.noop.delay()


def finished(count: int) -> list[float]:
    """Wait until so many results are there; return when each task was over, in Unix seconds."""
    results = redis.Redis.from_url(os.environ["BENCH_STORED"])
    deadline = time.monotonic() + _SECONDS
    while results.dbsize() < count:
        if time.monotonic() > deadline:
            sys.exit(f"only {results.dbsize()} of {count} tasks were over in {_SECONDS} s")
        time.sleep(0.05)
    keys = list(results.scan_iter(count=1000))
    return [_unix_seconds(json.loads(text)["date_done"]) for text in results.mget(keys)]


def _unix_seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def both(count: int) -> float:
    """Send tasks to a warm worker; return tasks per second from the first sending to the last end."""
    queue(_WARM_UP)
    finished(_WARM_UP)
    began = time.time()
    queue(count)
    return count / (max(finished(count + _WARM_UP)) - began)


def latencies(count: int) -> list[float]:
    """Send tasks one by one to an idle worker; return milliseconds from there to the task's first line."""
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        path = str(Path(folder) / "stamps")
        receiver.bind(path)
        receiver.settimeout(30)
        measured = []
        for _ in range(count + _WARM_UP):
            began = time.time_ns()
            celery_app.stamp.delay(path)
            measured.append((int(receiver.recv(64)) - began) / 1e6)
            time.sleep(0.01)
        return measured[_WARM_UP:]


COMMANDS: Final[dict[str, Callable[[int], Any]]] = {
    "queue": queue,
    "finished": finished,
    "both": both,
    "latencies": latencies,
}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](int(sys.argv[2]))))
