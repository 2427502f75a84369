"""What must hold between transactions, how what breaks it is found, and how it is put right.

The engine keeps all of it in the same transaction as the change that concerns it, so a check that finds
something means a defect, a file restored by halves, or a hand that wrote into the database. Each repair may
be repeated.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from trigger_lite.engine import batch_progress, deliveries, slots, waitpoints
from trigger_lite.engine.schedules import repair_plans
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.store import audit, batches, environments, queues, runs
from trigger_lite.store import waitpoints as waitpoint_rows
from trigger_lite.store.query import Query
from trigger_lite.store.transaction import Reader, Tx

CHUNK: Final = 200
"""Things found and put right at once."""

_WAITING: Final = frozenset({X.EXECUTING_WITH_WAITPOINTS, X.SUSPENDED, X.PENDING_CANCEL})
Repair = Callable[[Tx, Sequence[str]], None]


class Check(msgspec.Struct, frozen=True):
    """One thing that must hold. `wrong` says what was found, after a number; `remedy`, what is done then.

    `is_at_boot`: looked at, and put right, whenever a server starts. `needs_server`: says something only
    while one runs.
    """

    name: str
    wrong: str
    query: Query[str]
    repair: Repair | None = None
    remedy: str = ""
    is_at_boot: bool = False
    needs_server: bool = False

    def find(self, tx: Reader, count: int) -> list[str]:
        """List up to `count` ids of what is wrong."""
        return audit.list_wrong(tx, self.query, count=count)

    def put_right(self, tx: Tx, found: Sequence[str]) -> None:
        if self.repair is not None:
            self.repair(tx, found)


# ---- repairs ----------------------------------------------------------------------------------------


def _recount_environments(tx: Tx, _environment_ids: Sequence[str]) -> None:
    environments.recount_held(tx)


def _rejoin(tx: Tx, run_ids: Sequence[str]) -> None:
    """Put waiting runs into a lane of their queue again."""
    for run_id in run_ids:
        run = runs.find_run(tx, run_id)
        if run is not None and run.queued and queues.find_lane(tx, run.lane_id) is None:
            runs.update_run(tx, run, {"lane_id": slots.rejoin(tx, run)})


def _time_out(tx: Tx, run_ids: Sequence[str]) -> None:
    """End the attempts of runs that nobody has, as if their worker had fallen silent (HB-03)."""
    for run_id in run_ids:
        run = runs.find_run(tx, run_id)
        if run is not None and run.worker_id is None:
            deliveries.time_out(tx, run.id, run.snapshot_seq)


def _drop_edges(tx: Tx, run_ids: Sequence[str]) -> None:
    for run_id in run_ids:
        run = runs.find_run(tx, run_id)
        if run is None or run.execution_status not in _WAITING:
            waitpoint_rows.delete_edges(tx, run_id)


def _tell_of_runs(tx: Tx, run_ids: Sequence[str]) -> None:
    """Complete what waits for the ends of runs that are over (WP-16)."""
    for run_id in run_ids:
        run = runs.find_run(tx, run_id)
        if run is not None:
            waitpoints.run_ended(tx, run)


def _tell_batches(tx: Tx, run_ids: Sequence[str]) -> None:
    """Count the ends of runs in their batches (BA-15)."""
    for run_id in run_ids:
        run = runs.find_run(tx, run_id)
        if run is not None:
            batch_progress.item_ended(tx, run)


def _close_batches(tx: Tx, batch_ids: Sequence[str]) -> None:
    for batch_id in batch_ids:
        batch = batches.find_batch(tx, batch_id)
        if batch is not None:
            batch_progress.complete_if_over(tx, batch)


def _tell_of_batches(tx: Tx, batch_ids: Sequence[str]) -> None:
    """Let go on who waits for batches that are over (BA-16)."""
    for batch_id in batch_ids:
        batch = batches.find_batch(tx, batch_id)
        if batch is not None:
            batch_progress.resume_waiting(tx, batch)


def _continue(tx: Tx, run_ids: Sequence[str]) -> None:
    for run_id in run_ids:
        waitpoints.continue_run(tx, run_id)


def _plan(tx: Tx, _instance_ids: Sequence[str]) -> None:
    after: str | None = ""
    while after is not None:
        after = repair_plans(tx, after, CHUNK).last


_REPORT: Final = "keep a copy of the data folder and report it"
_RESTART: Final = "look at the server's log; a restart makes it look anew"


def _late(name: str, wrong: str, query: Query[str]) -> Check:
    """What a server should have done by now."""
    return Check(name, wrong, query, remedy=_RESTART, needs_server=True)


# ---- the table --------------------------------------------------------------------------------------

# In the order in which they are put right: counters first, for the others go by them.
CHECKS: Final = (
    Check(
        "slots of environments",
        "environments count other slots than their runs hold",
        audit.ENVIRONMENT_SLOTS,
        _recount_environments,
        "count them from the runs",
        is_at_boot=True,
    ),
    Check(
        "lanes",
        "lanes count other slots or waiting runs than there are, or name another first run",
        audit.LANE_COUNTS,
        queues.repair_lanes,
        "count them from the runs",
        is_at_boot=True,
    ),
    Check(
        "places in line",
        "runs wait in a lane that does not exist",
        audit.MISSING_LANES,
        _rejoin,
        "put them in line again, at their old places",
        is_at_boot=True,
    ),
    Check(
        "runs without a worker",
        "runs execute, and no worker has them",
        audit.WORKERLESS,
        _time_out,
        "end their attempts; they are tried again if they may be",
        is_at_boot=True,
    ),
    Check(
        "waits of runs that do not wait",
        "runs are noted as waiting and are not",
        audit.STRAY_EDGES,
        _drop_edges,
        "forget what they waited for",
        is_at_boot=True,
    ),
    Check(
        "waits for runs",
        "runs are over, and who waits for them was not told",
        audit.UNHEARD_RUNS,
        _tell_of_runs,
        "tell who waits",
        is_at_boot=True,
    ),
    Check(
        "counts of batches",
        "batches count other items than they have",
        audit.BATCH_COUNTS,
        audit.recount_batches,
        "count them from the items",
        is_at_boot=True,
    ),
    Check(
        "items of batches",
        "runs are over, and their batches were not told",
        audit.UNHEARD_ITEMS,
        _tell_batches,
        "tell the batches",
        is_at_boot=True,
    ),
    Check(
        "ends of batches",
        "batches have all their results and are not complete",
        audit.OPEN_BATCHES,
        _close_batches,
        "complete them",
        is_at_boot=True,
    ),
    Check(
        "waits for batches",
        "batches are over, and who waits for them was not told",
        audit.UNHEARD_BATCHES,
        _tell_of_batches,
        "tell who waits",
        is_at_boot=True,
    ),
    Check(
        "waits that are over",
        "runs wait for nothing that is missing",
        audit.IDLE_WAITS,
        _continue,
        "let them go on",
        is_at_boot=True,
    ),
    Check(
        "plans of schedules",
        "active schedules have no next time",
        audit.UNPLANNED,
        _plan,
        "plan their next time",
    ),
    Check(
        "ends that may be waited for",
        "runs are over, and whoever will wait for them would wait for ever",
        audit.UNHEARD_LATER,
        _tell_of_runs,
        "note that they are over",
    ),
    Check("marks of runs", "runs have marks that do not fit their state", audit.RUN_MARKS, remedy=_REPORT),
    Check("idempotency keys", "keys have more than one run", audit.DUPLICATE_KEYS, remedy=_REPORT),
    _late("delays", "delayed runs should have been queued", audit.LATE_DELAYS),
    _late("TTLs", "waiting runs should have expired", audit.LATE_EXPIRIES),
    _late("dates and tokens", "waits should have ended", audit.LATE_WAITS),
    _late("schedules", "schedules should have run", audit.LATE_SCHEDULES),
    _late("silent workers", "runs were left by their workers", audit.FORGOTTEN),
)
AT_BOOT: Final = tuple(check for check in CHECKS if check.is_at_boot)
