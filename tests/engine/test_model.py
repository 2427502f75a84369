"""Random operations on the real engine; what must always hold is checked after every step.

`make test` makes 4,000 steps on each database, others every time; `--model-steps 100000` makes more. What
fails is printed as the shortest program that shows it.
"""

from collections import Counter, defaultdict
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.builders import (
    a_request,
    a_run,
    a_task,
    a_token,
    a_version,
    complete_with,
    fail,
    newest,
    start,
    succeed,
    wait_for,
    wait_seconds,
)
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.batch_items import ItemFailure, add_item, fail_item
from trigger_lite.engine.batch_requests import BatchRequest
from trigger_lite.engine.batches import abort_batch, create_batch, seal
from trigger_lite.engine.delays import enqueue_delayed
from trigger_lite.engine.deliveries import hand_back, time_out
from trigger_lite.engine.expiry import expire_lapsed
from trigger_lite.engine.queue_limits import Override, QueueRef, override_limit, reset_limit
from trigger_lite.engine.queues import (
    Offer,
    claim_runs,
    set_environment_limit,
    set_environment_paused,
    set_paused,
)
from trigger_lite.engine.recovery import recover
from trigger_lite.engine.replay import replay_run
from trigger_lite.engine.run_json import decode_tags
from trigger_lite.engine.waitpoints import complete_due
from trigger_lite.engine.workers import promote_waiting
from trigger_lite.protocol.errors import Refusal
from trigger_lite.protocol.run_errors import ErrorCode
from trigger_lite.protocol.statuses import HOLDS_SLOT, OWNED_BY_WORKER, RELEASES_IDEMPOTENCY_KEY, TERMINAL
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.store.runs import RunRow
from trigger_lite.store.waitpoints import WaitpointRow

STEPS_OF_AN_EXAMPLE: Final = 100
RATED: Final = {"rate": {"count": 5, "periodMs": 3_000, "burst": 3}}
KEYS_RATED: Final = {"keyRate": {"count": 2, "periodMs": 2_000, "burst": 2}}
TASKS: Final = ("resize", "mail", "unknown")
CONTINUED: Final = (X.EXECUTING, X.QUEUED_EXECUTING)
_which = st.integers(0, 10_000)
_seldom = st.sampled_from([True, *[False] * 7])


