"""Triggering a task: `POST /api/v1/tasks/:id/trigger` (management-api 9.1)."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

MAX_PAYLOAD_BYTES: Final = 3_145_728
MAX_METADATA_BYTES: Final = 262_144
MAX_OUTPUT_BYTES: Final = 10_485_760
MAX_TAGS: Final = 10
MAX_ATTEMPTS: Final = 250
MAX_QUEUE_NAME: Final = 128
MAX_METADATA_LEVELS: Final = 100
MAX_KEY_BYTES: Final = 2_048
"""What an index of PostgreSQL holds beside a task's id."""
MAX_DEBOUNCE_KEY: Final = 512
MAX_TASK_ID: Final = 256
QUEUE_FULL: Final = "QUEUE_SIZE_LIMIT_EXCEEDED"
"""What a refusal is called when as many runs wait in a queue as may (Q-19)."""
NO_MAX_DURATION: Final = 2_147_483_647
MIN_MAX_DURATION: Final = 5

Tag = Annotated[str, Meta(max_length=128)]
Key = Annotated[str, Meta(max_length=2048)]


class NestedQueue(msgspec.Struct, frozen=True):
    name: str


class QueueOption(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The queue of a run; some clients wrap the object in another (TR-06)."""

    name: str | NestedQueue
    concurrency_limit: int | None = None


class IdempotencyKeyOptions(msgspec.Struct, frozen=True, rename="camel"):
    """The key as the caller wrote it, before it was hashed with its scope; shown, never compared."""

    key: str
    scope: Literal["run", "attempt", "global"]


class DebounceOption(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Triggers of one key become one run while it is delayed (DB); spans are durations such as `5s`.

    Each of them moves the start to `delay` from then, at most to `max_delay` after the first. In `trailing`
    mode the run has the payload of the last trigger, else that of the first.
    """

    key: Annotated[str, Meta(min_length=1, max_length=MAX_DEBOUNCE_KEY)]
    delay: str
    mode: Literal["leading", "trailing"] = "leading"
    max_delay: str | None = None


class TriggerOptions(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Options of one trigger. Times: `delay` and `ttl` as in management-api 9.1, `priority` in seconds."""

    payload_type: str | None = None
    payload_size: int | None = None
    queue: QueueOption | None = None
    concurrency_key: str | int | float | None = None
    delay: str | None = None
    ttl: str | Annotated[int, Meta(ge=0)] | None = None
    idempotency_key: Key | None = None
    idempotency_key_ttl: str | None = msgspec.field(name="idempotencyKeyTTL", default=None)
    idempotency_key_options: IdempotencyKeyOptions | None = None
    tags: Tag | list[Tag] | None = None
    metadata: Any = None
    metadata_type: str | None = None
    max_attempts: Annotated[int, Meta(ge=1)] | None = None
    max_duration: Annotated[float, Meta(ge=0)] | None = None
    machine: str | None = None
    priority: float | None = None
    debounce: DebounceOption | None = None
    test: bool | None = None
    region: str | None = None
    lock_to_version: str | None = None
    parent_run_id: str | None = None
    resume_parent_on_completion: bool | None = None


class TriggerTask(msgspec.Struct, frozen=True, rename="camel"):
    payload: Any | UnsetType = UNSET
    context: Any | UnsetType = UNSET
    options: TriggerOptions = TriggerOptions()


class TriggeredRun(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    is_cached: bool = False


class ReplayRun(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """What a replay changes of the original: everything absent stays as it was (management-api 9.2)."""

    payload: Any | UnsetType = UNSET
    payload_type: str | None = None
    metadata: Any = None
    tags: Tag | list[Tag] | None = None
    queue: str | None = None
    concurrency_key: str | int | float | None = None
    machine: str | None = None
    version: str | None = None
    region: str | None = None
    delay: str | None = None
    ttl: str | Annotated[int, Meta(ge=0)] | None = None
    idempotency_key: Key | None = None
    idempotency_key_ttl: str | None = msgspec.field(name="idempotencyKeyTTL", default=None)
    max_attempts: Annotated[int, Meta(ge=1)] | None = None
    max_duration: Annotated[float, Meta(ge=0)] | None = None
    priority: float | None = None


class RescheduleRun(msgspec.Struct, frozen=True):
    """Start a delayed run at another time: `POST /api/v1/runs/:id/reschedule`. `delay` as in a trigger."""

    delay: str


class ResetKey(msgspec.Struct, frozen=True, rename="camel"):
    """Free an idempotency key of a task: `POST /api/v1/idempotencyKeys/:key/reset` (ID-09)."""

    task_identifier: str


class KeyWasReset(msgspec.Struct, frozen=True):
    """The answer to ResetKey: the key."""

    id: str
