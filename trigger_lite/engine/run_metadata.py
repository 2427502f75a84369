"""Metadata and tags of a run while it lives (TR-04, TR-05, AT-10)."""

import orjson

from trigger_lite.engine.events import RunChanged
from trigger_lite.engine.requests import check_tags, metadata_text
from trigger_lite.engine.run_json import decode_metadata, decode_tags
from trigger_lite.protocol.errors import BadRequest, RunNotFound, Unprocessable
from trigger_lite.protocol.execution import FlushedMetadata
from trigger_lite.protocol.metadata import Operation, apply_operations
from trigger_lite.store import runs
from trigger_lite.store.transaction import Tx

CHANGEABLE_MS = 3_600_000
"""Metadata may still change for an hour after the run ended."""


def change_metadata(
    tx: Tx,
    environment_id: str,
    run_id: str,
    operations: list[Operation],
    parent_operations: list[Operation],
    root_operations: list[Operation],
) -> None:
    """Apply changes to a run's metadata, and to its parent's and root's (its own when it has none).

    Raises RunNotFound, BadRequest for an impossible change, TooLarge past 256 KB, Unprocessable an hour
    after the run ended.
    """
    run = runs.find_run_in(tx, environment_id, run_id)
    if run is None:
        raise RunNotFound
    _apply(tx, run.id, operations)
    _apply(tx, run.parent_id or run.id, parent_operations)
    _apply(tx, run.root_id or run.id, root_operations)


def apply_flushed(tx: Tx, environment_id: str, run_id: str, flushed: FlushedMetadata) -> None:
    """Apply what a worker had not sent before its attempt ended (AT-10)."""
    change_metadata(
        tx,
        environment_id,
        run_id,
        flushed.operations or [],
        flushed.parent_operations or [],
        flushed.root_operations or [],
    )


def _apply(tx: Tx, run_id: str, operations: list[Operation]) -> None:
    if not operations:
        return
    run = runs.find_run(tx, run_id)
    if run is None:
        raise RunNotFound
    if run.completed_at is not None and run.completed_at + CHANGEABLE_MS < tx.now:
        raise Unprocessable(f"{run.id} ended more than an hour ago; its metadata is fixed")
    present = decode_metadata(runs.get_data(tx, run.id).metadata)
    try:
        changed = apply_operations(present, operations)
    except ValueError as error:
        raise BadRequest(str(error)) from error
    runs.update_run(tx, run, {"metadata": metadata_text(changed), "updated_at": tx.now})
    tx.emit(RunChanged(run.environment_id, run.id, run.task_id))


def add_tags(tx: Tx, environment_id: str, run_id: str, tags: list[str]) -> list[str]:
    """Add tags to a run and return them all. Raises Unprocessable past ten, having added none (TR-05)."""
    run = runs.find_run_in(tx, environment_id, run_id)
    if run is None:
        raise RunNotFound
    present = decode_tags(run.tags)
    together = check_tags([*present, *tags])
    added = [tag for tag in together if tag not in present]
    if added:
        runs.insert_tags(tx, run.environment_id, run.id, added)
        runs.update_run(tx, run, {"tags": orjson.dumps(together).decode(), "updated_at": tx.now})
        tx.emit(RunChanged(run.environment_id, run.id, run.task_id))
    return list(together)
