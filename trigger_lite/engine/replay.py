"""A new run with an old run's data (CN-11…13)."""

from trigger_lite.engine.requests import RunRequest
from trigger_lite.engine.run_json import decode_tags
from trigger_lite.engine.trigger import Triggered, trigger_run
from trigger_lite.protocol.errors import RunNotFound
from trigger_lite.store import runs
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.transaction import Tx


def replay_run(tx: Tx, environment: EnvironmentRow, run_id: str, source: str) -> Triggered:
    """Trigger a run's task again with its payload, seed metadata, tags, queue, key, machine and test flag.

    Not carried: idempotency key, TTL, maxAttempts, parent. Raises RunNotFound.
    """
    original = runs.find_run_in(tx, environment.id, run_id)
    if original is None:
        raise RunNotFound
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
    return trigger_run(tx, environment, request)
