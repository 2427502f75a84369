"""Whatever happens in whatever order, what must always hold holds after every step."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.builders import a_request, a_run, a_task, a_version, fail, newest, start, succeed
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run
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
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.engine.workers import promote_waiting
from trigger_lite.protocol.errors import Refusal
from trigger_lite.protocol.manifest import RegisteredWorker
from trigger_lite.protocol.run_errors import ErrorCode
from trigger_lite.protocol.statuses import HOLDS_SLOT, OWNED_BY_WORKER, TERMINAL, RunStatus
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.store.runs import RunRow

STEPS = 400
TASKS = ("resize", "mail", "report", "unknown")


class Play:
    """One random sequence of everything that users, workers and time can do."""

    def __init__(self, engine: Harness, seed: int) -> None:
        self.engine = engine
        self.chance = random.Random(seed)
        self.ended: dict[str, tuple[str, str]] = {}
        self.seen: dict[str, int] = {}
        self.versions = [self.register().id]
        self.done: Counter[str] = Counter()

    def step(self) -> None:
        act = self.chance.choice(_ACTS)
        try:
            act(self)
        except Refusal:
            self.done["refused"] += 1
        self.done[act.__name__] += 1

    def any_run(self, *states: X) -> RunRow | None:
        runs = [run for run in _runs(self.engine) if not states or run.execution_status in states]
        return self.chance.choice(runs) if runs else None

    # ---- users ------------------------------------------------------------------------------------

    def register(self) -> RegisteredWorker:
        tasks = [a_task(task, queue=self.queue()) for task in TASKS[: self.chance.choice([2, 3])]]
        return a_version(self.engine, *tasks, content=str(self.chance.random()))

    def queue(self) -> dict[str, Any]:
        rate = {"count": 5, "periodMs": 3_000, "burst": 3}
        key_rate = {"count": 2, "periodMs": 2_000, "burst": self.chance.choice([1, 3])}
        chosen: dict[str, Any] = {"concurrencyLimit": self.chance.choice([0, 1, 2, 9])}
        chosen |= self.chance.choice([{}, {}, {"rate": rate}, {"keyRate": key_rate}])
        return chosen | self.chance.choice([{}, {}, {}, {"maxLength": 9}])

    def new_version(self) -> None:
        self.versions = [*self.versions[-2:], self.register().id]

    def trigger(self) -> None:
        pick = self.chance.choice
        parent = self.any_run()
        a_run(
            self.engine,
            pick(TASKS),
            concurrency_key=pick([None, None, "a", "b"]),
            priority=pick([None, 5, -5]),
            ttl=pick([None, None, 1, 10]),
            delay=pick([None, None, "3s", "20s"]),
            idempotency_key=pick([None, None, "k1", "k2"]),
            parent_run_id=parent.id if parent and pick([True, False]) else None,
        )

    def trigger_pinned(self) -> None:
        request = a_request(self.engine, lock_to_version=f"20260921.{self.chance.randint(1, 4)}")
        self.engine.do(trigger_run, self.engine.prod, request)

    def cancel(self) -> None:
        if run := self.any_run():
            self.engine.do(cancel_run, self.engine.prod.id, run.id)

    def replay(self) -> None:
        if run := self.any_run():
            self.engine.do(replay_run, self.engine.prod, run.id, "api")

    def pause(self) -> None:
        paused = self.chance.random() < 0.3
        self.engine.do(set_paused, self.engine.prod.id, "task/resize", paused=paused)
        self.engine.do(set_environment_paused, self.engine.prod.id, paused=self.chance.random() < 0.1)

    def limit(self) -> None:
        self.engine.do(set_environment_limit, self.engine.prod.id, self.chance.choice([1, 3, 6, 10]))

    def override(self) -> None:
        chosen = self.chance.choice([Override(limit=2), Override(percent=50), Override(limit=99)])
        self.engine.do(override_limit, self.engine.prod.id, QueueRef("task", "resize"), chosen)

    def reset(self) -> None:
        self.engine.do(reset_limit, self.engine.prod.id, QueueRef("task", "resize"))

    # ---- workers ----------------------------------------------------------------------------------

    def claim(self) -> None:
        offers = [
            Offer(f"worker_{version}", version, self.chance.choice([0, 1, 3]))
            for version in self.versions
            if self.chance.random() < 0.8
        ]
        claims = self.engine.do(claim_runs, self.engine.prod.id, offers)
        load = self.engine.load()
        assert not claims.runs or load.held <= load.slots
        for claimed in claims.runs:
            lane = self.engine.lane(claimed.run)
            assert lane is not None and lane.held <= lane.capacity
            assert claimed.run.version_id == claimed.version.id == claimed.task.worker_version_id
            assert claimed.worker_id == f"worker_{claimed.version.id}"

    def start(self) -> None:
        if run := self.any_run(X.PENDING_EXECUTING, X.EXECUTING):
            start(self.engine, run, worker=run.worker_id or "")

    def succeed(self) -> None:
        if run := self.any_run(X.EXECUTING, X.PENDING_CANCEL):
            succeed(self.engine, run)

    def fail(self) -> None:
        if run := self.any_run(X.EXECUTING, X.PENDING_CANCEL, X.PENDING_EXECUTING):
            error = self.chance.choice([None, *ErrorCode])
            fail(self.engine, run, error, retry_ms=self.chance.choice([None, 0, 5_000, 40_000]))

    def hand_back(self) -> None:
        if run := self.any_run(X.PENDING_EXECUTING):
            self.engine.do(hand_back, run.environment_id, run.id, newest(run), run.worker_id or "")

    def say_something_stale(self) -> None:
        if run := self.any_run():
            old = run._replace(snapshot_seq=max(1, run.snapshot_seq - self.chance.randint(1, 3)))
            succeed(self.engine, old)

    def connect(self) -> None:
        self.engine.do(promote_waiting, self.engine.prod.id, self.chance.choice(self.versions))

    # ---- time -------------------------------------------------------------------------------------

    def pass_time(self) -> None:
        self.engine.pass_time(self.chance.choice([0.3, 2, 30]))

    def tick(self) -> None:
        self.engine.do(enqueue_delayed, 5)
        self.engine.do(expire_lapsed, 5)

    def fall_silent(self) -> None:
        if run := self.any_run():
            self.engine.do(time_out, run.id, run.snapshot_seq)

    def set_clock_back(self) -> None:
        self.engine.pass_time(-self.chance.choice([1, 60]))

    def restart(self) -> None:
        self.engine.do(recover)


_OFTEN: list[Callable[[Play], None]] = [Play.trigger, Play.claim, Play.start, Play.succeed, Play.fail]
_ACTS = [
    *_OFTEN * 4, Play.pass_time, Play.tick, Play.cancel, Play.hand_back, Play.fall_silent, Play.connect,
    Play.say_something_stale, Play.new_version, Play.trigger_pinned, Play.replay, Play.pause, Play.limit,
    Play.restart, Play.override, Play.reset, Play.set_clock_back,
]  # fmt: skip


def _runs(engine: Harness) -> list[RunRow]:
    rows = engine.ask(f"SELECT {', '.join(RunRow._fields)} FROM run ORDER BY id")
    return [RunRow(*row) for row in rows]


def _check(play: Play) -> None:
    runs = _runs(play.engine)
    _check_counters(play.engine, runs)
    for run in runs:
        _check_run(run)
        if run.id in play.ended:
            assert (run.status, run.execution_status) == play.ended[run.id] or (
                play.ended[run.id] == (RunStatus.CANCELED, X.PENDING_CANCEL)
                and (run.status, run.execution_status) == (RunStatus.CANCELED, X.FINISHED)
            )
        if RunStatus(run.status) in TERMINAL:
            play.ended[run.id] = (run.status, run.execution_status)
        assert run.snapshot_seq >= play.seen.get(run.id, 1)
        play.seen[run.id] = run.snapshot_seq
    assert len(runs) >= len(play.seen)


def _check_run(run: RunRow) -> None:
    state = X(run.execution_status)
    assert bool(run.holds_slot) == (state in HOLDS_SLOT)
    assert bool(run.queued) == (state is X.QUEUED)
    assert (run.worker_id is not None) == (state in OWNED_BY_WORKER | {X.PENDING_CANCEL})
    assert (run.completed_at is not None) == (state is X.FINISHED)
    assert (RunStatus(run.status) in TERMINAL) == (state in (X.FINISHED, X.PENDING_CANCEL))
    assert run.attempt <= (run.max_attempts or 250)


def _check_counters(engine: Harness, runs: list[RunRow]) -> None:
    held = Counter(run.lane_id for run in runs if run.holds_slot)
    waiting = defaultdict(list)
    for run in runs:
        if run.queued:
            waiting[run.lane_id].append(run.score)
    lanes = engine.ask(
        """SELECT id, lane_key, held, head_score, capacity, paused, blocked, waiting, rate_at, not_before
             FROM lane"""
    )
    assert {run.lane_id for run in runs if run.queued or run.holds_slot} <= {lane[0] for lane in lanes}
    for lane_id, key, lane_held, head, capacity, paused, blocked, length, rate_at, not_before in lanes:
        assert lane_held == held[lane_id]
        assert length == len(waiting[lane_id])
        assert head == min(waiting[lane_id], default=None)
        assert blocked == int(bool(paused) or lane_held >= capacity or not_before > 0)
        assert key == "" or lane_held or head is not None or rate_at
        assert head is not None or not rate_at or not_before
    assert engine.load().held == held.total()
    assert not engine.ask(
        """SELECT lane.id FROM lane JOIN queue ON queue.id = lane.queue_id
            WHERE lane.rated <> CASE WHEN rate_count IS NULL AND key_rate_count IS NULL THEN 0 ELSE 1 END
               OR (key_rate_count IS NULL AND (lane.rate_at > 0 OR lane.not_before > 0))"""
    )


@pytest.mark.parametrize("seed", range(4))
def test_slots_lines_and_ends_stay_right_after_every_step(engine: Harness, seed: int) -> None:
    """ST-02, Q-10, Q-11, Q-15, Q-21, Q-23, Q-26, HB-11.

    Slots held are those of the runs that hold one, a lane's head is its first waiting run, what is over
    stays so, snapshots only grow, and every run that is with a worker has one.
    """
    play = Play(engine, seed)
    for _ in range(STEPS):
        play.step()
        _check(play)
    assert {"claim", "start", "succeed", "fail"} <= set(play.done)
    assert len(play.ended) > 5
    for run in _runs(engine):
        assert [snapshot.seq for snapshot in engine.snapshots(run)] == list(range(1, run.snapshot_seq + 1))
