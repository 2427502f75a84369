"""What may be removed because it is old: only what is over, and what nobody waits for or may still need.

A run goes when its family is over: its parent has had its result, its root and its children have ended, no
batch counts on it. As long as an idempotency key of it answers triggers it stays, whatever its age, because
without it the same work would be done again; only when nothing else is left to make room, it goes too.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Final

import msgspec

from trigger_lite.engine.run_json import decode_tags
from trigger_lite.protocol.ids import first_id
from trigger_lite.store import retention
from trigger_lite.store.retention import OldRun, OldThing
from trigger_lite.store.transaction import Reader, Tx


class Kind(StrEnum):
    """What is removed, each with an age of its own."""

    PAYLOADS = "payloads"
    RUNS = "runs"
    FAILURES = "failures"
    KEYED = "keyed runs"
    BATCHES = "batches"
    WAITPOINTS = "waitpoints"
    BULK_ACTIONS = "bulk actions"


class Old(msgspec.Struct, frozen=True):
    """What one look found: ids to remove, and the last id looked at, None when there are no more."""

    ids: list[str]
    last: str | None


def _has_data(run: OldRun) -> bool:
    return bool(run.has_data) and not run.has_live_key


def _succeeded(run: OldRun) -> bool:
    return not run.is_failed and not run.has_live_key


def _failed(run: OldRun) -> bool:
    return bool(run.is_failed) and not run.has_live_key


def _has_key(run: OldRun) -> bool:
    return bool(run.has_live_key)


_WANTED: Final[Mapping[Kind, Callable[[OldRun], bool]]] = {
    Kind.PAYLOADS: _has_data,
    Kind.RUNS: _succeeded,
    Kind.FAILURES: _failed,
    Kind.KEYED: _has_key,
}
_PREFIX: Final[Mapping[Kind, str]] = {
    Kind.BATCHES: "batch",
    Kind.WAITPOINTS: "waitpoint",
    Kind.BULK_ACTIONS: "bulk",
}
_LOOKS: Final[Mapping[Kind, Callable[..., list[OldThing]]]] = {
    Kind.BATCHES: retention.list_old_batches,
    Kind.WAITPOINTS: retention.list_old_waitpoints,
    Kind.BULK_ACTIONS: retention.list_old_bulk_actions,
}


def find_old(tx: Reader, kind: Kind, *, after: str, before: int, count: int) -> Old:
    """Look at up to `count` things after the id `after`, oldest first; choose what ended before a time.

    Ids sort by time, so what was made later than that is not looked at.
    """
    until = first_id(_PREFIX.get(kind, "run"), before)
    if kind in _LOOKS:
        things = _LOOKS[kind](tx, after=after, until=until, count=count)
        ids = [thing.id for thing in things if not thing.is_needed and _ended(thing, before)]
        return Old(ids, things[-1].id if len(things) == count else None)
    runs = retention.list_old_runs(tx, after=after, until=until, count=count)
    wanted = _WANTED[kind]
    ids = [run.id for run in runs if not run.is_needed and _ended(run, before) and wanted(run)]
    return Old(ids, runs[-1].id if len(runs) == count else None)


def _ended(thing: OldRun | OldThing, before: int) -> bool:
    return thing.completed_at is not None and thing.completed_at < before


def remove(tx: Tx, kind: Kind, ids: list[str], before: int) -> int:
    """Remove what was found, unless it changed meanwhile; returns how many."""
    return _REMOVE[kind](tx, ids, before)


def _remove_runs(tx: Tx, ids: list[str], before: int) -> int:
    removed = retention.remove_runs(tx, ids, before=before)
    for run in removed:
        retention.remove_tags(tx, run, decode_tags(run.tags))
    return len(removed)


def _prune(tx: Tx, ids: list[str], before: int) -> int:
    return retention.prune_runs(tx, ids, before=before)


def _whole(remove_all: Callable[[Tx, list[str]], int], tx: Tx, ids: list[str], _before: int) -> int:
    return remove_all(tx, ids)


_REMOVE: Final[Mapping[Kind, Callable[[Tx, list[str], int], int]]] = {
    Kind.PAYLOADS: _prune,
    Kind.RUNS: _remove_runs,
    Kind.FAILURES: _remove_runs,
    Kind.KEYED: _remove_runs,
    Kind.BATCHES: partial(_whole, retention.remove_batches),
    Kind.WAITPOINTS: partial(_whole, retention.remove_waitpoints),
    Kind.BULK_ACTIONS: partial(_whole, retention.remove_bulk_actions),
}
