"""The whole platform as its users have it: `trigger-lite serve` and `worker` as real processes."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support.processes import Process, StartCommand, trigger_lite_command

API_VERSION: Final = {"x-trigger-api-version": "2025-07-16"}
_LONG_POLL_SECONDS: Final = 20


class RealServer:
    """A server on a data folder of its own. `start` may be called again after it ended."""

    def __init__(self, start_command: StartCommand, folder: Path, port: int, **environment: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.url = f"http://127.0.0.1:{port}"
        self.process: Process
        self.environment = environment
        self._start_command = start_command
        self._port = port

    def start(self, *arguments: str | Path, wait: bool = True) -> Process:
        """Start the server, by default until it answers."""
        command = ["serve", *arguments, "--port", str(self._port), "--data", self.data]
        self.process = self._start_command(*command, directory=self.folder, **self.environment)
        if wait:
            self.process.wait_for_line("is serving")
        return self.process

    def start_worker(self, tasks: Path, *options: str, environment: str = "prod", **more: str) -> Process:
        """Start a worker for a folder of tasks, until it is connected."""
        worker = self.begin_worker(tasks, *options, environment=environment, **more)
        worker.wait_for_line("connected")
        return worker

    def begin_worker(self, tasks: Path, *options: str, environment: str = "prod", **more: str) -> Process:
        """Start a worker and wait for nothing."""
        variables = {"TRIGGER_LITE_URL": self.url, "TRIGGER_LITE_KEY": self.key(environment), **more}
        return self._start_command("worker", tasks, *options, directory=self.folder, **variables)

    def key(self, environment: str = "prod") -> str:
        """Return the secret key of an environment."""
        keys: dict[str, str] = json.loads((self.data / "connection.json").read_text())["keys"]
        return keys[environment]

    @contextmanager
    def client(self, environment: str = "prod") -> Iterator[httpx.Client]:
        """A client of one environment; its requests are short but for the long polls."""
        headers = {"authorization": f"Bearer {self.key(environment)}", **API_VERSION}
        # Nothing to verify without TLS, and reading the certificates takes longer than most requests.
        timeout = _LONG_POLL_SECONDS + 10
        with httpx.Client(base_url=self.url, headers=headers, timeout=timeout, verify=False) as client:
            yield client

    def trigger(self, task: str, payload: Any = None, *, environment: str = "prod", **options: Any) -> str:
        """Trigger a task and return the id of its run."""
        with self.client(environment) as client:
            answer = client.post(
                f"/api/v1/tasks/{task}/trigger", json={"payload": payload, "options": options}
            )
            assert answer.status_code == 200, answer.text
            return str(answer.json()["id"])

    def run(self, run_id: str, *, environment: str = "prod") -> dict[str, Any]:
        """Return a run as the API shows it."""
        with self.client(environment) as client:
            answer = client.get(f"/api/v3/runs/{run_id}")
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

    def finished(self, run_id: str, *, seconds: float = 30, environment: str = "prod") -> dict[str, Any]:
        """Wait until a run is over and return it."""
        return self.until(run_id, _is_over, seconds=seconds, environment=environment)

    def reaches(
        self, run_id: str, status: str, *, seconds: float = 30, environment: str = "prod"
    ) -> dict[str, Any]:
        """Wait until a run has a status and return it."""
        return self.until(
            run_id, lambda run: run["status"] == status, seconds=seconds, environment=environment
        )

    def logs(self, run_id: str, *, environment: str = "prod") -> list[dict[str, Any]]:
        """Return all that a run printed."""
        with self.client(environment) as client:
            lines: list[dict[str, Any]] = []
            while True:
                after = lines[-1]["seq"] if lines else 0
                page = client.get(f"/api/v1/runs/{run_id}/logs", params={"after": after, "limit": 1000})
                lines += page.json()["lines"]
                if page.json()["finished"] or not page.json()["lines"]:
                    return lines

    def until(
        self,
        run_id: str,
        is_it: Callable[[dict[str, Any]], bool],
        *,
        seconds: float = 30,
        environment: str = "prod",
    ) -> dict[str, Any]:
        """Wait until a run is as wanted and return it; fails at once when it ended otherwise."""
        deadline = time.monotonic() + seconds
        since = ""
        with self.client(environment) as client:
            while (left := deadline - time.monotonic()) > 0:
                wait: dict[str, float | str] = {"seconds": min(left, _LONG_POLL_SECONDS), "since": since}
                run: dict[str, Any] = client.get(f"/api/v1/runs/{run_id}/wait", params=wait).json()
                if is_it(run):
                    return run
                # A cancelled run changes once more, when its worker confirms.
                assert not _is_over(run) or run["isCancelled"], f"{run_id} ended as {run['status']}: {run}"
                since = run["updatedAt"]
        raise AssertionError(f"{run_id} is still {run['status']} after {seconds:g} s:\n{self.process.output}")


@contextmanager
def running_server(folder: Path, port: int) -> Iterator[RealServer]:
    """A started server that several tests share; whatever is started through it is stopped with it."""
    started: list[Process] = []

    def start(*arguments: str | Path, directory: Path = folder, **environment: str) -> Process:
        command = [*trigger_lite_command(), *arguments]
        started.append(Process(command, directory=directory, environment=environment))
        return started[-1]

    server = RealServer(start, folder, port)
    try:
        server.start()
        yield server
        for process in reversed(started):
            process.stop()
            process.assert_nothing_left()
    finally:
        for process in started:
            process.end_everything()


def _is_over(run: dict[str, Any]) -> bool:
    return bool(run["isCompleted"])