class Model(RuleBasedStateMachine):
    """What users, workers and time can do, beside what is expected of it."""

    engine: Harness

    def __init__(self) -> None:
        super().__init__()
        self.engine.begin_anew()
        self.versions: list[str] = []
        self.tokens: list[WaitpointRow] = []
        self.batches: list[tuple[str, int]] = []
        self.ended: dict[str, str] = {}
        self.seqs: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.waits_for: dict[str, set[str]] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.refused = 0
        self.new_version(limits=[2, 1], count=2, now=True, more={})
        for _ in range(3):
            self.work(count=2)

    # ---- choosing -----------------------------------------------------------------------------------

    def runs(self, *states: X) -> list[RunRow]:
        rows = self.engine.ask(f"SELECT {', '.join(RunRow._fields)} FROM run ORDER BY id")
        return [run for run in (RunRow(*row) for row in rows) if not states or run.execution_status in states]

    def pick(self, which: int, *states: X) -> RunRow | None:
        """One of the runs in these states, rather a new one than an old one."""
        runs = self.runs(*states)
        return runs[-1 - which % min(len(runs), 12)] if runs else None

    def try_(self, fn: Any, *args: Any) -> Any:
        """Do something that may be refused."""
        try:
            return self.engine.do(fn, *args)
        except Refusal:
            self.refused += 1
            return None

    # ---- users --------------------------------------------------------------------------------------

    @rule(
        limits=st.lists(st.sampled_from([0, 1, 2, 9]), min_size=2, max_size=2),
        count=st.integers(1, 2),
        now=_seldom,
        more=st.sampled_from([{}, {}, RATED, KEYS_RATED, {**RATED, **KEYS_RATED}]),
    )
    def new_version(self, limits: list[int], count: int, now: bool, more: dict[str, Any]) -> None:
        if not now:
            return
        tasks = [
            a_task(task, queue={"concurrencyLimit": limit, **more})
            for task, limit in zip(TASKS[:count], limits, strict=False)
        ]
        version = a_version(self.engine, *tasks, content=f"{limits}{count}{more}{len(self.seqs)}")
        self.versions = [*(v for v in self.versions[-2:] if v != version.id), version.id]

    @rule(
        which=_which,
        task=st.sampled_from(TASKS),
        key=st.sampled_from([None, None, "k1", "k2"]),
        options=st.fixed_dictionaries(
            {},
            optional={
                "concurrency_key": st.sampled_from(["a", "b"]),
                "priority": st.sampled_from([5.0, -5.0]),
                "ttl": st.sampled_from([1, 10]),
                "delay": st.sampled_from(["3s", "20s"]),
                "resume_parent_on_completion": st.booleans(),
            },
        ),
        has_parent=st.booleans(),
    )
    def trigger(
        self, which: int, task: str, key: str | None, options: dict[str, Any], has_parent: bool
    ) -> None:
        parent = self.pick(which, X.EXECUTING) if has_parent else None
        if parent is None:
            options.pop("resume_parent_on_completion", None)
        before = self.run_of_key(task, key)
        try:
            run = a_run(
                self.engine,
                task,
                idempotency_key=key,
                parent_run_id=parent.id if parent else None,
                **options,
            )
        except Refusal:
            self.refused += 1
            return
        if key is not None:
            assert before is None or run.id == before, "a live key leads to its run"
            self.keys[task, key] = run.id
        if parent is not None and options.get("resume_parent_on_completion"):
            [waitpoint] = self.engine.ask(
                "SELECT id FROM waitpoint WHERE completes_run = :run_id", run_id=run.id
            )
            self.note_wait(parent.id, waitpoint)

    @rule(which=_which, task=st.sampled_from(TASKS[:2]), key=st.sampled_from([None, "k1"]))
    def trigger_and_wait(self, which: int, task: str, key: str | None) -> None:
        self.trigger(which, task, key, {"resume_parent_on_completion": True}, has_parent=True)

    def run_of_key(self, task: str, key: str | None) -> str | None:
        """The run that a key must lead to now, or None when it is free."""
        run_id = self.keys.get((task, key)) if key is not None else None
        if run_id is None or R(self.engine.run(run_id).status) in RELEASES_IDEMPOTENCY_KEY:
            return None
        return run_id

    @rule(which=_which)
    def cancel(self, which: int) -> None:
        if run := self.pick(which):
            self.engine.do(cancel_run, self.engine.prod.id, run.id)

    @rule(which=_which)
    def replay(self, which: int) -> None:
        if run := self.pick(which):
            self.try_(replay_run, self.engine.prod, run.id, "api")

    @rule(queue=_seldom, environment=_seldom)
    def pause(self, queue: bool, environment: bool) -> None:
        self.engine.do(set_paused, self.engine.prod.id, "task/resize", paused=queue)
        self.engine.do(set_environment_paused, self.engine.prod.id, paused=environment)

    @rule(limit=st.sampled_from([1, 3, 6, 10, 10]))
    def change_limit(self, limit: int) -> None:
        self.engine.do(set_environment_limit, self.engine.prod.id, limit)

    @rule(override=st.sampled_from([Override(limit=2), Override(percent=50), Override(limit=99), None]))
    def override_limit(self, override: Override | None) -> None:
        queue = QueueRef("task", "resize")
        if override is None:
            self.try_(reset_limit, self.engine.prod.id, queue)
        else:
            self.try_(override_limit, self.engine.prod.id, queue, override)

    # ---- waits --------------------------------------------------------------------------------------

    def note_wait(self, run_id: str, waitpoint_id: str) -> None:
        if self.engine.run(run_id).execution_status == X.EXECUTING_WITH_WAITPOINTS:
            self.waits_for.setdefault(run_id, set()).add(waitpoint_id)

    @rule(timeout=st.sampled_from([None, "5s", "1m"]), key=st.sampled_from([None, None, "order-7"]))
    def make_token(self, timeout: str | None, key: str | None) -> None:
        token = a_token(self.engine, timeout=timeout, key=key)
        self.tokens = [*(known for known in self.tokens if known.id != token.id), token][-4:]

    @rule(which=_which, run_=_which)
    def wait_for_token(self, which: int, run_: int) -> None:
        run = self.pick(run_, X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS)
        if run and self.tokens:
            token = self.tokens[which % len(self.tokens)]
            try:
                wait_for(self.engine, run, token)
            except Refusal:
                self.refused += 1
            else:
                self.note_wait(run.id, token.id)

    @rule(which=_which, seconds=st.sampled_from([-1, 2, 30]))
    def wait_a_while(self, which: int, seconds: float) -> None:
        if run := self.pick(which, X.EXECUTING):
            known = set(self.engine.ask("SELECT id FROM waitpoint"))
            try:
                wait_seconds(self.engine, run, seconds)
            except Refusal:
                self.refused += 1
            else:
                [made] = set(self.engine.ask("SELECT id FROM waitpoint")) - known
                self.note_wait(run.id, made)

    @rule(count=st.integers(1, 3))
    def complete_tokens(self, count: int) -> None:
        for token in self.tokens[:count]:
            complete_with(self.engine, token)

    # ---- batches ------------------------------------------------------------------------------------

    @rule(which=_which, count=st.integers(1, 3), waits=st.booleans())
    def send_batch(self, which: int, count: int, waits: bool) -> None:
        """Announce a batch, send all of its items, and seal it."""
        known = len(self.batches)
        self.announce_batch(which, count, waits)
        if len(self.batches) > known or known == 3:
            for index in range(count):
                self.send_item(len(self.batches) - 1, index, TASKS[index % 2], fails=which % 5 == 0)
            self.seal_batch(len(self.batches) - 1, gives_up=False)

    @rule(which=_which, count=st.integers(1, 3), waits=st.booleans())
    def announce_batch(self, which: int, count: int, waits: bool) -> None:
        parent = self.pick(which, X.EXECUTING) if waits else None
        request = BatchRequest(
            run_count=count, parent_id=parent.id if parent else None, resume_parent=parent is not None
        )
        opened = self.try_(create_batch, self.engine.prod, request)
        if opened is None:
            return
        self.batches = [*self.batches, (opened.batch.id, count)][-3:]
        if parent is not None:
            [waitpoint] = self.engine.ask(
                "SELECT id FROM waitpoint WHERE completes_batch = :batch_id", batch_id=opened.batch.id
            )
            self.note_wait(parent.id, waitpoint)

    @rule(which=_which, index=st.integers(0, 3), task=st.sampled_from(TASKS), fails=st.booleans())
    def send_item(self, which: int, index: int, task: str, fails: bool) -> None:
        if not self.batches:
            return
        batch_id, _ = self.batches[which % len(self.batches)]
        if fails:
            failure = ItemFailure(task, ErrorCode.BATCH_ITEM_COULD_NOT_TRIGGER, "no")
            self.try_(fail_item, self.engine.prod, batch_id, index, failure)
        else:
            request = a_request(self.engine, task)
            self.try_(add_item, self.engine.prod, batch_id, index, request)

    @rule(which=_which, gives_up=_seldom)
    def seal_batch(self, which: int, gives_up: bool) -> None:
        if self.batches:
            batch_id, _ = self.batches[which % len(self.batches)]
            if gives_up:
                self.try_(abort_batch, self.engine.prod.id, batch_id)
            else:
                self.try_(seal, self.engine.prod, batch_id)

    # ---- workers ------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 3))
    def work(self, count: int) -> None:
        """Trigger, and hand runs to a worker of the newest version, which starts them at once."""
        a_run(self.engine, TASKS[count % 2])
        version = self.versions[-1]
        offers = [Offer(f"worker_{version}", version, count)]
        for claimed in self.engine.do(claim_runs, self.engine.prod.id, offers).runs:
            start(self.engine, claimed.run, worker=claimed.worker_id)

    @rule(credits=st.lists(st.sampled_from([0, 1, 3]), min_size=3, max_size=3))
    def claim(self, credits: list[int]) -> None:
        offers = [
            Offer(f"worker_{version}", version, count)
            for version, count in zip(self.versions, credits, strict=False)
        ]
        claims = self.engine.do(claim_runs, self.engine.prod.id, offers)
        for claimed in claims.runs:
            assert claimed.run.version_id == claimed.version.id == claimed.task.worker_version_id
            assert claimed.worker_id == f"worker_{claimed.version.id}"
        self.check_that_slots_are_used()

    def check_that_slots_are_used(self) -> None:
        """No run whose wait is over waits for a slot that is free."""
        load = self.engine.load()
        if load.held >= load.slots:
            return
        for run in self.runs(X.QUEUED_EXECUTING):
            [(held, capacity)] = self.engine.ask(
                "SELECT held, capacity FROM lane WHERE id = :id", id=run.lane_id
            ) or [(0, 0)]
            assert held >= capacity, f"{run.id} could go on"

    @rule(which=_which)
    def start(self, which: int) -> None:
        if run := self.pick(which, X.PENDING_EXECUTING, X.EXECUTING):
            self.try_do(start, run, worker=run.worker_id or "")

    @rule(which=_which)
    def succeed(self, which: int) -> None:
        if run := self.pick(which, X.EXECUTING, X.PENDING_CANCEL, X.EXECUTING_WITH_WAITPOINTS):
            self.try_do(succeed, run)

    @rule(count=st.integers(1, 4))
    def finish(self, count: int) -> None:
        """End the newest attempts: rather those of children than of parents that wait for them."""
        for run in self.runs(X.EXECUTING)[-count:]:
            succeed(self.engine, run)

    @rule(
        which=_which,
        error=st.sampled_from([None, *ErrorCode]),
        retry_ms=st.sampled_from([None, 0, 5_000, 40_000]),
    )
    def fail(self, which: int, error: ErrorCode | None, retry_ms: int | None) -> None:
        if run := self.pick(which, *OWNED_BY_WORKER, X.PENDING_CANCEL):
            self.try_do(fail, run, error, retry_ms=retry_ms)

    def try_do(self, fn: Any, *args: Any, **options: Any) -> None:
        try:
            fn(self.engine, *args, **options)
        except Refusal:
            self.refused += 1

    @rule(which=_which)
    def hand_back(self, which: int) -> None:
        if run := self.pick(which, X.PENDING_EXECUTING):
            self.engine.do(hand_back, run.environment_id, run.id, newest(run), run.worker_id or "")

    @rule(which=_which, behind=st.integers(1, 3))
    def say_something_stale(self, which: int, behind: int) -> None:
        if run := self.pick(which):
            self.try_do(succeed, run._replace(snapshot_seq=max(1, run.snapshot_seq - behind)))

    @rule(which=_which)
    def connect(self, which: int) -> None:
        version = self.versions[which % len(self.versions)]
        self.engine.do(promote_waiting, self.engine.prod.id, version)

    # ---- time ---------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.3, 2, 30]))
    def pass_time(self, seconds: float) -> None:
        self.engine.pass_time(seconds)

    @rule(seconds=st.sampled_from([0, 1, 40]))
    def tick(self, seconds: float) -> None:
        self.engine.pass_time(seconds)
        self.engine.do(enqueue_delayed, 5)
        self.engine.do(expire_lapsed, 5)
        self.engine.do(complete_due, 5)

    @rule(which=_which)
    def fall_silent(self, which: int) -> None:
        if run := self.pick(which):
            self.engine.do(time_out, run.id, run.snapshot_seq)

    @rule()
    @precondition(lambda self: bool(self.seqs))
    def restart(self) -> None:
        before = self.runs()
        self.engine.do(recover)
        assert self.runs() == before, "repairing what is whole changes no run"

    # ---- what must hold -------------------------------------------------------------------------------

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
        import orjson

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
            assert over == sum(code is None and run_id in finished for run_id, code in items)
            if is_sealed:
                assert received == count
                assert (completed_at is not None) == (failed + over == count)
            else:
                assert (completed_at is not None) == (status == "ABORTED")


@pytest.mark.parametrize("part", range(2))
def test_what_must_hold_holds_after_every_step(
    engine: Harness, part: int, request: pytest.FixtureRequest
) -> None:
    """ST-02, Q-10, Q-11, Q-15, Q-20, Q-21, Q-23, Q-26, HB-11, ID-01, ID-04, WP-04, WP-05, WP-08, BA-15.

    LK-01: slots held are rows that hold one; limits hold; what is over stays so; snapshots only grow; who
    waits lacks something, and goes on once, told of all of it; keys lead to one live run; heads are first.
    """
    steps = request.config.getoption("--model-steps")
    machine = type("ModelOnThisDatabase", (Model,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, steps // 2 // STEPS_OF_AN_EXAMPLE),
            stateful_step_count=STEPS_OF_AN_EXAMPLE,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
