"""Batches: many triggers announced first, then streamed as NDJSON (management-api 9.1)."""

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trigger_lite.protocol.pages import Pagination
from trigger_lite.protocol.runs import RunResult
from trigger_lite.protocol.tasks import IdempotencyKeyOptions, Key

MAX_ITEMS: Final = 1_000
MAX_ITEMS_IN_ONE_REQUEST: Final = 500
MAX_ITEM_BYTES: Final = 3_145_728
MAX_CREATE_BYTES: Final = 131_072
MAX_ONE_REQUEST_BYTES: Final = 1_000_000
NDJSON: Final = ("application/x-ndjson", "application/ndjson")


class BatchStatus(StrEnum):
    """PENDING: announced, or all its items became runs that go on. PROCESSING: items are still made to runs.

    PARTIAL_FAILED: some items could not become runs; ABORTED: none could, or not all came in time; COMPLETED:
    every run is over, however it ended.
    """

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    PARTIAL_FAILED = "PARTIAL_FAILED"
    ABORTED = "ABORTED"


class CreateBatch(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Phase 1: announce how many items will come: `POST /api/v3/batches`."""

    run_count: int
    task_identifiers: list[str] | None = None
    parent_run_id: str | None = None
    resume_parent_on_completion: bool | None = None
    idempotency_key: Key | None = None
    idempotency_key_options: IdempotencyKeyOptions | None = None


class CreatedBatch(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to CreateBatch; `is_cached` when an idempotency key found it (ID-11)."""

    id: str
    run_count: int
    is_cached: bool
    idempotency_key: str | UnsetType = UNSET


class NamedTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """One trigger of a batch. What is wrong with its payload or options is this item's error alone."""

    task: str
    payload: msgspec.Raw | UnsetType = UNSET
    options: msgspec.Raw | UnsetType = UNSET


class BatchItem(NamedTrigger, frozen=True, kw_only=True):
    """One line of phase 2: `POST /api/v3/batches/:id/items`."""

    index: Annotated[int, Meta(ge=0)]


class TakenItems(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The answer to phase 2. Not `sealed`: send again what is missing, or everything (BA-05).

    `enqueued_count` items of `expected_count` have come so far; both are absent when it is sealed.
    """

    id: str
    items_accepted: int
    items_deduplicated: int
    sealed: bool
    enqueued_count: int | None = None
    expected_count: int | None = None
    run_count: int | None = None


class TriggerBatch(msgspec.Struct, frozen=True, rename="camel"):
    """A whole batch in one request: `POST /api/v2/tasks/batch`, for older clients."""

    items: list[NamedTrigger]
    parent_run_id: str | None = None
    resume_parent_on_completion: bool | None = None


class TriggeredBatch(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to TriggerBatch."""

    id: str
    run_count: int


class ItemError(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Why an item did not become a run (BA-13)."""

    index: int
    task_identifier: str
    error: str
    error_code: str | None = None


class Processing(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How making runs of the items went; `completed_at` once there is no more to make."""

    errors: list[ItemError]
    completed_at: str | None = None


class BatchSummary(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A batch as lists show it; times ISO-8601.

    `received` items came so far, of which `failed` did not become a run; the runs of `finished` are over.
    """

    id: str
    status: str
    created_at: str
    updated_at: str
    run_count: int
    received: int
    failed: int
    finished: int
    idempotency_key: str | None = None
    parent_run_id: str | None = None
    processing_completed_at: str | None = None
    completed_at: str | None = None


class BatchView(BatchSummary, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What `GET /api/v2/batches/:id` answers.

    `runs` are the ids of its runs in the order of their items, filled once all items came (BA-17);
    `cached_indexes` those items that an idempotency key led to an earlier run.
    """

    runs: list[str]
    processing: Processing
    cached_indexes: list[int] = []


class BatchPage(msgspec.Struct, frozen=True, rename="camel"):
    data: list[BatchSummary]
    pagination: Pagination


class BatchResults(msgspec.Struct, frozen=True, rename="camel"):
    """What `GET /api/v1/batches/:id/results` answers: results of the runs that are over, in order (BA-20)."""

    id: str
    items: list[RunResult]
