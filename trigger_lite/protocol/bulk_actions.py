"""Cancelling and replaying many runs at once: `/api/v1/bulk-actions` (management-api 9.2)."""

from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from trigger_lite.protocol.pages import Pagination

MAX_RUN_IDS: Final = 500
MAX_NAME: Final = 255


class BulkStatus(StrEnum):
    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    ABORTED = "ABORTED"


class QueueRef(msgspec.Struct, frozen=True):
    """A queue by the kind it has: a task's own queue is named by the task."""

    type: Literal["task", "custom"]
    name: str


class BulkFilter(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """Which runs are meant, as in a list of runs; `from` and `to` are Unix ms or dates.

    An unknown field is refused: without it more runs would be meant than were.
    """

    status: str | list[str] | None = None
    task_identifier: str | list[str] | None = None
    version: str | list[str] | None = None
    since: str | int | None = msgspec.field(name="from", default=None)
    until: str | int | None = msgspec.field(name="to", default=None)
    period: str | None = None
    bulk_action: str | None = None
    tag: str | list[str] | None = None
    schedule: str | None = None
    is_test: bool | None = None
    batch: str | None = None
    queue: QueueRef | str | list[QueueRef | str] | None = None
    machine: str | list[str] | None = None
    region: str | list[str] | None = None


class CreateBulkAction(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Cancel or replay the runs of a filter, or those named; exactly one of the two."""

    action: Literal["cancel", "replay"]
    filter: BulkFilter | None = None
    run_ids: list[str] | None = None
    name: Annotated[str, Meta(max_length=MAX_NAME)] | None = None
    target_region: str | None = None


class BulkActionId(msgspec.Struct, frozen=True):
    id: str


class BulkCounts(msgspec.Struct, frozen=True):
    """Runs that were meant, that it was done to, and that it could not be done to."""

    total: int
    success: int
    failure: int


class BulkAction(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A bulk action as it is now; `type` is CANCEL or REPLAY, `status` a BulkStatus, times ISO-8601."""

    id: str
    type: str
    status: str
    counts: BulkCounts
    created_at: str
    name: str | None = None
    completed_at: str | None = None


class BulkActionPage(msgspec.Struct, frozen=True):
    data: list[BulkAction]
    pagination: Pagination
