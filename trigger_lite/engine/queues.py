"""Claiming: which waiting run starts next, on which worker (engine-behaviours 3 and 13c).

The price of a claim is that of the runs it returns, whatever waits behind them.
"""

from typing import Final

import msgspec

from trigger_lite.engine import lifecycle, pending_versions, queue_limits, rates, slots, waitpoints
from trigger_lite.engine.events import QueueChanged
from trigger_lite.engine.expiry import expire_run
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.engine.rates import Meters
from trigger_lite.engine.run_json import decode_retry
from trigger_lite.protocol.errors import NotFound
from trigger_lite.protocol.machines import DEFAULT_MACHINE
from trigger_lite.protocol.tasks import MAX_ATTEMPTS
from trigger_lite.store import environments, queues, runs, versions
from trigger_lite.store.queues import LaneRow
from trigger_lite.store.runs import RunData, RunRow
from trigger_lite.store.transaction import Tx
from trigger_lite.store.versions import TaskRow, VersionRow

_MAX_PASSES: Final = 100
"""Rounds over the lanes in one claim; each round takes, removes or passes over at least one waiting run."""
_RESUMED_AT_ONCE: Final = 100
"""Runs whose wait is over that one claim lets go on; new runs come after the last of them."""
_MAX_BUSY: Final = 1_000
"""Lanes passed over in one claim because the worker they wait for has no room."""


class Offer(msgspec.Struct):
    """A connected worker that can take `credits` more runs of its version, or none now. Counted down."""

    worker_id: str
    version_id: str
    credits: int


class Claim(msgspec.Struct, frozen=True):
    """A run handed to a worker: everything its first message needs."""

    worker_id: str
    run: RunRow
    data: RunData
    task: TaskRow
    version: VersionRow


class Claims(msgspec.Struct, frozen=True):
    """What one call handed out.

    `next_due` is when the next run that waits for its time may start (Unix ms), `has_more` that the call
    ended before it had looked at every run that is due.
    """

    runs: list[Claim]
    next_due: int | None = None
    has_more: bool = False


def claim_runs(tx: Tx, environment_id: str, offers: list[Offer]) -> Claims:
    """Hand waiting runs to the offers, oldest head first, one lane after the other (Q-01, Q-03, Q-12).

    Runs whose wait is over get their slots before (Q-24). `offers` are all connected workers of the
    environment: a run waits for one that has no room now. Claim, slot, status and snapshot change together
    (Q-26). Runs that lapsed are expired on the way, runs that no version can run are parked (Q-40, PV-01).
    """
    load = environments.get_load(tx, environment_id)
    free = load.slots - load.held
    resumed = (
        waitpoints.give_slots(tx, environment_id, min(free, _RESUMED_AT_ONCE)) if load.is_resuming else 0
    )
    current = versions.find_current_version(tx, environment_id)
    if load.paused or current is None or resumed == _RESUMED_AT_ONCE:
        return Claims([], has_more=resumed == _RESUMED_AT_ONCE)
    meters = rates.open_meters(tx, environment_id, load)
    round_ = _Round(tx, environment_id, current, offers, meters, free=free - resumed)
    has_more = False
    for _ in range(_MAX_PASSES):
        wanted = min(round_.free, sum(offer.credits for offer in offers))
        if wanted <= 0 or not round_.take_from_lanes(wanted):
            break
    else:
        has_more = round_.has_removed or bool(round_.claims)
    round_.count_slots()
    due, token = queues.find_next_due(tx, environment_id), meters.close()
    return Claims(round_.claims, due if token is None else min(token, due or token), has_more)


