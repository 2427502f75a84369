"""A server with a worker for tasks of all kinds, and commands run against it as a user would."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from tests.support.processes import Process, trigger_lite_command
from tests.support.source import ROOT

TASKS: Final = """\
import time

from trigger_lite import Retry, task


@task
def greet(name: str) -> str:
    print("greeting", name)
    return f"Hello, {name}!"


@task(retry=Retry(1))
def broken() -> None:
    raise ValueError("no such picture")


@task
def patient(seconds: float) -> str:
    end = time.monotonic() + seconds
    print("begun", flush=True)
    while time.monotonic() < end:
        time.sleep(0.02)
    return "waited"
"""


class LocalServer(msgspec.Struct, frozen=True):
    """What a server leaves for programs on its machine."""

    url: str
    keys: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and the lines it printed on stdout and stderr."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)


def run_to_end(arguments: list[str | Path], *, directory: Path, environment: dict[str, str]) -> Outcome:
    """Run one command to its end."""
    command = [*trigger_lite_command(), *arguments]
    with Process(command, directory=directory, environment=environment) as process:
        code = process.wait_for_exit()
        return Outcome(code, process.lines)


@dataclass(frozen=True)
class Served:
    """A server that runs, with its worker, in a folder of its own."""

    folder: Path
    process: Process

    @property
    def local(self) -> LocalServer:
        """Its address and keys."""
        path = self.folder / "trigger-lite-data/connection.json"
        return msgspec.json.decode(path.read_bytes(), type=LocalServer)

    def start(self, *arguments: str) -> Process:
        """Start a command in the server's folder."""
        return Process([*trigger_lite_command(), *arguments], directory=self.folder)

    def run(self, *arguments: str) -> Outcome:
        """Run a command in the server's folder to its end."""
        return run_to_end([*arguments], directory=self.folder, environment={})

    def run_json(self, *arguments: str) -> dict[str, object]:
        """Return what a command with --json printed."""
        loaded: dict[str, object] = json.loads(self.run(*arguments, "--json").text)
        return loaded


def prepare_jobs(folder: Path) -> None:
    """Write the tasks that the server's own worker offers."""
    (folder / "jobs").mkdir()
    (folder / "jobs/tasks.py").write_text(TASKS)
    (folder / "jobs/flaky.py").write_text((ROOT / "examples/flaky.py").read_text())
