"""The same tasks for Celery. Runs in an environment of its own, which knows nothing of this project."""

import os
import socket
import time
from typing import Final

from celery import Celery

# Whoever only sends does not listen for results: that would cost Celery a subscription a task.
app: Final = Celery("bench", broker=os.environ["BENCH_REDIS"], backend=os.environ.get("BENCH_RESULTS"))
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)


def _noop() -> None:
    return None


def _stamp(path: str) -> None:
    now = time.time_ns()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(str(now).encode(), path)


noop: Final = app.task(name="noop")(_noop)
stamp: Final = app.task(name="stamp")(_stamp)
