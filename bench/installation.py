"""A real server with a folder of its own, and real workers for the tasks that are measured."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.http_client import Connection, Target, call
from tests.support.processes import Process, trigger_lite_command

PROJECT: Final = Path(__file__).with_name("project")
_LONGEST_WAIT: Final = 30


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    process: Process
    url: str
    key: str

    def get(self, path: str) -> Any:
        return call(Target(self.url, path, self.key))

    def trigger_target(self, task: str, payload: object = None) -> Target:
        """Return the request that triggers a task."""
        body = json.dumps({"payload": payload}, separators=(",", ":")).encode()
        return Target(self.url, f"/api/v1/tasks/{task}/trigger", self.key, body)

    def make_run(self, connection: Connection) -> None:
        """Trigger a run that does nothing and wait until it is over."""
        run = json.loads(connection.exchange(self.trigger_target("noop").request()))["id"]
        path = f"/api/v1/runs/{run}/wait?seconds={_LONGEST_WAIT}"
        found = json.loads(connection.exchange(Target(self.url, path, self.key).request()))
        assert found["isSuccess"], found


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Start a server on a free port with new data below `folder`; stop it in the end."""
    with TemporaryDirectory(dir=folder) as name:
        data = Path(name) / "data"
        with serving_data(data) as process:
            process.wait_for_line("serving at ", seconds=60)
            connection = json.loads((data / "connection.json").read_text())
            yield Server(process, connection["url"], connection["keys"]["prod"])


@contextmanager
def serving_data(data: Path, *, port: int = 0) -> Iterator[Process]:
    """Start a server on this data folder, without waiting for it; stop it in the end."""
    arguments: list[str | Path] = ["serve", "--port", str(port), "--data", data, "--json-logs"]
    with Process([*trigger_lite_command(), *arguments], directory=data.parent) as process:
        yield process
        process.stop(seconds=30)


@contextmanager
def working(server: Server, *, children: int) -> Iterator[Process]:
    """Start a worker for the measured tasks, without waiting for it; stop it in the end."""
    arguments: list[str | Path] = ["worker", PROJECT, "--quiet", "--concurrency", str(children)]
    target = {"TRIGGER_LITE_URL": server.url, "TRIGGER_LITE_KEY": server.key}
    with Process([*trigger_lite_command(), *arguments], directory=PROJECT, environment=target) as process:
        yield process
        process.stop(seconds=60)


@contextmanager
def warm_worker(server: Server, *, children: int) -> Iterator[Process]:
    """Start a worker and have every child of it make some runs."""
    with working(server, children=children) as process:
        connections = [Connection(Target(server.url, "/", server.key).address) for _ in range(children)]
        for connection in connections * 3:
            server.make_run(connection)
        for connection in connections:
            connection.socket.close()
        yield process


def wait_until_over(server: Server, *, seconds: float = 300) -> None:
    """Return when no run of the environment is waiting or running."""
    unfinished = "filter[status]=QUEUED,DEQUEUED,EXECUTING,PENDING_VERSION&page[size]=1"
    deadline = time.monotonic() + seconds
    while server.get(f"/api/v1/runs?{unfinished}")["data"]:
        assert time.monotonic() < deadline, f"runs were not over after {seconds:g} s"
        time.sleep(0.05)


def finish_times(server: Server, count: int) -> list[float]:
    """Return when each of the newest `count` runs succeeded, in Unix seconds; none may have failed."""
    times: list[float] = []
    after = ""
    while len(times) < count:
        page = server.get(f"/api/v1/runs?page[size]=100{after}")
        for run in page["data"]:
            assert run["isSuccess"], run
            times.append(datetime.fromisoformat(run["finishedAt"]).timestamp())
        after = f"&page[after]={page['pagination'].get('next')}"
    return times[:count]


def cores() -> int:
    return len(os.sched_getaffinity(0))
