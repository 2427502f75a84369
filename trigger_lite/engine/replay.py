"""A new run with an old run's data (CN-11…13)."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trigger_lite.engine.requests import RunRequest, check_trigger
from trigger_lite.engine.run_json import decode_tags
from trigger_lite.engine.trigger import Triggered, trigger_run
from trigger_lite.protocol.errors import RunNotFound, Unprocessable
from trigger_lite.protocol.tasks import QueueOption, ReplayRun, TriggerOptions, TriggerTask
from trigger_lite.store import runs
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.transaction import Tx

# What each member of the body decides of the new run.
_DECIDES: Final[Mapping[str, tuple[str, ...]]] = {
    "payload": ("payload", "payload_type"),
    "metadata": ("metadata",),
    "tags": ("tags",),
    "queue": ("queue_name",),
    "concurrency_key": ("concurrency_key",),
    "machine": ("machine",),
    "version": ("version",),
    "delay": ("delay_until",),
    "ttl": ("ttl",),
    "idempotency_key": ("idempotency_key", "idempotency_life_ms"),
    "max_attempts": ("max_attempts",),
    "max_duration": ("max_duration",),
    "priority": ("priority_ms",),
}

Overrides = Mapping[str, Any]


def check_overrides(body: ReplayRun, *, now: int, request_key: str | None = None) -> Overrides:
    """Return what a replay's body changes, by the rules of a trigger. Raises as `check_trigger` does.

    `request_key` names the request, so that one whose answer was lost may be sent again (ID-07).
    """
    options = TriggerOptions(
        payload_type=body.payload_type,
        queue=None if body.queue is None else QueueOption(body.queue),
        concurrency_key=body.concurrency_key,
        delay=body.delay,
        ttl=body.ttl,
        idempotency_key=body.idempotency_key,
        idempotency_key_ttl=body.idempotency_key_ttl,
        tags=body.tags,
        metadata=body.metadata,
        max_attempts=body.max_attempts,
        max_duration=body.max_duration,
        machine=body.machine,
        priority=body.priority,
        lock_to_version=body.version,
    )
    trigger = TriggerTask(payload=body.payload, options=options)
    checked = check_trigger("the original's", trigger, now=now, source="", request_key=request_key)
    given = [name for name in _DECIDES if getattr(body, name) not in (None, msgspec.UNSET)]
    changed = {column: getattr(checked, column) for name in given for column in _DECIDES[name]}
    return changed | {"request_key": checked.request_key}


def replay_run(
    tx: Tx,
    environment: EnvironmentRow,
    run_id: str,
    source: str,
    overrides: Overrides = {},  # noqa: B006 - a Mapping is not changed
) -> Triggered:
    """Trigger a run's task again with its payload, seed metadata, tags, queue, key, machine and test flag.

    `overrides` change some of them. Not carried: idempotency key, TTL, maxAttempts, parent. Raises
    RunNotFound, or Unprocessable when the payload is kept no more (CN-13).
    """
    original = runs.find_run_in(tx, environment.id, run_id)
    if original is None:
        raise RunNotFound
    if original.pruned_at is not None and "payload" not in overrides:
        raise Unprocessable(f"The payload of {run_id} is kept no more, so give one with the replay")
    data = runs.get_data(tx, run_id)
    request = RunRequest(
        task_id=original.task_id,
        payload=data.payload,
        payload_type=data.payload_type,
        source=source,
        queue_name=original.queue_name,
        concurrency_key=original.concurrency_key,
        tags=tuple(decode_tags(original.tags)),
        metadata=data.seed_metadata,
        machine=original.machine,
        priority_ms=original.priority_ms,
        is_test=bool(original.is_test),
        replay_of=original.id,
    )
    return trigger_run(tx, environment, msgspec.structs.replace(request, **overrides))
