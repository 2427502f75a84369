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
_LONGEST_WAIT: Final = 300
_WARM_UP: Final = 3


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

    def connect(self) -> Connection:
        return Connection(Target(self.url, "/", self.key).address)

    def trigger(self, connection: Connection) -> str:
        """Trigger a run that does nothing; return its id."""
        return str(json.loads(connection.exchange(self.trigger_target("noop").request()))["id"])

    def wait_for(self, connection: Connection, run: str) -> dict[str, Any]:
        """Wait until a run is over, and return it; it must have succeeded."""
        deadline = time.monotonic() + _LONGEST_WAIT
        request = Target(self.url, f"/api/v1/runs/{run}/wait?seconds=30", self.key).request()
        found: dict[str, Any] = {"isCompleted": False}
        while not found["isCompleted"]:
            assert time.monotonic() < deadline, f"{run} was not over after {_LONGEST_WAIT} s"
            found = json.loads(connection.exchange(request))
        assert found["isSuccess"], found
        return found


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
        connection = server.connect()
        with connection.socket:
            for _ in range(_WARM_UP):
                together = [server.trigger(connection) for _ in range(children)]
                for run in together:
                    server.wait_for(connection, run)
        yield process


def finish_times(server: Server, count: int) -> list[float]:
    """Return when each of the newest `count` runs succeeded, in Unix seconds; none may have failed."""
    times: list[float] = []
    after = ""
    while len(times) < count:
        page = server.get(f"/api/v1/runs?page[size]=100{after}")
        times += [_finish_time(server, run) for run in page["data"]]
        after = f"&page[after]={page['pagination'].get('next')}"
    return times[:count]


def _finish_time(server: Server, run: dict[str, Any]) -> float:
    if not run["isCompleted"]:  # the last to start is not the last to end
        connection = server.connect()
        with connection.socket:
            run = server.wait_for(connection, run["id"])
    assert run["isSuccess"], run
    return datetime.fromisoformat(run["finishedAt"]).timestamp()


def cores() -> int:
    return len(os.sched_getaffinity(0))
