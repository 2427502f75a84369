"""Runs as the management API shows them (management-api 9.2)."""

from typing import Any

import msgspec

from trigger_lite.protocol.execution import Usage
from trigger_lite.protocol.pages import Pagination
from trigger_lite.protocol.run_errors import ApiError, RunError
from trigger_lite.protocol.schedules import RunSchedule
from trigger_lite.protocol.waiting import WaitingFor


class RunSummary(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The fields every shape of a run shares; times ISO-8601."""

    id: str
    task_identifier: str
    status: str
    is_queued: bool
    is_executing: bool
    is_waiting: bool
    is_completed: bool
    is_success: bool
    is_failed: bool
    is_cancelled: bool
    is_test: bool
    created_at: str
    updated_at: str
    tags: list[str]
    cost_in_cents: float
    base_cost_in_cents: float
    duration_ms: int
    depth: int
    trigger_function: str
    started_at: str | None = None
    finished_at: str | None = None
    delayed_until: str | None = None
    expired_at: str | None = None
    attempt_count: int | None = None
    version: str | None = None
    idempotency_key: str | None = None
    ttl: str | None = None
    batch_id: str | None = None
    metadata: dict[str, Any] | None = None
    env: "EnvironmentRef | None" = None


class EnvironmentRef(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    name: str


class RelatedRuns(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    root: RunSummary | None = None
    parent: RunSummary | None = None
    children: list[RunSummary] | None = None


class RunDetail(RunSummary, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What `GET /api/v3/runs/:id` answers."""

    related_runs: RelatedRuns
    attempts: list[Any]
    payload: Any = None
    output: Any = None
    error: ApiError | None = None
    schedule: RunSchedule | None = None
    waiting_for: WaitingFor | None = None


class RunPage(msgspec.Struct, frozen=True, rename="camel"):
    data: list[RunSummary]
    pagination: Pagination


class RunResult(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What `GET /api/v1/runs/:id/result` answers for a finished run; `output` is a raw packet."""

    ok: bool
    id: str
    task_identifier: str
    output: str | None = None
    output_type: str | None = None
    error: RunError | None = None
    usage: Usage | None = None
