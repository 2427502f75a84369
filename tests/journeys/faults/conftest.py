"""A real server, real workers, and a folder of tasks for them."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.processes import StartCommand
from tests.support.real_server import RealServer

WriteTasks = Callable[..., Path]
_IMPORTS = """\
import os, signal, sys, threading, time
from pathlib import Path
from trigger_lite import Ctx, Retry, task
"""


@pytest.fixture
def server(start_command: StartCommand, tmp_path: Path, free_port: int) -> RealServer:
    """A server that is not started yet."""
    return RealServer(start_command, tmp_path, free_port)


@pytest.fixture
def write_tasks(tmp_path: Path) -> WriteTasks:
    """Write a task file with the usual imports; returns the folder it lies in."""

    def write(source: str, name: str = "tasks.py") -> Path:
        folder = tmp_path / "jobs"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(_IMPORTS + dedent(source))
        return folder

    return write
