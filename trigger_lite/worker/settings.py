"""Every setting of a worker."""

import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from trigger_lite.worker.memory import parse_memory

StartMethod = Literal["fork", "spawn"]

CHILDREN_PER_CORE: Final = 2
PARKED_MEMORY: Final = "25%"


def default_concurrency() -> int:
    """Return how many runs a worker makes at a time unless told: two for each core it may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return CHILDREN_PER_CORE * (cores or 1)


def default_start_method() -> StartMethod:
    """Return `fork`, except on macOS, whose system libraries do not survive it."""
    return "spawn" if sys.platform == "darwin" else "fork"


def default_parked_memory() -> int:
    """Return a quarter of the memory of this machine or container, in bytes."""
    return parse_memory(PARKED_MEMORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker needs to know. Times in seconds, sizes in bytes."""

    directory: Path
    """The folder whose task files are imported, with everything below it."""
    url: str
    """The server's address, such as `http://127.0.0.1:3040`."""
    key: str = field(repr=False)
    """The environment's key; never printed."""
    concurrency: int = field(default_factory=default_concurrency)
    """How many runs at a time, each in a process of its own."""
    watch: bool = False
    """Import again when a file changes, and wait for a change when nothing can be imported."""
    name: str = field(default_factory=platform.node)
    """How the dashboard calls this worker."""
    start_method: StartMethod = field(default_factory=default_start_method)
    """`fork` children from a process that has imported the tasks, or `spawn` each one anew."""
    log_limit: int = 10 * 1024 * 1024
    """How much output of one attempt is kept; a line counts as its length and 100 bytes more."""
    unacknowledged_log_limit: int = 8 * 1024 * 1024
    """While more log text than this waits for the server's word, children's output is not read."""
    cancel_grace: float = 5.0
    """How long a cancelled run may go on before SIGTERM."""
    hook_limit: float = 30.0
    """How long hooks may take that hear of a crash or a timeout, in a process of their own."""
    kill_grace: float = 5.0
    """How long a process may go on after SIGTERM before SIGKILL."""
    stop_grace: float = 30.0
    """How long runs may go on after the worker was asked to stop."""
    cancels_at_stop: bool = False
    """Cancel runs that are cut off when this worker stops, as `dev` does, instead of failing the attempt."""
    handback_after: float = 0.25
    """A run fetched ahead that found no free child for this long returns to the queue."""
    idle_child_after: float = 30.0
    """A child that had nothing to do for this long ends, except the last one."""
    poll_interval: float = 0.3
    """How often files are looked at for changes, with `watch`."""
    until_stdin_ends: bool = False
    """Stop, as when asked to, once stdin is closed: whoever started this worker is gone."""
    parked_memory: int = field(default_factory=default_parked_memory)
    """How much the processes of runs that wait may hold; a long wait past it fails (see `parking`)."""
    enforce_memory: bool = False
    """Limit each run's data segment to its machine's memory (Linux). Off, because address space that
    is reserved and never used counts too: some libraries then fail with memory to spare."""

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"concurrency is {self.concurrency}; a worker needs at least 1")
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"{self.url!r} is not a server address; write for example http://127.0.0.1:3040")