class _Round:
    """One claim call: what it has handed out, and what it already looked up.

    `free` counts the environment's slots that are left.
    """

    def __init__(
        self,
        tx: Tx,
        environment_id: str,
        current: VersionRow,
        offers: list[Offer],
        meters: Meters,
        *,
        free: int,
    ) -> None:
        self._tx = tx
        self._meters = meters
        self._environment_id = environment_id
        self._current = current
        self._offers = offers
        self._connected = {offer.version_id for offer in offers}
        self._tasks: dict[tuple[str, str], TaskRow | None] = {}
        self._versions = {current.id: current}
        self._busy: set[str] = set()
        self._uncounted = 0
        self._has_resumed = False
        self.free = free
        self.claims: list[Claim] = []
        self.has_removed = False

    def take_from_lanes(self, wanted: int) -> bool:
        """Go over the due lanes once; tell whether another round may find more."""
        most = max(wanted, len(self._busy))  # twice as many whenever all were passed over
        due = self._due_lanes(most + len(self._busy))
        lanes = [lane for lane in due if lane.id not in self._busy][:most]
        enough = len(self.claims) + wanted
        each = wanted if len(lanes) == 1 else 1
        self._has_resumed = False
        for lane in lanes:
            if len(self.claims) >= enough or self._has_resumed:
                break
            self._take_from(lane, min(each, lane.capacity - lane.held))
        return bool(lanes) and len(self._busy) < _MAX_BUSY

    def _due_lanes(self, count: int) -> list[LaneRow]:
        """List lanes with a run that may start now, oldest head first, at least `count` if there are."""
        lanes = queues.list_due_lanes(self._tx, self._environment_id, count=count)
        rated = self._meters.due_lanes(count, passed_over=len(self._busy))
        return sorted(lanes + rated, key=lambda lane: lane.head_score or 0) if rated else lanes

    def _take_from(self, lane: LaneRow, count: int) -> None:
        if lane.rated:
            count = min(count, self._meters.allowed(lane))
            self.has_removed |= count == 0  # its key has no token: it is parked
        taken = 0
        unable: list[tuple[RunRow, str]] = []
        for run, data in runs.list_heads(self._tx, lane.id, count=count):
            reason = self._hand_out(run, data)
            if reason == "BUSY":
                self._busy.add(lane.id)
                break
            if reason is None:
                taken += 1
            else:
                unable.append((run, reason))
        if lane.rated:
            self._meters.take(lane, taken)
        else:
            queues.take_slots(self._tx, lane.id, taken)
        # Only now: a lane that looks empty is forgotten, and these slots must be counted first.
        for run, reason in unable:
            self.has_removed = True
            if reason == "LAPSED":
                self._expire(run)
            else:
                pending_versions.park(self._tx, run, reason)

    def _expire(self, run: RunRow) -> None:
        """Expire a run; who waited for it goes on, and may take a slot that this call saw as free."""
        if not run.is_awaited:
            expire_run(self._tx, run)
            return
        self.count_slots()
        expire_run(self._tx, run)
        load = environments.get_load(self._tx, self._environment_id)
        self.free = load.slots - load.held
        self._has_resumed = True

    def count_slots(self) -> None:
        """Count the slots of the environment that were taken since this was last done."""
        if self._uncounted:
            environments.change_held(self._tx, self._environment_id, self._uncounted)
            self._uncounted = 0

    def _hand_out(self, run: RunRow, data: RunData) -> str | None:
        """Claim the run for the best offer, or say why it cannot be."""
        if run.ttl_at is not None and run.ttl_at <= self._tx.now and run.started_at is None:
            return "LAPSED"
        version = self._version_for(run)
        if version is None:
            return "NO_WORKER"
        if version.id not in self._connected:
            return "BUSY"
        task = self._task(version.id, run.task_id)
        if task is None:
            known = versions.was_ever_registered(self._tx, self._environment_id, run.task_id)
            return "TASK_NOT_IN_LATEST" if known else "TASK_NEVER_REGISTERED"
        offer = max((o for o in self._offers if o.version_id == version.id), key=lambda o: o.credits)
        if offer.credits <= 0:
            return "BUSY"
        offer.credits -= 1
        claimed = _claim(self._tx, run, task=task, worker_id=offer.worker_id)
        data = runs.with_large(self._tx, run.id, data)
        self.claims.append(Claim(offer.worker_id, claimed, data, task, version))
        self.free -= 1
        self._uncounted += 1
        return None

    def _version_for(self, run: RunRow) -> VersionRow | None:
        """Return the version that runs it: the one it is fixed to, else the current one.

        A version that came from a live worker has no copy here: once its worker is gone, a run that did not
        ask for it by name goes on with the current one, and one that did leaves the line (None), so that it
        does not stop what is behind it.
        """
        if run.version_id is not None:
            fixed = self._known_version(run.version_id)
            if fixed is not None and fixed.id in self._connected:
                return fixed
            if run.is_pinned or (fixed is not None and fixed.kind != "local"):
                return None
        return self._current

    def _known_version(self, version_id: str) -> VersionRow | None:
        if version_id not in self._versions:
            found = versions.find_version(self._tx, self._environment_id, version_id)
            if found is None:
                return None
            self._versions[version_id] = found
        return self._versions[version_id]

    def _task(self, version_id: str, task_id: str) -> TaskRow | None:
        key = (version_id, task_id)
        if key not in self._tasks:
            self._tasks[key] = versions.find_task(self._tx, version_id, task_id)
        return self._tasks[key]


