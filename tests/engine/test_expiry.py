"""TTL: a run that waited too long for its first start never starts (Q-40…44)."""

import pytest

from tests.support.builders import (
    WORKER,
    a_run,
    a_started_run,
    a_task,
    a_version,
    claim,
    claim_one,
    fail,
    start,
)
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.deliveries import time_out
from trigger_lite.engine.expiry import expire_lapsed, expire_run
from trigger_lite.engine.run_json import decode_error
from trigger_lite.protocol.run_errors import StringError
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.store.runs import find_next_expiry


def test_a_run_whose_ttl_lapsed_is_never_handed_out(engine: Harness) -> None:
    """Q-40, LK-06: it ends EXPIRED on the way, with an error naming the TTL, and the one behind it starts."""
    a_version(engine)
    run = a_run(engine, ttl="1m30s")
    engine.pass_time(90)
    good = a_run(engine)
    assert [claimed.id for claimed in claim(engine, 10)] == [good.id]
    ended = engine.run(run)
    assert (ended.status, ended.execution_status, ended.expired_at) == (R.EXPIRED, X.FINISHED, engine.now)
    error = engine.data(run).error
    assert error is not None
    assert decode_error(error) == StringError("Run expired because the TTL (1m30s) was reached")


def test_an_expired_run_has_a_last_snapshot(engine: Harness) -> None:
    """Q-40 ↯: those who ask for snapshots since an earlier one see the end."""
    run = a_run(engine, ttl=1)
    engine.pass_time(1)
    assert engine.do(expire_lapsed, 100) == 1
    assert engine.path(run) == [X.QUEUED, X.FINISHED]
    assert engine.moves(run)[-1].status == R.EXPIRED


def test_runs_expire_without_any_worker_and_not_before_their_time(engine: Harness) -> None:
    """Q-40: the clock is told when to look again."""
    run = a_run(engine, ttl=10)
    assert engine.moves(run)[-1].timer_at == engine.now + 10_000
    assert engine.do(find_next_expiry) == engine.now + 10_000
    engine.pass_time(9.999)
    assert engine.do(expire_lapsed, 100) == 0
    engine.pass_time(0.001)
    assert engine.do(expire_lapsed, 100) == 1
    assert engine.do(find_next_expiry) is None


def test_expiry_works_in_bounded_steps(engine: Harness) -> None:
    """Q-40: at most so many in one transaction; an empty list is harmless."""
    for _ in range(5):
        a_run(engine, ttl=1)
    engine.pass_time(1)
    assert [engine.do(expire_lapsed, 2) for _ in range(4)] == [2, 2, 1, 0]


def test_only_waiting_runs_expire(engine: Harness) -> None:
    """Q-41: not those a worker has, delayed ones, or those that are over."""
    a_version(engine)
    claimed, started = a_run(engine, ttl=1), a_run(engine, ttl=1)
    for run in claim(engine, 2):
        if run.id == started.id:
            start(engine, run)
    delayed = a_run(engine, ttl=1, delay="1h")
    canceled = a_run(engine, ttl=1)
    engine.do(cancel_run, engine.prod.id, canceled.id)
    engine.pass_time(10)
    assert engine.do(expire_lapsed, 100) == 0
    for run, status in ((claimed, R.DEQUEUED), (started, R.EXECUTING), (delayed, R.DELAYED)):
        assert engine.run(run).status == status
    seen = engine.run(started)
    assert engine.do(expire_run, seen) == seen


@pytest.mark.parametrize("how", ["retry", "stall", "never started"])
def test_a_run_queued_again_ignores_its_lapsed_ttl(engine: Harness, how: str) -> None:
    """Q-43: a worker had it in time."""
    a_version(engine)
    run = a_run(engine, ttl=10)
    claimed = claim_one(engine)
    if how == "never started":
        engine.do(time_out, run.id, claimed.snapshot_seq)
    elif how == "stall":
        engine.do(time_out, run.id, start(engine, claimed).snapshot_seq)
    else:
        fail(engine, start(engine, claimed), retry_ms=60_000)
    engine.pass_time(3_600)
    engine.do(expire_lapsed, 100)
    assert engine.do(find_next_expiry) is None
    assert claim_one(engine, worker=WORKER).id == run.id


def test_expiry_gives_the_place_in_line_to_the_next(engine: Harness) -> None:
    """Q-42: the lane's head is the next run, and nothing is held."""
    a_version(engine, a_task(queue={"concurrencyLimit": 1}))
    a_run(engine, ttl=1)
    second = a_run(engine)
    engine.pass_time(1)
    engine.do(expire_lapsed, 100)
    assert engine.load().held == 0
    assert claim_one(engine).id == second.id


def test_a_running_run_has_no_ttl_any_more(engine: Harness) -> None:
    """TR-12: void once an attempt started."""
    a_version(engine)
    run = a_started_run(engine, ttl=10)
    assert engine.run(run).ttl_at is None
    assert engine.do(find_next_expiry) is None


def test_a_run_in_dev_that_no_worker_started_still_expires(engine: Harness) -> None:
    """Q-44: it was handed out, its worker went; deployed, a run that was handed out waits on (Q-43)."""
    for environment in (engine.dev, engine.prod):
        a_version(engine, environment=environment)
        a_run(engine, ttl=70, environment=environment)
    claimed = [claim_one(engine, environment=environment) for environment in (engine.dev, engine.prod)]
    engine.pass_time(60)
    for run in claimed:
        engine.do(time_out, run.id, run.snapshot_seq)
    engine.pass_time(10)
    engine.do(expire_lapsed, 100)
    assert [engine.run(run).status for run in claimed] == [R.EXPIRED, R.PENDING]
