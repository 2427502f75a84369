"""What must hold after every step of the engine, and what is kept of earlier steps to tell."""

from collections import Counter, defaultdict
from typing import Any, Final

import orjson
from hypothesis.stateful import RuleBasedStateMachine, invariant

from tests.support.harness import Harness
from trigger_lite.engine.run_json import decode_tags
from trigger_lite.protocol.statuses import HOLDS_SLOT, OWNED_BY_WORKER, TERMINAL
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.store.runs import RunRow

IS_RATED: Final = "rate_count IS NOT NULL OR key_rate_count IS NOT NULL"
CONTINUED: Final = (X.EXECUTING, X.QUEUED_EXECUTING)


class Watched(RuleBasedStateMachine):
    """An engine that is looked at after every step; `waits_for` and `starts` are noted by who acts."""

    engine: Harness

    def __init__(self) -> None:
        super().__init__()
        self.ended: dict[str, str] = {}
        self.seqs: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.waits_for: dict[str, set[str]] = {}
        self.removed: set[str] = set()
        self.starts: defaultdict[Any, list[int]] = defaultdict(list)

    def runs(self, *states: X) -> list[RunRow]:
        rows = self.engine.ask(f"SELECT {', '.join(RunRow._fields)} FROM run ORDER BY id")
        return [run for run in (RunRow(*row) for row in rows) if not states or run.execution_status in states]

    def note_start(self, meter: tuple[str, str, str | None], rate: list[int | None]) -> None:
        """Note a start: in no span of time are there more than burst + rate x span."""
        count, period, burst = rate
        if count is None or period is None or burst is None:
            return
        times = self.starts[meter, count, period, burst]
        times.append(self.engine.now)
        for index, first in enumerate(times):
            started, span = len(times) - index, self.engine.now - first
            assert (started - burst) * period <= count * span, f"{started} starts of {meter} in {span} ms"

    @invariant()
    def everything_holds(self) -> None:
        runs = self.runs()
        self.check_counters(runs)
        self.check_waits(runs)
        self.check_batches(runs)
        for run in runs:
            self.check_run(run)
        assert len(runs) >= len(self.seqs), "no run is lost"

    def check_run(self, run: RunRow) -> None:
        state = X(run.execution_status)
        assert bool(run.holds_slot) == (state in HOLDS_SLOT)
        assert bool(run.queued) == (state is X.QUEUED)
        assert (run.worker_id is not None) == (state in OWNED_BY_WORKER | {X.PENDING_CANCEL})
        assert (run.completed_at is not None) == (state is X.FINISHED)
        assert (R(run.status) in TERMINAL) == (state in (X.FINISHED, X.PENDING_CANCEL))
        assert run.attempt <= (run.max_attempts or 250)
        assert (
            self.ended.setdefault(run.id, run.status) == run.status or R(self.ended[run.id]) not in TERMINAL
        )
        self.ended[run.id] = run.status
        assert run.snapshot_seq >= self.seqs.get(run.id, 0), "snapshots only grow"
        self.seqs[run.id] = run.snapshot_seq
        decode_tags(run.tags)

    def check_counters(self, runs: list[RunRow]) -> None:
        """Slots held are rows holding one, and heads of lanes the first rows in line."""
        held = Counter(run.lane_id for run in runs if run.holds_slot)
        waiting = defaultdict(list)
        for run in runs:
            if run.queued:
                waiting[run.lane_id].append(run.score)
        lanes = self.engine.ask(
            """SELECT id, lane_key, held, head_score, capacity, paused, blocked, waiting, rate_at, not_before
                 FROM lane"""
        )
        assert {*held, *waiting} <= {lane[0] for lane in lanes}
        for lane_id, key, lane_held, head, capacity, paused, blocked, in_line, rate_at, until in lanes:
            assert lane_held == held[lane_id]
            assert head == min(waiting[lane_id], default=None)
            assert in_line == len(waiting[lane_id])
            assert blocked == int(bool(paused) or lane_held >= capacity or until > 0)
            assert key == "" or lane_held or head is not None or rate_at, "an empty lane goes"
            assert head is not None or not rate_at or until, "its bucket is forgotten when it is full"
            assert lane_held <= max(capacity, self.held.get(lane_id, 0)), "a limit holds for what starts"
        load = self.engine.load()
        assert load.held == held.total()
        assert load.held <= max(load.slots, self.held.get("", 0)), "the environment's limit holds"
        self.held = {lane[0]: lane[2] for lane in lanes} | {"": load.held}
        self.check_limits(load.concurrency_limit)

    def check_limits(self, most: int) -> None:
        """Lanes know the limit in force, the pause and the rate of their queue."""
        for capacity, own, lane_paused, paused, rated, has_rate in self.engine.ask(
            f"""SELECT capacity,
                   CASE WHEN overridden_at IS NULL THEN concurrency_limit ELSE limit_override END,
                   lane.paused, queue.paused, rated, CASE WHEN {IS_RATED} THEN 1 ELSE 0 END
                 FROM lane JOIN queue ON queue.id = queue_id"""
        ):
            assert capacity == (most if own is None else min(own, most))
            assert (lane_paused, rated) == (paused, has_rate)

    def check_waits(self, runs: list[RunRow]) -> None:
        """Who waits lacks something; who goes on was told of all it waited for, once."""
        pending = set(self.engine.ask("SELECT id FROM waitpoint WHERE status = 'PENDING'"))
        edges: defaultdict[str, set[str]] = defaultdict(set)
        of_items: defaultdict[str, set[str]] = defaultdict(set)
        for run_id, waitpoint_id, index in self.engine.ask(
            "SELECT run_id, waitpoint_id, batch_index FROM run_waitpoint"
        ):
            (of_items if index >= 0 else edges)[run_id].add(waitpoint_id)
        for run in runs:
            if run.execution_status == X.EXECUTING_WITH_WAITPOINTS:
                assert edges[run.id] & pending, f"{run.id} waits for nothing"
                assert edges[run.id] == self.waits_for[run.id]
                assert not of_items[run.id] & pending, "the results of a batch come when it is over"
                continue
            assert not edges[run.id] | of_items[run.id], f"{run.id} does not wait any more"
            expected = self.waits_for.pop(run.id, None)
            if expected is not None and run.execution_status in CONTINUED:
                told = self.told(run)
                assert expected <= told, f"{run.id} was not told of all"
        finished = {run.id for run in runs if run.execution_status == X.FINISHED}
        for waitpoint_id, run_id in self.engine.ask("SELECT id, completes_run FROM waitpoint"):
            assert run_id not in finished or waitpoint_id not in pending, "the end of a run is told"

    def told(self, run: RunRow) -> set[str]:
        completed = self.engine.snapshots(run)[-1].completed
        assert completed is not None, f"{run.id} went on and was told nothing"
        return {waitpoint_id for waitpoint_id, _ in orjson.loads(completed)}

    def check_batches(self, runs: list[RunRow]) -> None:
        finished = {run.id for run in runs if run.execution_status == X.FINISHED}
        rows = self.engine.ask(
            "SELECT id, status, run_count, received, failed, finished, is_sealed, completed_at FROM batch"
        )
        for batch_id, status, count, received, failed, over, is_sealed, completed_at in rows:
            items = self.engine.ask(
                "SELECT run_id, error_code FROM batch_item WHERE batch_id = :batch_id", batch_id=batch_id
            )
            assert received == len(items) <= count
            assert failed == sum(code is not None for _, code in items)
            ended = finished | self.removed
            assert over == sum(code is None and run_id in ended for run_id, code in items)
            if is_sealed:
                assert received == count
                assert (completed_at is not None) == (failed + over == count)
            else:
                assert (completed_at is not None) == (status == "ABORTED")
