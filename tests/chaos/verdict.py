"""What must hold when everything is over: nothing lost, nothing twice, nothing stuck."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from tests.chaos.journal import ANSWERED, Entry, Journal, Trigger, read_ledger
from tests.chaos.records import BulkRecord, Records, RunRecord, SnapshotRecord
from tests.chaos.stage import Stage
from tests.chaos.timetable import Timetable
from trigger_lite.engine.lifecycle import TRANSITIONS
from trigger_lite.protocol.statuses import RELEASES_IDEMPOTENCY_KEY, TERMINAL, RunStatus, api_status

_MOVES: Final = frozenset(
    (None if before is None else before.value, after.value) for (before, _), (after, _) in TRANSITIONS.items()
)
_ENDS: Final = frozenset(status.value for status in TERMINAL)
_CANCELED: Final = RunStatus.CANCELED.value
_DONE: Final = RunStatus.COMPLETED_SUCCESSFULLY.value
_LATE_SECONDS: Final = 10
_COULD_NOT_TRIGGER: Final = "BATCH_ITEM_COULD_NOT_TRIGGER"
_UNSTARTED: Final = "The worker did not start it in time"
_HANDED_BACK: Final = "Handed back unstarted"
# How a run of a task may end beside success: by what its own code does, or because its process was killed.
_OWN_ENDS: Final = {"doomed": frozenset({"COMPLETED_WITH_ERRORS"})}
_BY_KILLS: Final = (
    "TASK_RUN_STALLED_EXECUTING",
    "TASK_RUN_STALLED_EXECUTING_WITH_WAITPOINTS",
    "TASK_PROCESS_MAYBE_OOM_KILLED",
)


@dataclass
class Evidence:
    """Everything there is to judge by."""

    journal: Journal
    ledger: dict[str, list[Entry]]
    runs: dict[str, RunRecord]
    snapshots: dict[str, list[SnapshotRecord]]
    batches: dict[str, str]
    bulk_items: list[BulkRecord]
    timetable: Timetable
    state: list[str]
    """What is amiss in the database as a whole."""

    @property
    def statuses(self) -> Counter[str]:
        """How many runs ended how."""
        return Counter(run.status for run in self.runs.values())

    @property
    def unconfirmed(self) -> int:
        """Count the times that code ran in an attempt which was never recorded."""
        attempts = {run.id: run.attempt for run in self.runs.values()}
        return sum(max(0, len(entries) - attempts.get(run, 0)) for run, entries in self.ledger.items())

    @property
    def recoveries(self) -> Counter[str]:
        """How often a run went on after something it needed was killed."""
        counts: Counter[str] = Counter()
        for snapshot in (snapshot for history in self.snapshots.values() for snapshot in history):
            if snapshot.description == _UNSTARTED:
                counts["handed out again"] += 1
            elif snapshot.error and any(code in snapshot.error for code in _BY_KILLS):
                counts["attempt lost with its process"] += 1
        return counts


def collect(stage: Stage, journal: Journal, timetable: Timetable) -> Evidence:
    """Read what is left once the server has stopped."""
    with Records(stage) as records:
        return Evidence(
            journal,
            read_ledger(stage.ledger),
            records.runs(),
            records.snapshots(),
            records.batches(),
            records.bulk_items(),
            timetable,
            records.wrong_counters() + records.overdue(_LATE_SECONDS),
        )


def judge(evidence: Evidence) -> list[str]:
    """Return everything that is not as promised; nothing is what one wants."""
    return [
        *evidence.journal.surprises,
        *evidence.state,
        *_lost_or_twice(evidence),
        *_batches(evidence),
        *_keys(evidence),
        *_replays(evidence),
        *_cancels(evidence),
        *evidence.timetable.judge(evidence.runs.values()),
        *_bulk(evidence),
        *_forced(evidence),
        *_looks(evidence),
        *_tokens(evidence),
        *(fault for run in evidence.runs.values() for fault in _run(evidence, run)),
    ]


# ---- what clients were told ---------------------------------------------------------------------------


def _lost_or_twice(evidence: Evidence) -> Iterator[str]:
    """An answered trigger has its run; none, answered or not, has two."""
    by_name: defaultdict[str, list[RunRecord]] = defaultdict(list)
    for run in evidence.runs.values():
        if run.replay_of is None and run.schedule_id is None and not _stands_in(evidence, run):
            by_name[_name(run)].append(run)
    names = {trigger.name for trigger in evidence.journal.triggers}
    for trigger in evidence.journal.triggers:
        made = by_name[trigger.name]
        if trigger.run_id is not None and trigger.run_id not in evidence.runs:
            yield f"trigger {trigger.name} was answered with {trigger.run_id}, which does not exist"
        if len(made) > 1:
            yield f"trigger {trigger.name} made {len(made)} runs: {[run.id for run in made]}"
        if (
            trigger.key is None
            and trigger.run_id is not None
            and [run.id for run in made] != [trigger.run_id]
        ):
            yield f"trigger {trigger.name} was answered {trigger.run_id} and made {[run.id for run in made]}"
    # A run triggers others under its own name and more.
    yield from (f"nobody triggered the runs of {name}" for name in by_name if name.split("/")[0] not in names)


def _is_right(trigger: Trigger, made: list[RunRecord]) -> bool:
    """Tell whether there is one run, and the one that was answered, or of the batch that was."""
    if trigger.batch_id is not None:
        return [run.batch_id for run in made] == [trigger.batch_id]
    return [run.id for run in made] == [trigger.run_id]


def _batches(evidence: Evidence) -> Iterator[str]:
    """A batch that came whole is complete."""
    whole = {trigger.batch_id for trigger in evidence.journal.triggers if trigger.batch_id is not None}
    for batch_id in whole:
        if evidence.batches.get(batch_id) != "COMPLETED":
            yield f"{batch_id} was answered for and is {evidence.batches.get(batch_id)}"


def _keys(evidence: Evidence) -> Iterator[str]:
    """One idempotency key leads to one run, unless that one failed and gave the key up."""
    answered: defaultdict[str, set[str]] = defaultdict(set)
    for trigger in evidence.journal.triggers:
        if trigger.key is not None and trigger.run_id is not None:
            answered[trigger.key].add(trigger.run_id)
    for key, run_ids in answered.items():
        kept = [run_id for run_id in run_ids if not _gave_up_key(evidence.runs.get(run_id))]
        if len(kept) > 1:
            yield f"idempotency key {key} led to {sorted(kept)}"


def _gave_up_key(run: RunRecord | None) -> bool:
    return run is not None and RunStatus(run.status) in RELEASES_IDEMPOTENCY_KEY


def _replays(evidence: Evidence) -> Iterator[str]:
    made = Counter(run.replay_of for run in evidence.runs.values() if run.replay_of is not None)
    asked = Counter(original for original, _ in evidence.journal.replays)
    asked.update(original for originals, _ in evidence.journal.bulk_replays for original in originals)
    for original, run_id in evidence.journal.replays:
        if run_id is not None and (
            run_id not in evidence.runs or evidence.runs[run_id].replay_of != original
        ):
            yield f"a replay of {original} was answered with {run_id}, which is none"
    for original, count in made.items():
        if count > asked[original]:
            yield f"{original} was to be replayed {asked[original]} times and was {count} times"


def _bulk(evidence: Evidence) -> Iterator[str]:
    """A bulk replay that was answered made one run of each it names, however often interrupted (CN-15)."""
    done = {(item.bulk_id, item.run_id): item for item in evidence.bulk_items}
    for originals, bulk_id in evidence.journal.bulk_replays:
        for original in originals if bulk_id is not None else ():
            item = done.get((bulk_id or "", original))
            made = None if item is None else evidence.runs.get(item.new_run_id or "")
            if (
                item is None
                or item.action_status != "COMPLETED"
                or made is None
                or made.replay_of != original
            ):
                yield f"{bulk_id} was to replay {original}: {item}"


def _forced(evidence: Evidence) -> Iterator[str]:
    """A schedule was run at once as often as somebody asked for it."""
    made = Counter(
        run.schedule_id for run in evidence.runs.values() if run.schedule_id and run.scheduled_for is None
    )
    asked = Counter(schedule_id for schedule_id, _ in evidence.journal.forced)
    answered = {run_id for _, run_id in evidence.journal.forced if run_id is not None}
    yield from (f"{run_id} was answered and does not exist" for run_id in answered - evidence.runs.keys())
    for schedule_id, count in made.items():
        if count > asked[schedule_id]:
            yield f"{schedule_id} was to be run {asked[schedule_id]} times and was {count} times"


def _cancels(evidence: Evidence) -> Iterator[str]:
    for run in evidence.runs.values():
        if run.status == _CANCELED and not _is_asked_to_end(evidence, run):
            yield f"{run.id} is canceled, and nobody asked for it"
    for run_id, told in evidence.journal.cancels.items():
        if told == ANSWERED and evidence.runs[run_id].status not in _ENDS:
            yield f"{run_id} was to be canceled, and is {evidence.runs[run_id].status}"


def _is_asked_to_end(evidence: Evidence, run: RunRecord | None) -> bool:
    """Tell whether somebody cancelled the run, or one that it descends from (CN-04)."""
    while run is not None:
        if run.id in evidence.journal.cancels:
            return True
        run = evidence.runs.get(run.parent_id or "")
    return False


def _looks(evidence: Evidence) -> Iterator[str]:
    for run_id, seen in evidence.journal.seen.items():
        status = evidence.runs[run_id].status
        if api_status(RunStatus(status)).value != seen:
            yield f"{run_id} was seen {seen}, and is {status}"


def _tokens(evidence: Evidence) -> Iterator[str]:
    """All who waited for one token were told the same (WP-02, WP-03)."""
    told: defaultdict[str, set[str]] = defaultdict(set)
    for run in evidence.runs.values():
        token = json.loads(run.payload or "{}").get("token")
        if token is not None and run.status == _DONE:
            told[token].add((run.output or "").rpartition(" ")[2])
    yield from (
        f"{token} was completed with {answers}" for token, answers in told.items() if len(answers) > 1
    )


# ---- one run ------------------------------------------------------------------------------------------


def _run(evidence: Evidence, run: RunRecord) -> Iterator[str]:
    history = evidence.snapshots.get(run.id, [])
    entries = evidence.ledger.get(run.id, [])
    faults = (
        *_end(run),
        *_history(run, history),
        *_side_effects(run, history, entries),
        *_outcome(evidence, run),
    )
    for fault in faults:
        path = " ".join(f"{snapshot.execution_status}/{snapshot.attempt}" for snapshot in history)
        yield f"{run.id} ({run.task_id}, {run.status}): {fault}; its path: {path}"


def _end(run: RunRecord) -> Iterator[str]:
    if run.execution_status != "FINISHED" or run.status not in _ENDS or run.completed_at is None:
        yield f"it is not over: {run.execution_status}"
    if run.queued or run.holds_slot or run.worker_id is not None:
        yield f"it is over but {run.queued=} {run.holds_slot=} {run.worker_id=}"


def _history(run: RunRecord, history: list[SnapshotRecord]) -> Iterator[str]:
    """Every step is one of the table, none is missing, and nothing follows the end."""
    if [snapshot.seq for snapshot in history] != list(range(1, run.snapshot_seq + 1)):
        yield f"its snapshots are {[snapshot.seq for snapshot in history]}, not up to {run.snapshot_seq}"
    states = [None, *(snapshot.execution_status for snapshot in history)]
    for step in pairwise(states):
        if step not in _MOVES:
            yield f"it moved from {step[0]} to {step[1]}"
    ends = [snapshot.run_status for snapshot in history if snapshot.run_status in _ENDS]
    if set(ends) - {run.status} or states.count("FINISHED") > 1:
        yield f"it ended more than once: {ends}"


def _side_effects(run: RunRecord, history: list[SnapshotRecord], entries: list[Entry]) -> Iterator[str]:
    """Each attempt's code ran at most once, and the one that succeeded did.

    Code begins while its start is reported: one more may have run each time the report cannot have come.
    """
    attempts = [entry.attempt for entry in entries]
    if len(attempts) > run.attempt + _unconfirmed(history):
        yield f"its code ran {len(attempts)} times (attempts {attempts}) in {run.attempt} attempts"
    if run.status == _DONE and run.attempt not in attempts:
        yield f"it succeeded in attempt {run.attempt}, whose code did not run: {attempts}"
    if run.delay_until is not None and entries and min(entry.at for entry in entries) < run.delay_until:
        yield "it started before its delay was over"
    if run.max_attempts is not None and run.attempt > run.max_attempts:
        yield f"it had {run.attempt} attempts of {run.max_attempts}"


def _unconfirmed(history: list[SnapshotRecord]) -> int:
    """Count how often a worker could begin an attempt, and was gone or told to stop before it said so."""
    return sum(_may_begin(before) and not _has_begun(after) for before, after in pairwise(history))


def _may_begin(snapshot: SnapshotRecord) -> bool:
    between_attempts = snapshot.execution_status == "EXECUTING" and snapshot.retry_at is not None
    return snapshot.execution_status == "PENDING_EXECUTING" or between_attempts


def _has_begun(snapshot: SnapshotRecord) -> bool:
    return snapshot.execution_status == "EXECUTING" or snapshot.description == _HANDED_BACK


def _outcome(evidence: Evidence, run: RunRecord) -> Iterator[str]:
    """It ended as its code says, unless somebody cancelled it or its process was killed too often."""
    if run.status == _DONE:
        if run.output not in _expected(evidence, run):
            yield f"its output is {run.output}"
    elif run.status not in (_CANCELED, *_OWN_ENDS.get(run.task_id, ())) and not _stands_in(evidence, run):
        expiring = {trigger.name for trigger in evidence.journal.triggers if trigger.may_expire}
        if run.status == "EXPIRED" and _name(run) in expiring:
            return
        if not any(code in (run.error or "") for code in _BY_KILLS):
            yield f"it ended {run.status}: {run.error}"


def _stands_in(evidence: Evidence, run: RunRecord) -> bool:
    """Tell whether it is in the place of a batch's item that came when its parent was over (BA-13)."""
    parent = evidence.runs.get(run.parent_id or "")
    is_late = parent is not None and parent.status in _ENDS and parent.status != _DONE
    return is_late and run.batch_id is not None and _COULD_NOT_TRIGGER in (run.error or "")


def _expected(evidence: Evidence, run: RunRecord) -> list[str]:
    """Return what a run may answer: its name, its time, or what somebody completed its token with."""
    payload = json.loads(run.payload or "{}")
    if run.task_id == "tick":
        fire = payload["json"]
        return [f"{fire['scheduleId']} {_unix_ms(fire['timestamp'])}"]
    name, token = _name(run), payload.get("token")
    if token is None:
        return [name]
    return [f"{name} {data}" for data in ("nobody", *evidence.journal.tokens[token])]


def _unix_ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def _name(run: RunRecord) -> str:
    return str(json.loads(run.payload or "{}").get("name"))
