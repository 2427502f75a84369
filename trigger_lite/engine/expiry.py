"""TTL: a run that waited too long for its first start never starts (TR-12, Q-40…44)."""

from trigger_lite.engine import endings
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.engine.run_json import encode_error
from trigger_lite.protocol.durations import format_duration
from trigger_lite.protocol.run_errors import StringError
from trigger_lite.protocol.statuses import DEQUEUEABLE, INITIAL, ExecutionStatus
from trigger_lite.store import runs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx


def expire_lapsed(tx: Tx, count: int) -> int:
    """Expire up to `count` waiting runs whose TTL ran out; returns how many there were."""
    lapsed = runs.list_lapsed(tx, count=count)
    for run in lapsed:
        if run.started_at is None:
            expire_run(tx, run)
        else:
            runs.update_run(tx, run, {"ttl_at": None})
    return len(lapsed)


def expire_run(tx: Tx, run: RunRow) -> RunRow:
    """End a waiting run as EXPIRED, out of its line; one that a worker has already is left alone (Q-41)."""
    if ExecutionStatus(run.execution_status) not in DEQUEUEABLE | INITIAL:
        return run
    waited = format_duration(run.ttl or 0)
    error = encode_error(StringError(f"Run expired because the TTL ({waited}) was reached"))
    return endings.end(
        tx,
        run,
        Transition.EXPIRE,
        description=f"Not started within its TTL of {waited}",
        changes={"error": error, "is_failed": 1, "expired_at": tx.now},
        snapshot={"error": error},
    )
