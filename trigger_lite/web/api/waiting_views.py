"""What a run waits for, as the management API shows it."""

from trigger_lite.engine.reasons import explain
from trigger_lite.protocol.durations import format_duration
from trigger_lite.protocol.statuses import TERMINAL, RunStatus
from trigger_lite.protocol.times import iso
from trigger_lite.protocol.waiting import WaitingFor
from trigger_lite.store.runs import RunRow, list_snapshots
from trigger_lite.store.transaction import Reader


def read_waiting(tx: Reader, run: RunRow, connected: int) -> WaitingFor | None:
    """Say what a run waits for, None when it does not; `connected` counts the workers of its environment."""
    if RunStatus(run.status) in TERMINAL:
        return None
    newest = list_snapshots(tx, run.id, after=run.snapshot_seq - 1)
    reason = explain(tx, run, newest, None, connected=connected)
    if reason.kind is None:
        return None
    left = "" if reason.until is None else f" {format_duration(max(0, -(-(reason.until - tx.now) // 1000)))}"
    return WaitingFor(
        reason=reason.kind,
        text=f"{reason.text}{left}{reason.more}",
        until=None if reason.until is None else iso(reason.until),
        position=reason.position,
    )
