"""A run without a server: for tests, and for a task with a context that is called like a function."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

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

LOCAL_RUN: Final = "run_local"


class LocalChannel:
    """Keeps what an attempt tells: log lines, metadata and tags."""

    def __init__(self) -> None:
        self._canceled = threading.Event()
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.values: dict[str, Any] = {}
        self.names: list[str] = []

    @property
    def canceled(self) -> threading.Event:
        """Never set by itself."""
        return self._canceled

    def log(self, level: str, message: str, attributes: Mapping[str, Any] | None) -> None:
        """Keep a log line."""
        self.lines.append((level, message, dict(attributes or {})))

    def metadata(
        self,
        operations: Sequence[Operation],
        parent_operations: Sequence[Operation],
        root_operations: Sequence[Operation],
    ) -> None:
        """Apply the changes; a local run is its own parent and root, as a run without them is."""
        changes = [*operations, *parent_operations, *root_operations]
        self.values = apply_operations(self.values, changes)

    def tags(self, tags: Sequence[str]) -> None:
        """Keep the tags."""
        self.names.extend(tags)


def local_execution(
    task_id: str, file_path: str, queue: str, *, payload: str, attempt: int, now: str, channel: LocalChannel
) -> Execution:
    """Return what a worker would be given for an attempt of a local run; `now` is ISO-8601."""
    return Execution(
        attempt=AttemptInfo(number=attempt, started_at=now),
        run=RunInfo(
            id=LOCAL_RUN,
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
