"""A run without a server: for tests, and for a task with a context that is called like a function."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from trigger_lite.protocol.execution import (
    AttemptInfo,
    EnvironmentInfo,
    Execution,
    OrganizationInfo,
    ProjectInfo,
    QueueInfo,
    RunInfo,
    TaskInfo,
)
from trigger_lite.protocol.machines import DEFAULT_MACHINE, PRESETS
from trigger_lite.protocol.metadata import Operation, apply_operations
from trigger_lite.sdk.cancellation import Cancellation
from trigger_lite.sdk.errors import OutsideRun

if TYPE_CHECKING:
    from trigger_lite.protocol.waitpoints import CompletedWaitpoint
    from trigger_lite.sdk.channel import Awaited
    from trigger_lite.sdk.task import Task

LOCAL_RUN: Final = "run_local"


class LocalWorld(Protocol):
    """What the waits of local runs end by, instead of a server."""

    now: float
    """Unix seconds; a wait moves them on."""

    def run_child(self, task: "Task[..., Any]", payload: str) -> "CompletedWaitpoint":
        """Run a task to its end; `payload` is JSON text. Returns how it ended."""

    def make_token(self, key: str | None) -> tuple[str, bool]:
        """Return the id of a token, and whether the idempotency key found it."""

    def complete_token(self, token_id: str, data: str) -> None:
        """Complete a token with JSON text; the first completion counts."""

    def end_of_token(self, token_id: str) -> "CompletedWaitpoint":
        """Return what a token was completed with, or that it timed out."""


class LocalChannel:
    """Keeps what an attempt tells: log lines, metadata and tags. Runs of one test share a `world`."""

    def __init__(self, world: LocalWorld | None = None, parent: "LocalChannel | None" = None) -> None:
        self.world: Final = world
        self._parent = parent
        self._canceled = Cancellation()
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.values: dict[str, Any] = {}
        self.names: list[str] = []

    @property
    def canceled(self) -> Cancellation:
        """Never set by itself."""
        return self._canceled

    @property
    def is_ending(self) -> bool:
        """Never."""
        return False

    def log(self, level: str, message: str, attributes: Mapping[str, Any] | None) -> None:
        """Keep a log line."""
        self.lines.append((level, message, dict(attributes or {})))

    def metadata(
        self,
        operations: Sequence[Operation],
        parent_operations: Sequence[Operation],
        root_operations: Sequence[Operation],
    ) -> None:
        """Apply the changes; a run without a parent is its own parent and root."""
        if self._parent is None:
            operations = [*operations, *parent_operations, *root_operations]
        else:
            self._parent.metadata(parent_operations, [], root_operations)
        self.values = apply_operations(self.values, list(operations))

    def tags(self, tags: Sequence[str]) -> None:
        """Keep the tags."""
        self.names.extend(tags)

    def wait(self, awaited: "Awaited") -> None:
        """Be over at once, in a world that can; raises OutsideRun in none."""
        if self.world is None:
            raise OutsideRun("only a run can wait; this is a function call")
        awaited.pretend(self.world)


def local_execution(
    task_id: str,
    file_path: str,
    queue: str,
    *,
    payload: str,
    attempt: int,
    now: str,
    channel: LocalChannel,
    run_id: str = LOCAL_RUN,
) -> Execution:
    """Return what a worker would be given for an attempt of a local run; `now` is ISO-8601."""
    return Execution(
        attempt=AttemptInfo(number=attempt, started_at=now),
        run=RunInfo(
            id=run_id,
            payload=payload,
            payload_type="application/json",
            created_at=now,
            started_at=now,
            tags=list(channel.names),
            metadata=channel.values,
            is_test=True,
        ),
        task=TaskInfo(id=task_id, file_path=file_path),
        queue=QueueInfo(id="queue_local", name=queue),
        environment=EnvironmentInfo(id="env_local", slug="dev", type="DEVELOPMENT"),
        organization=OrganizationInfo(id="org_local", slug="local", name="local"),
        project=ProjectInfo(id="proj_local", ref="proj_local", slug="local", name="local"),
        machine=PRESETS[DEFAULT_MACHINE],
    )
