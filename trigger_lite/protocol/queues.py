"""Queues over HTTP (management-api 9.4)."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from trigger_lite.protocol.pages import NumberedPages

QueueKind = Literal["task", "custom"]
QueueAddress = Literal["id", "task", "custom"]
MOST_CONCURRENCY: Final = 100_000


class QueueConcurrency(msgspec.Struct, frozen=True, rename="camel"):
    """Where a limit comes from: the one in force, the code's, and what was set over it, when and by whom.

    None (null) is without a limit, or not overridden.
    """

    current: int | None
    base: int | None
    override: int | None
    overridden_at: str | None
    overridden_by: str | None


class QueueItem(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A queue: how many runs go on, how many wait, and what it may hold.

    `rate` and `key_rate` are written like `10/s`, `max_length` bounds `queued`; `override_ends_at` is when a
    limit that was set goes back by itself.
    """

    id: str
    name: str
    type: QueueKind
    running: int
    queued: int
    paused: bool
    concurrency_limit: int | None
    concurrency: QueueConcurrency
    rate: str | None = None
    key_rate: str | None = None
    max_length: int | None = None
    override_ends_at: str | None = None


class QueuePage(msgspec.Struct, frozen=True):
    data: list[QueueItem]
    pagination: NumberedPages


class PauseQueue(msgspec.Struct, frozen=True):
    action: Literal["pause", "resume"]
    type: QueueAddress = "id"


class OverrideQueue(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A limit for now: runs at once, or a part of the environment's in percent, until a duration or time."""

    type: QueueAddress = "id"
    concurrency_limit: Annotated[int, Meta(ge=0, le=MOST_CONCURRENCY)] | None = None
    percent: float | None = None
    until: str | None = None


class ResetQueue(msgspec.Struct, frozen=True):
    type: QueueAddress = "id"
