"""How long the runs that workers have may stay silent (HB-01, HB-07, HB-08)."""

import time

import pytest

from trigger_lite.background.deadlines import Deadlines
from trigger_lite.config import Settings
from trigger_lite.engine.events import RunMoved
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus
from trigger_lite.store.runs import RunRow

SETTINGS = Settings(start_timeout=10, run_timeout=60, cancel_timeout=30)


class Watch:
    """A stopwatch that is set by hand."""

    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def deadlines(watch: Watch) -> Deadlines:
    return Deadlines(SETTINGS, clock=watch)


def _moved(state: X, seq: int, run_id: str = "run_1") -> RunMoved:
    return RunMoved(
        environment_id="env_1",
        run_id=run_id,
        task_id="resize",
        transition="",
        execution_status=state,
        status=RunStatus.EXECUTING,
        snapshot_seq=seq,
        attempt=1,
        worker_id="worker_1",
        freed_slot=False,
        timer_at=None,
        at=0,
    )


@pytest.mark.parametrize(
    ("state", "seconds"),
    [
        (X.PENDING_EXECUTING, 10),
        (X.EXECUTING, 60),
        (X.EXECUTING_WITH_WAITPOINTS, 60),
        (X.PENDING_CANCEL, 30),
    ],
)
def test_each_state_has_its_own_time(deadlines: Deadlines, watch: Watch, state: X, seconds: float) -> None:
    """HB-01: start, run, cancel."""
    deadlines.follow(_moved(state, 2))
    watch.seconds += seconds - 0.001
    assert deadlines.lapsed() == []
    watch.seconds += 0.001
    assert deadlines.lapsed() == [("run_1", 2)]
    assert deadlines.lapsed() == [("run_1", 2)]


@pytest.mark.parametrize("state", [X.QUEUED, X.FINISHED, X.DELAYED, X.RUN_CREATED, X.SUSPENDED])
def test_a_run_no_worker_has_is_forgotten(deadlines: Deadlines, watch: Watch, state: X) -> None:
    """HB-07: its timer ends with the snapshot."""
    deadlines.follow(_moved(X.EXECUTING, 3))
    deadlines.follow(_moved(state, 4))
    watch.seconds += 1_000
    assert deadlines.lapsed() == [] and deadlines.next_lapse_ms() is None


def test_a_heartbeat_renews_the_newest_snapshot_only(deadlines: Deadlines, watch: Watch) -> None:
    """HB-01: one that names an older snapshot, another environment's run or none renews nothing."""
    deadlines.follow(_moved(X.EXECUTING, 3, "old"))
    deadlines.follow(_moved(X.EXECUTING, 3, "new"))
    watch.seconds += 59
    deadlines.renew("env_1", "old", 2)
    deadlines.renew("env_2", "old", 3)
    deadlines.renew("env_1", "new", 3)
    deadlines.renew("env_1", "run_unknown", 1)
    watch.seconds += 1
    assert deadlines.lapsed() == [("old", 3)]
    watch.seconds += 59
    assert deadlines.lapsed() == [("old", 3), ("new", 3)]


def test_a_heartbeat_of_a_run_being_cancelled_does_not_extend_its_life_for_ever(
    deadlines: Deadlines, watch: Watch
) -> None:
    """HB-05: the cancel is finished in its time, however alive the worker is."""
    deadlines.follow(_moved(X.PENDING_CANCEL, 4))
    for _ in range(3):
        watch.seconds += 10
        deadlines.renew("env_1", "run_1", 4)
    assert deadlines.lapsed() == [("run_1", 4)]


def test_after_a_restart_every_run_gets_its_full_time(deadlines: Deadlines, watch: Watch) -> None:
    """HB-08 ↯: a restart must not look like dead workers."""
    states = {"a": X.EXECUTING, "b": X.PENDING_EXECUTING, "c": X.PENDING_CANCEL}
    deadlines.arm_all(
        RunRow(name, "env_1", "resize", execution_status=state, snapshot_seq=7, updated_at=0)
        for name, state in states.items()
    )
    watch.seconds += 9.9
    assert deadlines.lapsed() == []
    watch.seconds += 50
    assert deadlines.lapsed() == [("b", 7), ("c", 7)]


def test_the_next_lapse_is_the_soonest(deadlines: Deadlines, watch: Watch) -> None:
    """HB-01: so that the clock wakes in time."""
    assert deadlines.next_lapse_ms() is None
    deadlines.follow(_moved(X.EXECUTING, 3, "a"))
    deadlines.follow(_moved(X.PENDING_EXECUTING, 2, "b"))
    wait = (deadlines.next_lapse_ms() or 0) / 1000 - time.time()
    assert 9 < wait <= 10
    watch.seconds += 100
    assert 0 < (deadlines.next_lapse_ms() or 0) / 1000 - time.time() < 1
    assert deadlines.shortest_seconds == 10


def test_a_database_that_did_not_answer_is_nobodys_silence(deadlines: Deadlines, watch: Watch) -> None:
    """HB-08: full fresh times; a cancel is finished in its own time all the same (HB-05)."""
    deadlines.follow(_moved(X.EXECUTING, 3, "executing"))
    deadlines.follow(_moved(X.PENDING_CANCEL, 3, "canceling"))
    watch.seconds += 100
    deadlines.renew_all()
    assert deadlines.lapsed() == [("canceling", 3)]
    watch.seconds += 60
    assert sorted(deadlines.lapsed()) == [("canceling", 3), ("executing", 3)]
