"""A real worker process, for tests that play the server."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

from tests.support.fake_server import KEY
from tests.support.processes import Process

_REPOSITORY: Final = Path(__file__).parents[2]
HEADER: Final = (
    "import os, sys, time, signal, logging, subprocess\nfrom trigger_lite import Ctx, Retry, task\n"
)


def write_tasks(folder: Path, source: str, name: str = "jobs.py") -> Path:
    """Write a task file with the usual imports before `source`; returns its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + dedent(source))
    return path


class WorkerProcess(Process):
    """A worker for the task files of a folder."""

    def __init__(
        self, folder: Path, url: str, *, environment: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        wanted = {"concurrency": 1, "key": KEY, "url": url, "directory": str(folder), **settings}
        super().__init__(
            [sys.executable, "-m", "tests.support.worker_program", json.dumps(wanted)],
            directory=folder,
            environment={"PYTHONPATH": str(_REPOSITORY), **(environment or {})},
        )

    async def line(self, pattern: str) -> re.Match[str]:
        """Wait for a printed line, while the test's own server goes on."""
        return await asyncio.to_thread(self.wait_for_line, pattern)

    async def ended(self) -> int:
        """Wait for the end; returns the exit status."""
        return await asyncio.to_thread(self.wait_for_exit)

    async def stopped(self) -> int:
        """Ask it to stop as an operator would; returns the exit status."""
        self.send(signal.SIGTERM)
        return await self.ended()


async def process_ended(pid: int, seconds: float = 10.0) -> None:
    """Wait until a process that need not be a child of this one has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), seconds)
    finally:
        loop.remove_reader(handle)
        os.close(handle)
