"""Turns the bodies of batches into checked requests: every rule that needs no database (BA)."""

from typing import Any, Final

import msgspec

from trigger_lite.engine.requests import (
    RunRequest,
    check_trigger,
    clean,
    is_over,
    without_nulls,
)
from trigger_lite.protocol.batches import MAX_ITEMS, CreateBatch, NamedTrigger
from trigger_lite.protocol.errors import BadRequest
from trigger_lite.protocol.tasks import MAX_KEY_BYTES, MAX_TASK_ID, TriggerOptions, TriggerTask

_JSON: Final = "application/json"
_options_decoder: Final = msgspec.json.Decoder(TriggerOptions)
_raw_decoder: Final = msgspec.json.Decoder(msgspec.Raw)
_text_decoder: Final = msgspec.json.Decoder(str)


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is announced, checked: what `create_batch` makes a batch of."""

    run_count: int
    parent_id: str | None = None
    resume_parent: bool = False
    idempotency_key: str | None = None
    request_key: str | None = None


def check_batch(body: CreateBatch, *, request_key: str | None, most: int = MAX_ITEMS) -> BatchRequest:
    """Return the batch that a body announces. Raises BadRequest beyond `most` items (BA-08)."""
    if not 1 <= body.run_count <= most:
        raise BadRequest(f"A batch has 1 to {most} items, not {body.run_count}")
    for name, key in (("idempotencyKey", body.idempotency_key), ("request key", request_key)):
        if key is not None and is_over(key, MAX_KEY_BYTES):
            raise BadRequest(f"{name} is over the limit of {MAX_KEY_BYTES} bytes")
    return BatchRequest(
        run_count=body.run_count,
        parent_id=clean(body.parent_run_id),
        resume_parent=bool(body.resume_parent_on_completion),
        idempotency_key=clean(body.idempotency_key) or None,
        request_key=clean(request_key),
    )


def check_item(item: NamedTrigger, *, now: int, source: str) -> RunRequest:
    """Return the trigger that an item asks for. Raises as `check_trigger` does."""
    options = TriggerOptions() if item.options is msgspec.UNSET else _options(item.options)
    payload = msgspec.UNSET if item.payload is msgspec.UNSET else _payload(item.payload, options.payload_type)
    body = TriggerTask(payload=payload, options=options)
    return check_trigger(item.task, body, now=now, source=source, request_key=None)


def task_of(item: NamedTrigger) -> str:
    """Return the task's id as it can be stored, be it one or not."""
    return without_nulls(item.task)[:MAX_TASK_ID]


def _options(raw: msgspec.Raw) -> TriggerOptions:
    try:
        return _options_decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise BadRequest(f"options: {error}") from error
    except RecursionError as error:
        raise BadRequest("options are nested too deeply") from error


def _payload(raw: msgspec.Raw, payload_type: str | None) -> Any:
    """Return a payload as a trigger has it.

    A text is the packet itself: of type JSON, it is the JSON already written (management-api 5).
    """
    if bytes(memoryview(raw)[:1]) != b'"':
        return raw
    text = _text_decoder.decode(raw)
    if payload_type not in (None, _JSON):
        return text
    try:
        return _raw_decoder.decode(text.strip())
    except msgspec.DecodeError:
        return text
    except RecursionError as error:
        raise BadRequest("The payload is nested too deeply") from error
