"""What a worker can run: `POST /api/v1/projects/:ref/background-workers` (worker-protocol 2.3)."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from trigger_lite.protocol.rates import RateConfig
from trigger_lite.protocol.schedules import CatchUp, Overlap, Window

TaskId = Annotated[str, Meta(min_length=1, max_length=256)]


class OutOfMemory(msgspec.Struct, frozen=True, rename="camel"):
    machine: str | None = None


class RetryConfig(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """When an attempt is tried again; times in milliseconds (AT-20)."""

    max_attempts: Annotated[int, Meta(ge=1)] | None = None
    factor: Annotated[float, Meta(gt=0)] | None = None
    min_timeout_in_ms: Annotated[float, Meta(ge=0)] | None = None
    max_timeout_in_ms: Annotated[float, Meta(ge=0)] | None = None
    randomize: bool | None = None
    out_of_memory: OutOfMemory | None = None


class QueueManifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A queue as code describes it: runs at once, runs in line, starts in a time."""

    name: str | None = None
    concurrency_limit: Annotated[int, Meta(ge=0)] | None = None
    max_length: Annotated[int, Meta(ge=0)] | None = None
    rate: RateConfig | None = None
    key_rate: RateConfig | None = None


class MachineManifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    preset: str | None = None
    cpu: float | None = None
    memory: float | None = None


class ScheduleManifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """When a task runs by itself (SC-10).

    `environments` limits it to environments of these types, `expect_within` is in seconds.
    """

    cron: str
    timezone: str = "UTC"
    environments: list[str] | None = None
    window: Window | None = None
    overlap: Overlap = "allow"
    catch_up: CatchUp = "latest"
    expect_within: Annotated[int, Meta(ge=0)] | None = None


class TaskManifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One task of a worker."""

    id: TaskId
    file_path: str = ""
    export_name: str | None = None
    description: str | None = None
    queue: QueueManifest | None = None
    retry: RetryConfig | None = None
    machine: MachineManifest | None = None
    max_duration: float | None = None
    ttl: str | int | None = None
    trigger_source: str | None = None
    schedule: ScheduleManifest | None = None
    payload_schema: Any = None


class WorkerManifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Everything one version of a worker offers; `content_hash` names its sources."""

    content_hash: Annotated[str, Meta(min_length=1, max_length=256)]
    tasks: list[TaskManifest]
    package_version: str = ""
    cli_package_version: str | None = None
    runtime: str | None = None
    runtime_version: str | None = None
    queues: list[QueueManifest] | None = None


class RegisterWorker(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    metadata: WorkerManifest
    local_only: bool = True
    engine: str = "V2"
    supports_lazy_attempts: bool = True


class RegisteredWorker(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    version: str
    content_hash: str
