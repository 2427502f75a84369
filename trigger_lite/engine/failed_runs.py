"""Runs that could not be made, for who waits for their result all the same (TR-26)."""

from trigger_lite.engine import lifecycle
from trigger_lite.engine.run_json import encode_error
from trigger_lite.protocol.run_errors import ErrorCode, InternalError
from trigger_lite.store.runs import RunData, RunRow
from trigger_lite.store.transaction import Tx


def failure_error(code: str | None, message: str) -> InternalError:
    """Return why an item became no run, as the error of one: the codes of runs are a closed list."""
    known = ErrorCode.__members__.get(code or "")
    return InternalError(known or ErrorCode.BATCH_ITEM_COULD_NOT_TRIGGER, message)


def create_failed_run(
    tx: Tx,
    parent: RunRow,
    task_id: str,
    error: InternalError,
    *,
    batch_id: str | None = None,
    batch_index: int | None = None,
) -> RunRow:
    """Make a child of `parent` that is over already: SYSTEM_FAILURE with this error, of no queue."""
    run = RunRow(
        id=tx.new_id("run"),
        environment_id=parent.environment_id,
        task_id=task_id,
        queue_name=f"task/{task_id}"[:128],
        score=tx.now,
        queue_time=tx.now,
        parent_id=parent.id,
        root_id=parent.root_id or parent.id,
        depth=parent.depth + 1,
        resume_parent=1,
        batch_id=batch_id,
        batch_index=batch_index,
        source=parent.source,
        is_test=parent.is_test,
        created_at=tx.now,
        updated_at=tx.now,
    )
    data = RunData(
        payload=None,
        payload_type="application/json",
        seed_metadata=None,
        metadata=None,
        output=None,
        output_type=None,
        error=encode_error(error),
    )
    return lifecycle.begin_failed(tx, run, data)
