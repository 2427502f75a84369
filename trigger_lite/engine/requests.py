"""Turns the body of a trigger into a checked request: every rule that needs no database (TR)."""

import re
from typing import Any, Final

import msgspec

from trigger_lite.protocol.durations import parse_duration_ms, parse_key_ttl_ms
from trigger_lite.protocol.errors import BadRequest, TooLarge, Unprocessable
from trigger_lite.protocol.machines import DEFAULT_MACHINE, PRESETS
from trigger_lite.protocol.tasks import (
    MAX_ATTEMPTS,
    MAX_KEY_BYTES,
    MAX_METADATA_BYTES,
    MAX_METADATA_LEVELS,
    MAX_PAYLOAD_BYTES,
    MAX_QUEUE_NAME,
    MAX_TAGS,
    MAX_TASK_ID,
    MIN_MAX_DURATION,
    NO_MAX_DURATION,
    DebounceOption,
    NestedQueue,
    QueueOption,
    TriggerOptions,
    TriggerTask,
)
from trigger_lite.protocol.times import LAST_DATE_MS, parse_iso_ms

DEFAULT_KEY_LIFE_MS: Final = 30 * 86_400_000
MAX_INTEGER: Final = 2_147_483_647
"""What an INTEGER column holds on every database."""
_MAX_TYPE: Final = 256
_LONGEST_KEY_LIFE_MS: Final = 100 * 365 * 86_400_000
_LONGEST_SPAN_MS: Final = 100 * 365 * 86_400_000
# An escaped null byte of JSON text; the backslashes before it come in pairs, or the first belongs to them.
_ESCAPED_NULL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_NOT_IN_QUEUE_NAMES: Final = re.compile(r"[^A-Za-z0-9_/-]")


