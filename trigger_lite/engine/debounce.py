"""Triggers of one debounce key become one run, which starts once they have ceased (engine-behaviours 2c).

Looking, moving and making are one transaction, so that two triggers at once need no protocol (DB-10, DB-11).
"""

from typing import Any, Final

import orjson

from trigger_lite.engine.delays import move_start
from trigger_lite.engine.events import RunChanged
from trigger_lite.engine.requests import Debounce, RunRequest
from trigger_lite.engine.run_json import decode_tags
from trigger_lite.protocol.times import iso
from trigger_lite.store import runs
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx

BUCKET_MS: Final = 1_000
"""Starts are moved in steps of this: many triggers within one step write nothing (DB-07)."""


def push(tx: Tx, environment: EnvironmentRow, request: RunRequest) -> RunRow | None:
    """Return the delayed run that the trigger belongs to, with its start moved on (DB-01).

    None when the trigger is to make a run: it has no debounce key, no run of its key is delayed any more
    (DB-04), or that one was put off long enough and has given the key up (DB-05).
    """
    wanted = request.debounce
    if wanted is None:
        return None
    run = runs.find_debounced(tx, environment.id, request.task_id, wanted.key)
    if run is None:
        return None
    until = (tx.now + wanted.delay_ms) // BUCKET_MS * BUCKET_MS
    latest = _latest_start(run, wanted)
    if latest is not None and until > latest:
        runs.update_run(tx, run, {"debounce_key": None})
        return None
    return _take_in(tx, run, request, until)


def latest_start(request: RunRequest, now: int) -> int | None:
    """Return until when a new run of this trigger may be put off, Unix ms; None for ever."""
    if request.debounce is None or request.debounce.max_ms is None:
        return None
    return now + request.debounce.max_ms


def _latest_start(run: RunRow, wanted: Debounce) -> int | None:
    """Return what the first trigger promised, or this one does when that is sooner."""
    own = None if wanted.max_ms is None else run.created_at + wanted.max_ms
    bounds = [bound for bound in (run.debounce_until, own) if bound is not None]
    return min(bounds, default=None)


def _take_in(tx: Tx, run: RunRow, request: RunRequest, until: int) -> RunRow:
    """Move the start, never to an earlier time (DB-07), and take the newest data in trailing mode (DB-08)."""
    assert request.debounce is not None
    changes = _newest_data(tx, run, request) if request.debounce.is_trailing else {}
    if run.delay_until is not None and until > run.delay_until:
        why = f"Triggered again: put off to {iso(until)}"
        return move_start(tx, run, until, description=why, changes=changes)
    if changes:
        runs.update_run(tx, run, {**changes, "updated_at": tx.now})
        tx.emit(RunChanged(run.environment_id, run.id, run.task_id))
    return run


def _newest_data(tx: Tx, run: RunRow, request: RunRequest) -> dict[str, Any]:
    """Return the columns that the newest trigger decides: its payload, and of the rest what it names."""
    changes: dict[str, Any] = {"payload": request.payload, "payload_type": request.payload_type}
    if request.metadata is not None:
        changes |= {"seed_metadata": request.metadata, "metadata": request.metadata}
    for name in ("max_attempts", "max_duration", "machine"):
        if getattr(request, name) is not None:
            changes[name] = getattr(request, name)
    if request.tags:
        changes["tags"] = orjson.dumps(request.tags).decode()
        runs.delete_tags(tx, run.environment_id, run.id, decode_tags(run.tags))
        runs.insert_tags(tx, run.environment_id, run.id, request.tags)
    return changes
