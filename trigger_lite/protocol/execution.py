"""One attempt: what a worker is given and what it answers (worker-protocol 6.1, 6.3)."""

from typing import Any

import msgspec

from trigger_lite.protocol.machines import Machine
from trigger_lite.protocol.metadata import Operation
from trigger_lite.protocol.run_errors import RunError


class AttemptInfo(msgspec.Struct, frozen=True, rename="camel"):
    number: int
    started_at: str


class RunInfo(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The run as its code sees it; times ISO-8601, `max_duration` and `priority` in seconds."""

    id: str
    payload: str
    payload_type: str
    created_at: str
    started_at: str
    tags: list[str] = msgspec.field(default_factory=list)
    is_test: bool = False
    is_replay: bool = False
    idempotency_key: str | None = None
    max_attempts: int | None = None
    version: str | None = None
    metadata: dict[str, Any] | None = None
    max_duration: int | None = None
    priority: float | None = None
    parent_task_run_id: str | None = None
    root_task_run_id: str | None = None
    duration_ms: int = 0


class TaskInfo(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    file_path: str


class QueueInfo(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    name: str


class EnvironmentInfo(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    slug: str
    type: str


class OrganizationInfo(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    slug: str
    name: str


class ProjectInfo(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    ref: str
    slug: str
    name: str


class BatchInfo(msgspec.Struct, frozen=True, rename="camel"):
    id: str


class Execution(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Everything a worker needs to run one attempt."""

    attempt: AttemptInfo
    run: RunInfo
    task: TaskInfo
    queue: QueueInfo
    environment: EnvironmentInfo
    organization: OrganizationInfo
    project: ProjectInfo
    machine: Machine
    batch: BatchInfo | None = None


class Usage(msgspec.Struct, frozen=True, rename="camel"):
    """Wall-clock milliseconds of this attempt, waits excluded."""

    duration_ms: int


class RetryAt(msgspec.Struct, frozen=True, rename="camel"):
    """The worker's own retry decision: when (Unix ms), and after how many milliseconds (AT-18)."""

    timestamp: int
    delay: int


class FlushedMetadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Changes of metadata that were not sent before the attempt ended (AT-10).

    Official workers send `data`, SuperJSON text of the three lists; Python workers the lists themselves.
    """

    data: str | None = None
    data_type: str | None = None
    operations: list[Operation] | None = None
    parent_operations: list[Operation] | None = None
    root_operations: list[Operation] | None = None


class Completion(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How an attempt ended: `ok` with an output, or not `ok` with an error and perhaps a retry.

    `output` is text in the encoding `output_type` names.
    """

    ok: bool
    id: str
    output: str | None = None
    output_type: str | None = None
    error: RunError | None = None
    retry: RetryAt | None = None
    skipped_retrying: bool | None = None
    usage: Usage | None = None
    task_identifier: str | None = None
    flushed_metadata: FlushedMetadata | None = None

    def __post_init__(self) -> None:
        if not self.ok and self.error is None:
            raise ValueError("a failed completion needs an error")
