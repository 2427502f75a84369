"""What users, workers and time can do, as random operations on the real engine."""

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

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
from tests.support.recovering import recover
from tests.support.watched import IS_RATED, Watched
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.batch_items import ItemFailure, add_item, fail_item
from trigger_lite.engine.batch_requests import BatchRequest
from trigger_lite.engine.batches import abort_batch, create_batch, seal
from trigger_lite.engine.delays import enqueue_delayed
from trigger_lite.engine.deliveries import hand_back, time_out
from trigger_lite.engine.expiry import expire_lapsed
from trigger_lite.engine.queue_limits import Override, QueueRef, override_limit, reset_limit
from trigger_lite.engine.queues import (
    Claim,
    Offer,
    claim_runs,
    set_environment_limit,
    set_environment_paused,
    set_paused,
)
from trigger_lite.engine.replay import replay_run
from trigger_lite.engine.waitpoints import complete_due
from trigger_lite.engine.workers import promote_waiting
from trigger_lite.protocol.errors import Refusal
from trigger_lite.protocol.run_errors import ErrorCode
from trigger_lite.protocol.statuses import OWNED_BY_WORKER, RELEASES_IDEMPOTENCY_KEY
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.store.runs import RunRow
from trigger_lite.store.waitpoints import WaitpointRow

RATED: Final = {"rate": {"count": 5, "periodMs": 3_000, "burst": 3}}
KEYS_RATED: Final = {"keyRate": {"count": 2, "periodMs": 2_000, "burst": 2}}
SETTINGS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {},
    {},
    RATED,
    KEYS_RATED,
    {**RATED, **KEYS_RATED},
    {"maxLength": 3},
)
TASKS: Final = ("resize", "mail", "unknown")
RATE_COLUMNS: Final = (
    "rate_count, rate_period_ms, rate_burst, key_rate_count, key_rate_period_ms, key_rate_burst"
)
which_one = st.integers(0, 10_000)
seldom = st.sampled_from([True, *[False] * 7])