def _claim(tx: Tx, run: RunRow, *, task: TaskRow, worker_id: str) -> RunRow:
    """Fix what the first claim fixes, and move the run (Q-27)."""
    changes: dict[str, object] = {"queued": 0, "worker_id": worker_id, "version_id": task.worker_version_id}
    if run.started_at is None:
        changes["started_at"] = tx.now
        changes["machine"] = run.machine or task.machine or DEFAULT_MACHINE
        changes["max_duration"] = run.max_duration if run.max_duration is not None else task.max_duration
        changes["retry"] = task.retry
        if run.max_attempts is None:
            changes["max_attempts"] = _task_max_attempts(task)
    return lifecycle.move(tx, run, Transition.CLAIM, description="Dequeued by a worker", changes=changes)


def _task_max_attempts(task: TaskRow) -> int | None:
    settings = decode_retry(task.retry)
    wanted = settings.max_attempts if settings else None
    return None if wanted is None else min(wanted, MAX_ATTEMPTS)


# ---- pause and limits -------------------------------------------------------------------------------


def set_paused(tx: Tx, environment_id: str, name: str, *, paused: bool) -> None:
    """Pause or resume a queue: triggers are accepted, nothing new starts, what runs goes on (Q-33)."""
    queue = queues.find_queue(tx, environment_id, name)
    if queue is None:
        raise NotFound("queue-not-found")
    queues.update_queue_paused(tx, queue.id, paused=paused)
    slots.refresh_queue(tx, queue._replace(paused=int(paused)))
    tx.emit(QueueChanged(environment_id, queue.id))


def set_environment_limit(
    tx: Tx, environment_id: str, concurrency_limit: int, burst_percent: int | None = None
) -> None:
    """Change how many runs an environment may hold; nothing running is stopped (Q-18).

    All its queues together may hold `burst_percent` of it, which stays when not given (Q-15). Overrides given
    as a percentage of the limit follow it (Q-37).
    """
    environments.update_concurrency_limit(tx, environment_id, concurrency_limit)
    if burst_percent is not None:
        environments.update_burst(tx, environment_id, burst_percent)
    for queue in queues.list_queues(tx, environment_id):
        slots.refresh_queue(tx, queue_limits.follow_environment(tx, queue, concurrency_limit))
        tx.emit(QueueChanged(environment_id, queue.id))


def set_environment_paused(tx: Tx, environment_id: str, *, paused: bool) -> None:
    """Pause or resume all queues of an environment (Q-34)."""
    environments.update_paused(tx, environment_id, paused=paused)
    for queue in queues.list_queues(tx, environment_id):
        tx.emit(QueueChanged(environment_id, queue.id))