class Debounce(msgspec.Struct, frozen=True):
    """Which triggers become one run, and by how much each moves its start (DB). Spans in ms.

    `max_ms` bounds the start, counted from the first trigger; `is_trailing` lets the last one's data win.
    """

    key: str
    delay_ms: int
    max_ms: int | None = None
    is_trailing: bool = False


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger, checked: what `trigger_run` makes a run of. Times in Unix ms, durations in seconds."""

    task_id: str
    payload: str | None
    payload_type: str
    source: str = "api"
    queue_name: str | None = None
    concurrency_key: str | None = None
    delay_until: int | None = None
    ttl: int | None = None  # None: the task's; 0: none
    idempotency_key: str | None = None
    idempotency_life_ms: int = DEFAULT_KEY_LIFE_MS
    idempotency_options: str | None = None
    tags: tuple[str, ...] = ()
    metadata: str | None = None
    max_attempts: int | None = None
    max_duration: int | None = None
    machine: str | None = None
    priority_ms: int = 0
    debounce: Debounce | None = None
    is_test: bool = False
    version: str | None = None
    parent_id: str | None = None
    resume_parent: bool = False
    batch_id: str | None = None
    batch_index: int | None = None
    replay_of: str | None = None
    schedule_id: str | None = None
    schedule_instance_id: str | None = None
    scheduled_for: int | None = None  # the nominal time that the run is the one run of
    request_key: str | None = None


def check_trigger(
    task_id: str, body: TriggerTask, *, now: int, source: str, request_key: str | None
) -> RunRequest:
    """Return the request that a body asks for.

    Raises BadRequest, TooLarge or Unprocessable with one line naming the option and what would be right.
    """
    options = body.options
    if not task_id or len(task_id) > MAX_TASK_ID or is_over(task_id, 2 * MAX_TASK_ID):
        raise BadRequest(f"A task id has 1 to {MAX_TASK_ID} characters")
    if "\0" in task_id:
        raise BadRequest("A task id has no null byte")
    payload, payload_type = _payload(body)
    debounce = None if options.debounce is None else _debounce(options.debounce)
    return RunRequest(
        task_id=task_id,
        payload=payload,
        payload_type=payload_type,
        source=source,
        queue_name=_queue(options.queue),
        concurrency_key=_key("concurrencyKey", _concurrency_key(options.concurrency_key)),
        delay_until=_delay_until(options.delay, now) or (now + debounce.delay_ms if debounce else None),
        ttl=ttl_seconds(options.ttl),
        idempotency_key=_key("idempotencyKey", clean(options.idempotency_key)) or None,
        idempotency_life_ms=_key_life(options.idempotency_key_ttl),
        idempotency_options=_json(options.idempotency_key_options),
        tags=check_tags(options.tags),
        metadata=_metadata(options),
        max_attempts=options.max_attempts and min(options.max_attempts, MAX_ATTEMPTS),
        max_duration=None if options.max_duration is None else clamp_max_duration(options.max_duration),
        machine=None if options.machine is None else known_machine(options.machine),
        priority_ms=_priority(options.priority),
        debounce=debounce,
        is_test=bool(options.test),
        version=clean(options.lock_to_version),
        parent_id=clean(options.parent_run_id),
        resume_parent=bool(options.resume_parent_on_completion),
        request_key=_key("x-trigger-request-idempotency-key", request_key),
    )


def queue_name(name: str) -> str | None:
    """Reduce a queue name to what is allowed; None when nothing is left (TR-06)."""
    return _NOT_IN_QUEUE_NAMES.sub("", name)[:MAX_QUEUE_NAME] or None


def known_machine(name: str) -> str:
    """Return the preset, or the default for a name that is none (TR-18)."""
    return name if name in PRESETS else DEFAULT_MACHINE


def clamp_max_duration(seconds: float) -> int:
    """Bring a maxDuration into what is allowed (TR-17)."""
    return int(min(max(seconds, MIN_MAX_DURATION), NO_MAX_DURATION))


def check_tags(tags: str | list[str] | None) -> tuple[str, ...]:
    """Return the tags without blanks and repeats. Raises Unprocessable past ten (TR-05)."""
    listed = [tags] if isinstance(tags, str) else tags or []
    kept = tuple(dict.fromkeys(tag for tag in map(without_nulls, listed) if tag.strip()))
    if len(kept) > MAX_TAGS:
        raise Unprocessable(f"A run can have at most {MAX_TAGS} tags, {len(kept)} were given")
    return kept


def without_nulls(text: str) -> str:
    """Return the text without null bytes, which PostgreSQL holds in no column (TR-03)."""
    return text.replace("\0", "") if "\0" in text else text


def clean(text: str | None) -> str | None:
    """Like `without_nulls`, for a text that may be missing."""
    return None if text is None else without_nulls(text)


def _payload(body: TriggerTask) -> tuple[str | None, str]:
    """Return the packet as stored (management-api 5): JSON values as text, other types only as text."""
    payload_type = clean(body.options.payload_type) or "application/json"
    if len(payload_type) > _MAX_TYPE:
        raise BadRequest(f"payloadType is over {_MAX_TYPE} characters")
    payload: Any = body.payload
    if payload is msgspec.UNSET:
        return None, payload_type
    if payload_type == "application/json":
        text = msgspec.json.encode(payload).decode()
    elif isinstance(payload, str):
        text = without_nulls(payload)
    else:
        return None, payload_type
    if payload_type == "application/store" and not text:
        raise BadRequest("A payload of type application/store must name where it is stored")
    if payload_type.endswith("json") and "\\u0000" in text:
        text = _ESCAPED_NULL.sub(r"\1", text)
    if is_over(text, MAX_PAYLOAD_BYTES):
        raise TooLarge(f"The payload is over the limit of {MAX_PAYLOAD_BYTES} bytes")
    return text, payload_type


def is_over(text: str, limit: int) -> bool:
    """Tell whether a text is more than `limit` bytes; it is only encoded when that can make a difference."""
    return len(text) > limit or (len(text) * 4 > limit and len(text.encode()) > limit)


def _queue(option: QueueOption | None) -> str | None:
    if option is None:
        return None
    return queue_name(option.name.name if isinstance(option.name, NestedQueue) else option.name)


def _key(name: str, key: str | None) -> str | None:
    """Return a key as it is. Raises BadRequest for one that no index holds."""
    if key is not None and is_over(key, MAX_KEY_BYTES):
        raise BadRequest(f"{name} is over the limit of {MAX_KEY_BYTES} bytes")
    return key


def _concurrency_key(key: str | int | float | None) -> str | None:
    """Return the key as text; a whole number is written without a fraction (TR-07)."""
    if isinstance(key, str):
        return without_nulls(key)
    if isinstance(key, float) and key.is_integer():
        key = int(key)
    return None if key is None else str(key)


def _delay_until(delay: str | None, now: int) -> int | None:
    """Return when the run may start, or None for at once (TR-09)."""
    if delay is None:
        return None
    duration = parse_duration_ms(delay)
    until = parse_iso_ms(delay) if duration is None else now + duration
    if until is None or until > LAST_DATE_MS:
        raise BadRequest(f'delay {delay!r} is neither a duration such as "1h30m" nor an ISO-8601 date')
    return until if until > now else None


def check_delay(delay: str, now: int) -> int:
    """Return when a run is to start, Unix ms. Raises BadRequest for what is no time to come (CN-09)."""
    until = _delay_until(delay, now)
    if until is None:
        raise BadRequest(f'delay {delay!r} is not in the future; write for example "1h30m"')
    return until


def _debounce(option: DebounceOption) -> Debounce:
    """Raise Unprocessable for spans that are none, or leave no room to move the start (DB-06)."""
    delay = _span("delay", option.delay)
    longest = None if option.max_delay is None else _span("maxDelay", option.max_delay)
    if longest is not None and longest <= delay:
        raise Unprocessable(
            f"debounce.maxDelay {option.max_delay!r} must be longer than debounce.delay {option.delay!r}"
        )
    key = without_nulls(option.key)
    if not key or is_over(key, MAX_KEY_BYTES):
        raise BadRequest(f"debounce.key must have 1 to {MAX_KEY_BYTES} bytes")
    return Debounce(key, delay, longest, is_trailing=option.mode == "trailing")


def _span(name: str, text: str) -> int:
    """Return ms of a duration that is applied again and again, which a date cannot be."""
    milliseconds = parse_duration_ms(text)
    if not milliseconds or milliseconds > _LONGEST_SPAN_MS:
        raise Unprocessable(f'debounce.{name} {text!r} is not a duration; write for example "30s" or "2h30m"')
    return milliseconds


def ttl_seconds(ttl: str | int | None) -> int | None:
    """Return a TTL in seconds, 0 for none; None stays None (TR-11). Raises BadRequest for what is no TTL."""
    if ttl is None:
        return None
    seconds = ttl if isinstance(ttl, int) else _duration_seconds(ttl)
    if seconds is None or seconds < 0:
        raise BadRequest(f'ttl {ttl!r} is not a duration; write for example "10m" or a number of seconds')
    return min(seconds, MAX_INTEGER)


def _duration_seconds(text: str) -> int | None:
    milliseconds = 0 if text == "0" else parse_duration_ms(text)
    return None if milliseconds is None else milliseconds // 1000


def _key_life(text: str | None) -> int:
    """Return how long an idempotency key lives; what is no duration is ignored (ID-02)."""
    life = parse_key_ttl_ms(text) if text else None
    return DEFAULT_KEY_LIFE_MS if life is None else min(life, _LONGEST_KEY_LIFE_MS)


def _priority(seconds: float | None) -> int:
    """Return priority in ms, rounded and kept within 32 bits (TR-13)."""
    if seconds is None:
        return 0
    return round(max(-MAX_INTEGER, min(MAX_INTEGER, seconds * 1000)))


def _metadata(options: TriggerOptions) -> str | None:
    value = options.metadata
    if value is None:
        return None
    if isinstance(value, str):
        value = _parse_object(value)
    if not isinstance(value, dict):
        raise BadRequest("metadata must be a JSON object")
    return metadata_text(value)


def metadata_text(metadata: dict[str, Any]) -> str:
    """Return metadata as stored. Raises BadRequest when it is nested too deeply to be shown, TooLarge."""
    holders: list[Any] = [metadata]
    for _ in range(MAX_METADATA_LEVELS):
        inside = (held.values() if isinstance(held, dict) else held for held in holders)
        holders = [value for values in inside for value in values if isinstance(value, dict | list)]
        if not holders:
            break
    else:
        raise BadRequest(f"Metadata is nested more than {MAX_METADATA_LEVELS} levels deep")
    text = msgspec.json.encode(metadata)
    if len(text) > MAX_METADATA_BYTES:
        raise TooLarge(f"Metadata is over the limit of {MAX_METADATA_BYTES} bytes")
    return text.decode()


def _parse_object(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