class Model(Watched):
    """What users, workers and time can do."""

    def __init__(self) -> None:
        super().__init__()
        self.engine.begin_anew()
        self.versions: list[str] = []
        self.tokens: list[WaitpointRow] = []
        self.batches: list[tuple[str, int]] = []
        self.keys: dict[tuple[str, str], str] = {}
        self.refused = 0

    @initialize(more=st.sampled_from(SETTINGS))
    def begin(self, more: dict[str, Any]) -> None:
        self.new_version(limits=[4, 2], count=2, now=True, more=more)
        for _ in range(3):
            self.work(count=2)

    # ---- choosing -----------------------------------------------------------------------------------

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
        now=seldom,
        more=st.sampled_from(SETTINGS),
    )
    def new_version(self, limits: list[int], count: int, now: bool, more: dict[str, Any]) -> None:
        if not now:
            return
        tasks = [
            a_task(task, queue={"concurrencyLimit": limit, **more})
            for task, limit in zip(TASKS[:count], limits, strict=False)
        ] + [a_task("nightly", triggerSource="schedule", queue={"concurrencyLimit": 2, **more})]
        version = a_version(self.engine, *tasks, content=f"{limits}{count}{more}{len(self.seqs)}")
        self.versions = [*(v for v in self.versions[-2:] if v != version.id), version.id]
        self.starts.clear()  # other rates may hold; the buckets are what they were, so nothing more may start

    @rule(
        which=which_one,
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

    @rule(which=which_one, task=st.sampled_from(TASKS[:2]), key=st.sampled_from([None, "k1"]))
    def trigger_and_wait(self, which: int, task: str, key: str | None) -> None:
        self.trigger(which, task, key, {"resume_parent_on_completion": True}, has_parent=True)

    def run_of_key(self, task: str, key: str | None) -> str | None:
        """The run that a key must lead to now, or None when it is free."""
        run_id = self.keys.get((task, key)) if key is not None else None
        if (
            run_id is None
            or run_id in self.removed
            or R(self.engine.run(run_id).status) in RELEASES_IDEMPOTENCY_KEY
        ):
            return None
        return run_id

    @rule(which=which_one)
    def cancel(self, which: int) -> None:
        if run := self.pick(which):
            self.engine.do(cancel_run, self.engine.prod.id, run.id)

    @rule(which=which_one)
    def replay(self, which: int) -> None:
        if run := self.pick(which):
            self.try_(replay_run, self.engine.prod, run.id, "api")

    @rule(queue=seldom, environment=seldom)
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

    @precondition(lambda self: bool(self.tokens))
    @rule(which=which_one, run_=which_one)
    def wait_for_token(self, which: int, run_: int) -> None:
        run = self.pick(run_, X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS)
        if run:
            token = self.tokens[which % len(self.tokens)]
            try:
                wait_for(self.engine, run, token)
            except Refusal:
                self.refused += 1
            else:
                self.note_wait(run.id, token.id)

    @rule(which=which_one, seconds=st.sampled_from([-1, 2, 30]))
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

    @precondition(lambda self: bool(self.tokens))
    @rule(count=st.integers(1, 3))
    def complete_tokens(self, count: int) -> None:
        for token in self.tokens[:count]:
            complete_with(self.engine, token)

    @rule(which=which_one, more=st.integers(2, 4), timeout=st.sampled_from([None, "5s"]))
    def wait_while_others_work(self, which: int, more: int, timeout: str | None) -> None:
        """A run waits, others take what it held, and its wait ends: it may find no slot."""
        if run := self.pick(which, X.EXECUTING):
            token = a_token(self.engine, timeout=timeout)
            self.try_do(wait_for, run, token)
            self.note_wait(run.id, token.id)
            self.work(more)
            if timeout is None:
                complete_with(self.engine, token)

    # ---- batches ------------------------------------------------------------------------------------

    @rule(which=which_one, count=st.integers(1, 3), waits=st.booleans(), works=st.booleans())
    def send_batch(self, which: int, count: int, waits: bool, works: bool) -> None:
        """Announce a batch, send all of its items, and seal it; then perhaps run what there is."""
        known = len(self.batches)
        self.announce_batch(which, count, waits)
        if len(self.batches) > known or known == 3:
            for index in range(count):
                self.send_item(len(self.batches) - 1, index, TASKS[index % 2], fails=which % 5 == 0)
            self.seal_batch(len(self.batches) - 1, gives_up=False)
        if works:
            self.work(4)
            self.finish(4)

    @rule(which=which_one, count=st.integers(1, 3), waits=st.booleans())
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

    @precondition(lambda self: bool(self.batches))
    @rule(which=which_one, index=st.integers(0, 3), task=st.sampled_from(TASKS), fails=st.booleans())
    def send_item(self, which: int, index: int, task: str, fails: bool) -> None:
        batch_id, _ = self.batches[which % len(self.batches)]
        if fails:
            failure = ItemFailure(task, ErrorCode.BATCH_ITEM_COULD_NOT_TRIGGER, "no")
            self.try_(fail_item, self.engine.prod, batch_id, index, failure)
        else:
            request = a_request(self.engine, task)
            self.try_(add_item, self.engine.prod, batch_id, index, request)

    @precondition(lambda self: bool(self.batches))
    @rule(which=which_one, gives_up=seldom)
    def seal_batch(self, which: int, gives_up: bool) -> None:
        batch_id, _ = self.batches[which % len(self.batches)]
        if gives_up:
            self.try_(abort_batch, self.engine.prod.id, batch_id)
        else:
            self.try_(seal, self.engine.prod, batch_id)

    # ---- workers ------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 4))
    def work(self, count: int) -> None:
        """Trigger, and hand runs to a worker of the newest version, which starts them at once."""
        for key, task in enumerate((*TASKS[:count], *TASKS[:2])[:count]):
            self.try_do(a_run, task, concurrency_key="a" if key % 2 else None)
        version = self.versions[-1]
        offers = [Offer(f"worker_{version}", version, count)]
        for claimed in self.claim_for(offers):
            start(self.engine, claimed.run, worker=claimed.worker_id)

    @rule(credits=st.lists(st.sampled_from([0, 1, 3]), min_size=3, max_size=3))
    def claim(self, credits: list[int]) -> None:
        offers = [
            Offer(f"worker_{version}", version, count)
            for version, count in zip(self.versions, credits, strict=False)
        ]
        for claimed in self.claim_for(offers):
            assert claimed.run.version_id == claimed.version.id == claimed.task.worker_version_id
            assert claimed.worker_id == f"worker_{claimed.version.id}"
        self.check_that_slots_are_used()

    def claim_for(self, offers: list[Offer]) -> list[Claim]:
        """Claim, and note what starts by which rates."""
        claimed = self.engine.do(claim_runs, self.engine.prod.id, offers).runs
        rates = self.engine.ask(f"SELECT id, {RATE_COLUMNS} FROM queue WHERE {IS_RATED}") if claimed else []
        for queue_id, *columns in rates:
            of_queue = [c.run for c in claimed if c.run.queue_id == queue_id]
            for run in of_queue:
                self.note_start(("queue", queue_id, None), columns[:3])
                self.note_start(("key", queue_id, run.concurrency_key), columns[3:])
        return claimed

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

    @rule(which=which_one)
    def start(self, which: int) -> None:
        if run := self.pick(which, X.PENDING_EXECUTING, X.EXECUTING):
            self.try_do(start, run, worker=run.worker_id or "")

    @rule(which=which_one)
    def succeed(self, which: int) -> None:
        if run := self.pick(which, X.EXECUTING, X.PENDING_CANCEL, X.EXECUTING_WITH_WAITPOINTS):
            self.try_do(succeed, run)

    @rule(count=st.integers(1, 4))
    def finish(self, count: int) -> None:
        """End the newest attempts: rather those of children than of parents that wait for them."""
        for run in self.runs(X.EXECUTING)[-count:]:
            succeed(self.engine, run)

    @rule(
        which=which_one,
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

    @rule(which=which_one)
    def hand_back(self, which: int) -> None:
        if run := self.pick(which, X.PENDING_EXECUTING):
            self.engine.do(hand_back, run.environment_id, run.id, newest(run), run.worker_id or "")

    @rule(which=which_one, behind=st.integers(1, 3))
    def say_something_stale(self, which: int, behind: int) -> None:
        if run := self.pick(which):
            self.try_do(succeed, run._replace(snapshot_seq=max(1, run.snapshot_seq - behind)))

    @rule(which=which_one)
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

    @rule(which=which_one)
    def fall_silent(self, which: int) -> None:
        if run := self.pick(which):
            self.engine.do(time_out, run.id, run.snapshot_seq)

    @rule()
    @precondition(lambda self: bool(self.seqs))
    def restart(self) -> None:
        before = self.runs()
        self.engine.do(recover)
        assert self.runs() == before, "repairing what is whole changes no run"
