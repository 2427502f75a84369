"""The rest of what happens in an installation: debounces, schedules, bulk actions, and what is removed."""

from collections import Counter
from typing import Any, Final

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.support.builders import a_request, a_run
from tests.support.model import TASKS, Model, seldom, which_one
from tests.support.schedules import a_schedule, due
from trigger_lite.engine.batch_items import add_item
from trigger_lite.engine.bulk_actions import (
    BulkRequest,
    abort_bulk_action,
    act,
    complete,
    create_bulk_action,
    freeze,
    next_runs,
)
from trigger_lite.engine.checks import CHECKS
from trigger_lite.engine.delays import reschedule
from trigger_lite.engine.firing import fire, fire_queued, run_now
from trigger_lite.engine.retention import Kind, find_old, remove
from trigger_lite.engine.schedules import delete_schedule, repair_plans, set_active
from trigger_lite.protocol.errors import Refusal
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.protocol.tasks import DebounceOption
from trigger_lite.store.bulk_actions import BulkActionRow
from trigger_lite.store.run_lists import RunFilter
from trigger_lite.store.runs import RunRow
from trigger_lite.store.schedules import Planned

OLD_MS: Final = 60_000
HOLDING: Final = tuple(check for check in CHECKS if not check.needs_server)


class WholeModel(Model):
    """What is told of a run in `Model` holds beside all of this, too."""

    def __init__(self) -> None:
        self.schedules: list[Planned] = []
        self.run_beside: set[str] = set()
        self.rescheduled: set[str] = set()
        self.bulk_id: str | None = None
        super().__init__()

    # ---- delays and debounces -------------------------------------------------------------------------

    @rule(
        task=st.sampled_from(TASKS),
        mode=st.sampled_from(["leading", "trailing"]),
        delay=st.sampled_from(["2s", "10s"]),
        most=st.sampled_from([None, "12s"]),
        which=which_one,
        waits=st.booleans(),
    )
    def debounce(self, task: str, mode: Any, delay: str, most: str | None, which: int, waits: bool) -> None:
        option = DebounceOption("user-7", delay, mode=mode, max_delay=most)
        parent = self.pick(which, X.EXECUTING) if waits else None
        payload = {"at": self.engine.now}
        try:
            run = a_run(
                self.engine,
                task,
                payload=payload,
                debounce=option,
                parent_run_id=parent.id if parent else None,
                resume_parent_on_completion=True if parent else None,
            )
        except Refusal:
            self.refused += 1
            return
        assert run.execution_status == X.DELAYED and run.debounce_key == "user-7"
        if run.debounce_until is not None and run.id not in self.rescheduled:
            assert (run.delay_until or 0) <= run.debounce_until
        if mode == "trailing":
            assert orjson.loads(self.engine.data(run).payload or "") == payload
        if parent is not None:
            [waitpoint] = self.engine.ask("SELECT id FROM waitpoint WHERE completes_run = :id", id=run.id)
            self.note_wait(parent.id, waitpoint)

    @rule(which=which_one, seconds=st.sampled_from([-5, 1, 15]))
    def reschedule(self, which: int, seconds: int) -> None:
        if run := self.pick(which, X.DELAYED):
            self.rescheduled.add(run.id)
            self.engine.do(reschedule, self.engine.prod.id, run.id, self.engine.now + seconds * 1_000)

    @precondition(lambda self: bool(self.batches))
    @rule(which=which_one, index=st.integers(0, 2), task=st.sampled_from(TASKS[:2]))
    def send_item_with_a_key(self, which: int, index: int, task: str) -> None:
        batch_id, _ = self.batches[which % len(self.batches)]
        request = a_request(self.engine, task, idempotency_key="k1", idempotency_key_ttl="30s")
        self.try_(add_item, self.engine.prod, batch_id, index, request)

    # ---- schedules ------------------------------------------------------------------------------------

    @rule(
        overlap=st.sampled_from(["allow", "skip", "queue"]),
        catch_up=st.sampled_from(["latest", "all", "none"]),
    )
    def make_schedule(self, overlap: str, catch_up: str) -> None:
        made = a_schedule(self.engine, "* * * * *", key=overlap, overlap=overlap, catch_up=catch_up)
        self.schedules = [*(s for s in self.schedules if s.schedule.id != made.schedule.id), made]

    @precondition(lambda self: bool(self.schedules))
    @rule(seconds=st.sampled_from([0, 20, 60, 200]))
    def fire_schedules(self, seconds: float) -> None:
        self.engine.pass_time(seconds)
        for row in due(self.engine)[:10]:
            self.try_(fire_queued if row.is_queued else fire, row.instance_id, row.at)

    @precondition(lambda self: bool(self.schedules))
    @rule(which=which_one, what=st.sampled_from(["off", "on", "on", "run", "delete"]), now=seldom)
    def change_schedule(self, which: int, what: str, now: bool) -> None:
        schedule_id = self.schedules[which % len(self.schedules)].schedule.id
        if what == "run":
            run_id = self.try_(run_now, self.engine.prod, schedule_id)
            self.run_beside |= {run_id} - {None}
        elif what == "delete" and now:
            self.engine.do(delete_schedule, self.engine.prod, schedule_id)
            self.schedules = [s for s in self.schedules if s.schedule.id != schedule_id]
        else:
            self.engine.do(set_active, self.engine.prod, schedule_id, active=what != "off")

    @precondition(lambda self: bool(self.schedules))
    @rule()
    def look_over_plans(self) -> None:
        before = self.engine.ask("SELECT * FROM schedule_instance ORDER BY id")
        self.engine.do(repair_plans, "", 100)
        after = self.engine.ask("SELECT * FROM schedule_instance ORDER BY id")
        assert after == before, "repairing what is whole changes no plan"

    # ---- bulk actions ---------------------------------------------------------------------------------

    @rule(
        kind=st.sampled_from(["cancel", "replay"]),
        statuses=st.sampled_from([(R.PENDING,), (R.EXECUTING,), (R.COMPLETED_SUCCESSFULLY,), ()]),
        task=st.sampled_from(TASKS),
    )
    def make_bulk_action(self, kind: str, statuses: tuple[R, ...], task: str) -> None:
        wanted = RunFilter(environment_id=self.engine.prod.id, statuses=statuses, task_ids=(task,))
        frozen = self.engine.do(freeze, wanted)
        request = BulkRequest(kind=kind, source="api", wanted=frozen)
        self.bulk_id = self.try_(create_bulk_action, self.engine.prod, request)
        self.work_on_bulk_action(count=2, aborts=False)

    @precondition(lambda self: self.bulk_id is not None)
    @rule(count=st.integers(1, 3), aborts=seldom)
    def work_on_bulk_action(self, count: int, aborts: bool) -> None:
        bulk = self.bulk()
        if bulk is None or bulk.status != "PENDING":
            return
        if aborts:
            self.engine.do(abort_bulk_action, self.engine.prod.id, bulk.id)
            return
        run_ids = self.engine.do(next_runs, bulk)[:count]
        if run_ids:
            assert self.engine.do(act, bulk.id, bulk.cursor, run_ids)
            assert not self.engine.do(act, bulk.id, bulk.cursor, run_ids), "nothing is done twice"
        else:
            self.engine.do(complete, bulk.id, bulk.cursor)

    def bulk(self) -> BulkActionRow | None:
        columns = ", ".join(BulkActionRow._fields)
        rows = self.engine.ask(f"SELECT {columns} FROM bulk_action WHERE id = :id", id=self.bulk_id or "")
        return BulkActionRow(*rows[0]) if rows else None

    # ---- retention ------------------------------------------------------------------------------------

    @rule(kinds=st.sets(st.sampled_from(Kind), min_size=1), seconds=st.sampled_from([0, 30]))
    def remove_what_is_old(self, kinds: set[Kind], seconds: int) -> None:
        """Only what is over goes; the model forgets what is gone."""
        self.engine.pass_time(seconds)
        before = {run.id: run for run in self.runs()}
        edge = self.engine.now - OLD_MS
        for kind in sorted(kinds):
            old = self.engine.do(find_old, kind, after="", before=edge, count=50)
            self.engine.do(remove, kind, old.ids, edge)
        for run_id in before.keys() - {run.id for run in self.runs()}:
            assert (before[run_id].completed_at or edge) < edge, f"{run_id} was not old"
            self.removed.add(run_id)
            self.seqs.pop(run_id, None)
            self.ended.pop(run_id, None)
        known = set(self.engine.ask("SELECT id FROM waitpoint"))
        self.tokens = [token for token in self.tokens if token.id in known]

    # ---- what must hold -------------------------------------------------------------------------------

    @invariant()
    def the_checks_find_nothing(self) -> None:
        for check in HOLDING:
            assert self.engine.do(check.find, 5) == [], check.wrong

    @invariant()
    def schedules_run_as_told(self) -> None:
        going_on = [run for run in self.runs() if run.schedule_id and run.execution_status != X.FINISHED]
        by_schedule = Counter(run.schedule_id for run in going_on if run.id not in self.run_beside)
        for made in self.schedules:
            [(next_at, queued_for, waits_for)] = self.engine.ask(
                "SELECT next_at, queued_for, waits_for FROM schedule_instance WHERE id = :id",
                id=made.instance.id,
            )
            assert waits_for is None or queued_for is not None
            assert waits_for is None or waits_for in {run.id for run in going_on}, "its end was missed"
            if queued_for is not None:
                assert next_at is not None and queued_for < next_at
        at_once = {made.schedule.id: made.schedule.overlap for made in self.schedules}
        for schedule_id, count in by_schedule.items():
            assert at_once.get(schedule_id or "", "allow") == "allow" or count <= 1, "overlap is forbidden"

    @invariant()
    def batches_tell_all_results(self) -> None:
        """Who went on after a batch was told of every item that a run answers."""
        for run in self.runs(X.EXECUTING):
            newest = self.engine.snapshots(run)[-1]
            if newest.batch_id is not None and newest.completed is not None:
                self.check_told(run, newest.batch_id, orjson.loads(newest.completed))

    def check_told(self, run: RunRow, batch_id: str, told: list[tuple[str, int | None]]) -> None:
        rows = self.engine.ask(
            """SELECT idx FROM batch_item JOIN batch ON batch.id = batch_id
                WHERE batch_id = :id AND run_id IS NOT NULL AND is_sealed = 1""",
            id=batch_id,
        )
        assert {index for _, index in told} >= set(rows), f"{run.id} was not told all results"
        known = set(self.engine.ask("SELECT id FROM waitpoint"))
        assert {waitpoint_id for waitpoint_id, index in told if index is not None} <= known
