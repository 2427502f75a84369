"""A worker process beside the server, started again when it dies."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

SHORTEST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 30.0
STEADY_SECONDS: Final = 30.0
"""A worker that lived this long was healthy: the next wait is short again."""


class WorkerProcess:
    """Supervises `trigger-lite worker DIRECTORY`: restarts it with growing waits, stops it with the server.

    The key travels in the environment, never in the arguments, which other users can see.
    `said` is told what happened, one line each.
    """

    def __init__(
        self,
        directory: Path,
        *,
        url: str,
        key: str,
        options: tuple[str, ...] = (),
        said: Callable[[str], None],
        environment: Mapping[str, str],
    ) -> None:
        command = (sys.executable, "-m", "trigger_lite", "worker", str(directory))
        self._command = (*command, "--until-stdin-ends", *options)
        self._environment = dict(environment) | {"TRIGGER_LITE_URL": url, "TRIGGER_LITE_KEY": key}
        self._said = said
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._supervise())

    @property
    def pid(self) -> int | None:
        """The worker's process id, while it runs."""
        return None if self._process is None else self._process.pid

    async def stop(self, seconds: float) -> None:
        """Ask the worker to finish; after `seconds` it is ended."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            _signal(process.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(seconds):
                    await process.wait()
            except TimeoutError:
                logger.warning("the worker did not stop within %g s and is ended", seconds)
                _signal(process.pid, signal.SIGKILL)
                await process.wait()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def hurry(self) -> None:
        """Ask a worker that is stopping to end its runs at once."""
        if self._process is not None and self._process.returncode is None:
            _signal(self._process.pid, signal.SIGTERM)

    def _is_stopping(self) -> bool:
        return self._stopping

    async def _supervise(self) -> None:
        wait = SHORTEST_WAIT
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            # Its own session, so that a Ctrl-C in the terminal reaches it through us, once. (uvloop knows no
            # process_group.) Its stdin is a pipe that closes when this server dies, however it dies.
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    env=self._environment,
                    stdin=asyncio.subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                how = f"could not be started: {error.strerror}"
            else:
                how = f"ended {_how(await self._process.wait())}"
            if self._is_stopping():
                return
            wait = SHORTEST_WAIT if loop.time() - began > STEADY_SECONDS else wait
            self._said(f"The worker {how}; it is started again in {wait:g} s")
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)


def _how(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended by itself meanwhile
