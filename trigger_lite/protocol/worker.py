"""The WebSocket between a Python worker and the server, `/engine/v1/worker`.

Each WebSocket text frame is a JSON array of the messages below. A worker connects with its
environment key (`Authorization: Bearer …`), says Hello, gets Welcome, and grants credits; the
server spends one credit for each Run it pushes. Messages of a worker that carry a `seq` are
answered by Ack or Refused with that number and are sent again after a reconnect until they are.

    worker                        server
    Hello ───────────────────────▶
          ◀────────────────────── Welcome
    Credits(n) ──────────────────▶
          ◀────────────────────── Run (claimed: PENDING_EXECUTING)
    Start, Logs, Complete ───────▶
          ◀────────────────────── Ack, Ack, Ack

A run that waits says so over HTTP (worker-protocol 6.5), and its worker hears of every step by Moved: to
EXECUTING_WITH_WAITPOINTS, perhaps to QUEUED_EXECUTING, back to EXECUTING with what ended the wait.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from trigger_lite.protocol.execution import Completion, Execution
from trigger_lite.protocol.metadata import Operation
from trigger_lite.protocol.statuses import ExecutionStatus
from trigger_lite.protocol.waitpoints import CompletedWaitpoint

WORKER_PATH: Final = "/engine/v1/worker"
PROTOCOL_VERSION: Final = 1
MAX_FRAME_BYTES: Final = 33_554_432
MAX_LOG_BYTES: Final = 65_536
"""One log line is cut to this many bytes of text by the worker, and again by the server."""

LogLevel = Literal["TRACE", "DEBUG", "INFO", "LOG", "WARN", "ERROR"]
LogSource = Literal["stdout", "stderr", "log", "system"]


class Message(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, tag_field="type", tag=str.lower
):
    """Base of all messages; `type` is the class name in lower case."""


# ---- worker → server ----------------------------------------------------------------------------


class HeldRun(msgspec.Struct, frozen=True, rename="camel"):
    run: str
    snapshot: str


class Hello(Message, frozen=True):
    """First message of a connection. `worker_id` stays the same across reconnects of one process."""

    protocol: int
    worker_id: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
    name: str
    version_id: str
    runs: list[HeldRun] = []


class Credits(Message, frozen=True):
    """The worker is ready to hold this many runs more than granted before."""

    count: int


class Version(Message, frozen=True):
    """The worker now runs this registered version (after a reload); older runs finish on the old one."""

    version_id: str


class Start(Message, frozen=True):
    """User code begins. `snapshot` is the one Run named; not waited for."""

    seq: int
    run: str
    snapshot: str


class Complete(Message, frozen=True):
    """An attempt ended. `snapshot` is the newest the worker knows (`Run.started_snapshot`)."""

    seq: int
    run: str
    snapshot: str
    completion: Completion


class Heartbeat(Message, frozen=True):
    """These runs are alive. Not answered."""

    runs: list[HeldRun]


class LogLine(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One line of output; `at` in Unix milliseconds."""

    run: str
    attempt: int
    at: int
    level: LogLevel
    source: LogSource
    message: str
    attributes: dict[str, Any] | None = None


class Logs(Message, frozen=True):
    seq: int
    lines: list[LogLine]


class Metadata(Message, frozen=True):
    """Changes of a run's metadata since the last such message."""

    seq: int
    run: str
    operations: list[Operation] = []
    parent_operations: list[Operation] = []
    root_operations: list[Operation] = []


class Tags(Message, frozen=True):
    seq: int
    run: str
    tags: list[str]


class Release(Message, frozen=True):
    """Hand back a run that was not started; it returns to its place in the queue."""

    seq: int
    run: str
    snapshot: str


WorkerMessage = Hello | Credits | Version | Start | Complete | Heartbeat | Logs | Metadata | Tags | Release


# ---- server → worker ----------------------------------------------------------------------------


class CurrentRun(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the server knows of a run that Hello named; absent from Welcome when unknown."""

    run: str
    snapshot: str
    execution_status: ExecutionStatus
    attempt: int = 0


class Welcome(Message, frozen=True):
    """Answer to Hello. Runs that Hello named and Welcome does not are to be left silently.

    A run whose newest snapshot is the one the worker names goes on; one in PENDING_CANCEL is cancelled; for
    one that waits, waited, or waits for a slot, a Moved follows when the worker names an older snapshot.
    """

    heartbeat_seconds: float
    runs: list[CurrentRun] = []


class Run(Message, frozen=True):
    """One attempt to make. Start names `snapshot`; everything after it names `started_snapshot`.

    `env` holds extra environment variables of the run.
    """

    snapshot: str
    started_snapshot: str
    execution: Execution
    env: dict[str, str] = {}


class Retry(msgspec.Struct, frozen=True, rename="camel"):
    """RETRY_IMMEDIATELY: make the next attempt in `delay_ms`, by Start with `snapshot`."""

    snapshot: str
    started_snapshot: str
    attempt: int
    delay_ms: int


class Ack(Message, frozen=True):
    """The message is on disk. `attempt_status` answers Complete (AT-08), `retry` with RETRY_IMMEDIATELY."""

    seq: int
    attempt_status: str | None = None
    retry: Retry | None = None


class Refused(Message, frozen=True):
    """The message changed nothing and must not be sent again."""

    seq: int
    error: str


class Cancel(Message, frozen=True):
    """Stop the run: cancel hook, SIGTERM, SIGKILL; then Complete with TASK_RUN_CANCELLED under `snapshot`."""

    run: str
    snapshot: str


class Leave(Message, frozen=True):
    """The worker no longer owns this run: end its process, report nothing."""

    run: str


class Moved(Message, frozen=True):
    """A run of this worker is at another snapshot of the same attempt, because of a wait.

    EXECUTING_WITH_WAITPOINTS: it waits. QUEUED_EXECUTING: the wait is over, a slot is not free yet.
    EXECUTING: go on, with all that was waited for in `waitpoints`. An older one than is known is ignored.

    What is too much for one frame comes in several messages, all but the last of which say `more`: with the
    last one the run is at the snapshot (ST-12).
    """

    run: str
    snapshot: str
    execution_status: ExecutionStatus
    waitpoints: list[CompletedWaitpoint] = []
    more: bool = False


ServerMessage = Welcome | Run | Ack | Refused | Cancel | Leave | Moved
