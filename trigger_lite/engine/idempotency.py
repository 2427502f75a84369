"""Idempotency keys after the trigger: giving one up by hand (ID-09)."""

from trigger_lite.protocol.errors import NotFound
from trigger_lite.store import runs
from trigger_lite.store.transaction import Tx


def reset_key(tx: Tx, environment_id: str, task_id: str, key: str) -> str:
    """Free a key of a task, so that the next trigger makes a new run; returns the run that had it.

    The run itself goes on. Raises NotFound when no run of the task has the key.
    """
    holder = runs.find_by_idempotency_key(tx, environment_id, task_id, key)
    if holder is None:
        raise NotFound(f"No run of {task_id!r} in this environment has this idempotency key")
    runs.update_run(tx, holder, {"idempotency_key": None, "idempotency_expires_at": None})
    return holder.id
