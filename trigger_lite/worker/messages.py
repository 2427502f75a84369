"""What the processes of one worker say to each other.

parent ── Prepare, Fork, Signal, Retire ──▶ template    (one per version of the user's code)
parent ◀─ Importing, Index, Forked, Exited, NotForked ── template
parent ── Begin, Parked, Resolved ──▶ child             (one run at a time)
parent ◀─ Said, MetadataChanged, TagsAdded, Park, Unpark, Finished, Told ── child
"""

import signal
from typing import Any, Final

import msgspec

from trigger_lite.protocol.execution import Completion, Execution
from trigger_lite.protocol.manifest import TaskManifest
from trigger_lite.protocol.metadata import Operation
from trigger_lite.protocol.run_errors import RunError
from trigger_lite.protocol.waitpoints import CompletedWaitpoint
from trigger_lite.protocol.worker import LogLevel
from trigger_lite.worker.events import DuplicateTask, ImportFailed
from trigger_lite.worker.settings import StartMethod

CANCEL_SIGNAL: Final = signal.SIGRTMIN + 7 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
"""Tells a child that its run was cancelled. One that programs do not use, where there are such."""


class Packet(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Base of all messages between processes."""


class Prepare(Packet, frozen=True):
    """Import the task files of `directory`. User code finds `url` and `key` in its environment."""

    directory: str
    url: str
    key: str
    start_method: StartMethod
    enforce_memory: bool


class Fork(Packet, frozen=True):
    """Make a child; control socket, stdout, stderr and lifeline come as descriptors."""

    child: int


class Signal(Packet, frozen=True):
    """Send a signal to a child, or with `group` to it and all it started."""

    child: int
    signal: int
    group: bool


class Retire(Packet, frozen=True):
    """Make no more children, and end after the last."""


ToTemplate = Prepare | Fork | Signal | Retire


class Importing(Packet, frozen=True):
    """The next file is being imported; the last of these names the one that hangs or kills."""

    file: str


class Index(Packet, frozen=True):
    """Everything the files define, the project's defaults applied.

    `content_hash` names all that a change would make another version of. `problem` says in one line
    why nothing was imported. `root`, `ignore`, `dirs` and `fingerprint` are for whoever watches the files.
    """

    tasks: list[TaskManifest] = []
    failures: list[ImportFailed] = []
    duplicates: list[DuplicateTask] = []
    content_hash: str = ""
    root: str = ""
    ignore: list[str] = []
    dirs: list[str] = []
    fingerprint: frozenset[tuple[str, int, int]] = frozenset()
    problem: str | None = None


class Forked(Packet, frozen=True):
    """A child lives."""

    child: int
    pid: int


class Exited(Packet, frozen=True):
    """A child ended; `code` is its exit code, or minus the signal that ended it."""

    child: int
    code: int


class NotForked(Packet, frozen=True):
    """The system would not give another process."""

    child: int
    reason: str


FromTemplate = Importing | Index | Forked | Exited | NotForked


class Begin(Packet, frozen=True):
    """Make one attempt with these environment variables on top.

    With `failure` it was the last one, and failed with that: only tell the hooks.
    """

    execution: Execution
    env: dict[str, str]
    failure: RunError | None = None


class Parked(Packet, frozen=True):
    """The answer to Park: the run may ask the server to let it wait, or why not."""

    problem: str | None


class Resolved(Packet, frozen=True):
    """These waitpoints ended the run's wait; it may be one that its code has given up."""

    waitpoints: list[CompletedWaitpoint]


ToChild = Begin | Parked | Resolved


class Said(Packet, frozen=True):
    """One structured log line; `at` in Unix milliseconds."""

    level: LogLevel
    at: int
    message: str
    attributes: dict[str, Any] | None


class MetadataChanged(Packet, frozen=True):
    """Changes of the metadata of the run, its parent and its root."""

    operations: list[Operation]
    parent_operations: list[Operation]
    root_operations: list[Operation]


class TagsAdded(Packet, frozen=True):
    """Tags to add to the run."""

    tags: list[str]


class Park(Packet, frozen=True):
    """The run's code asks to wait, `longest` seconds at most if that is known, and holds `memory` bytes."""

    longest: float | None
    memory: int


class Unpark(Packet, frozen=True):
    """The run's code goes on, whether or not its wait is over."""


class Finished(Packet, frozen=True):
    """The attempt ended, and all it printed through Python was flushed."""

    completion: Completion


class Told(Packet, frozen=True):
    """The hooks know of the failure."""


FromChild = Said | MetadataChanged | TagsAdded | Park | Unpark | Finished | Told
