"""What a run waits for, and what ended its wait (worker-protocol 4.5, 6.5; management-api 9.6)."""

from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from trigger_lite.protocol.pages import Pagination
from trigger_lite.protocol.statuses import ApiStatus
from trigger_lite.protocol.tasks import Key, Tag

TIMEOUT_CODE: Final = "TRIGGER_WAITPOINT_TIMEOUT"
"""The `code` of the error that a token which nobody completed in time ends with."""
MAX_TOKEN_DATA_BYTES: Final = 3_145_728


class WaitpointKind(StrEnum):
    RUN = "RUN"
    DATETIME = "DATETIME"
    MANUAL = "MANUAL"
    BATCH = "BATCH"


class Named(msgspec.Struct, frozen=True, rename="camel"):
    """Official clients read ids twice, under two names."""

    id: str
    friendly_id: str


class CompletedByRun(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The run whose end completed a waitpoint, and the batch it was waited for in.

    `status` is how it ended; official clients do not know it and leave it aside.
    """

    id: str
    friendly_id: str
    batch: Named | None = None
    status: ApiStatus | None = None


class CompletedWaitpoint(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One thing a run waited for, as it ended. Times ISO-8601; `index` is the place in a batch.

    `output` is text in the encoding `output_type` names; of a run that failed, the JSON of its error.
    """

    id: str
    friendly_id: str
    type: WaitpointKind
    completed_at: str
    output_is_error: bool
    index: int | None = None
    idempotency_key: str | None = None
    completed_by_task_run: CompletedByRun | None = None
    completed_after: str | None = None
    completed_by_batch: Named | None = None
    output: str | None = None
    output_type: str | None = None

    def __post_init__(self) -> None:
        if self.type is WaitpointKind.RUN and self.completed_by_task_run is None:
            raise ValueError("a waitpoint of a run names it")


class WaitFor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Wait until a moment: `POST /engine/v1/runs/:run/wait/duration`. `date` is ISO-8601."""

    date: str
    idempotency_key: Key | None = None
    idempotency_key_ttl: str | None = msgspec.field(name="idempotencyKeyTTL", default=None)


class WaitpointId(msgspec.Struct, frozen=True):
    id: str


class WaitingUntil(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to WaitFor."""

    wait_until: str
    waitpoint: WaitpointId


class CreateToken(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Make a token: `POST /api/v1/waitpoints/tokens`. `timeout` is a duration or an ISO-8601 date."""

    timeout: str | None = None
    idempotency_key: Key | None = None
    idempotency_key_ttl: str | None = msgspec.field(name="idempotencyKeyTTL", default=None)
    tags: Tag | list[Tag] | None = None


class CreatedToken(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to CreateToken; its public token is in the header `x-trigger-jwt`."""

    id: str
    is_cached: bool
    url: str


class CompleteToken(msgspec.Struct, frozen=True):
    """Complete a token: `POST /api/v1/waitpoints/tokens/:id/complete`. `data` is plain JSON."""

    data: Any | UnsetType = UNSET


class TokenView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A token as lists show it; `status` is WAITING, COMPLETED or TIMED_OUT, times ISO-8601."""

    id: str
    url: str
    status: str
    created_at: str
    tags: list[str] = []
    completed_at: str | None = None
    timeout_at: str | None = None
    idempotency_key: str | None = None
    idempotency_key_expires_at: str | None = None


class TokenPage(msgspec.Struct, frozen=True, rename="camel"):
    data: list[TokenView]
    pagination: Pagination


class TokenResult(TokenView, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A token with what it was completed with."""

    output: str | None = None
    output_type: str | None = None
    output_is_error: bool | None = None
