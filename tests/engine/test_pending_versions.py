"""Runs that no version can run yet (PV)."""

import pytest

from tests.support.builders import (
    TASK,
    a_run,
    a_started_run,
    a_task,
    a_version,
    claim,
    claim_one,
    fail,
    newest,
    start,
    succeed,
)
from tests.support.harness import NOW, Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.deliveries import hand_back
from trigger_lite.engine.events import MoreParked, VersionRegistered
from trigger_lite.engine.expiry import expire_lapsed
from trigger_lite.engine.lifecycle import Transition, begin
from trigger_lite.engine.pending_versions import PROMOTE_CHUNK
from trigger_lite.engine.queues import Offer, claim_runs
from trigger_lite.engine.workers import promote_waiting
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.store.runs import RunData, RunRow
from trigger_lite.store.transaction import Tx


def _parked(engine: Harness, task: str = "mail", **options: object) -> RunRow:
    """A run of a task that the current version does not have."""
    run = a_run(engine, task, **options)  # type: ignore[arg-type]
    claim(engine, 100)
    return engine.run(run)


# ---- parking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known_before", "reason"), [(False, "TASK_NEVER_REGISTERED"), (True, "TASK_NOT_IN_LATEST")]
)
def test_a_run_whose_task_the_current_version_lacks_is_parked(
    engine: Harness, known_before: bool, reason: str
) -> None:
    """PV-01: with the reason; slot and place in line are given back."""
    if known_before:
        a_version(engine, a_task("mail"), content="zero")
    a_version(engine)
    run = a_run(engine, "mail")
    behind = a_run(engine)
    assert [claimed.id for claimed in claim(engine, 10)] == [behind.id]
    parked = engine.run(run)
    assert (parked.status, parked.status_reason, parked.queued) == (R.PENDING_VERSION, reason, 0)
    assert parked.execution_status == X.RUN_CREATED
    assert engine.load().held == 1


def test_without_any_version_runs_wait_in_line(engine: Harness) -> None:
    """PV-01: there is nobody to take them."""
    run = a_run(engine)
    assert engine.do(claim_runs, engine.prod.id, [Offer("worker_1", "worker_none", 5)]).runs == []
    assert engine.run(run).status == R.PENDING


def test_a_parked_run_can_be_cancelled(engine: Harness) -> None:
    """CN-02: and is not promoted afterwards."""
    a_version(engine)
    run = _parked(engine)
    assert engine.do(cancel_run, engine.prod.id, run.id).status == R.CANCELED
    a_version(engine, a_task("mail"), content="two")
    assert engine.run(run).status == R.CANCELED


# ---- promotion -------------------------------------------------------------------------------------


def test_a_new_version_promotes_the_runs_of_its_tasks(engine: Harness) -> None:
    """PV-02: and no others."""
    a_version(engine)
    mail, other = _parked(engine), _parked(engine, "other")
    a_version(engine, a_task(), a_task("mail"), content="two")
    promoted = engine.run(mail)
    assert (promoted.status, promoted.status_reason, promoted.queued) == (R.PENDING, None, 1)
    assert engine.run(other).status == R.PENDING_VERSION
    assert claim_one(engine).id == mail.id
    assert engine.path(mail) == [X.QUEUED, X.RUN_CREATED, X.QUEUED, X.PENDING_EXECUTING]
    assert any(isinstance(event, VersionRegistered) for event in engine.events)


def test_promotion_keeps_the_place_in_line(engine: Harness) -> None:
    """PV-03: a run triggered first starts first."""
    a_version(engine)
    first = _parked(engine)
    engine.pass_time(60)
    second = a_run(engine, "mail")
    engine.pass_time(60)
    a_version(engine, a_task("mail"), content="two")
    assert [run.id for run in claim(engine, 2)] == [first.id, second.id]


def test_promotion_starts_the_ttl_and_the_wait_anew(engine: Harness) -> None:
    """PV-03: time spent parked does not count."""
    a_version(engine)
    run = _parked(engine, ttl=60)
    engine.pass_time(3_600)
    assert engine.do(expire_lapsed, 10) == 0
    a_version(engine, a_task("mail"), content="two")
    promoted = engine.run(run)
    assert (promoted.ttl_at, promoted.queued_at) == (engine.now + 60_000, engine.now)
    assert promoted.queue_time == NOW
    assert claim_one(engine).id == run.id


def test_a_promoted_run_whose_delay_is_not_over_is_delayed_again(engine: Harness) -> None:
    """PV-04: the delay its caller asked for holds."""

    def park_delayed(tx: Tx) -> RunRow:
        run = RunRow(tx.new_id("run"), engine.prod.id, TASK, delay_until=tx.now + 60_000, created_at=tx.now)
        data = RunData(None, "application/json", None, None, None, None, None)
        return begin(tx, run, data, Transition.PARK, "parked")

    run = engine.do(park_delayed)
    a_version(engine)
    assert engine.run(run).status == R.DELAYED
    assert engine.path(run) == [X.RUN_CREATED, X.DELAYED]


def test_many_parked_runs_are_promoted_chunk_by_chunk_until_none_is_left(engine: Harness) -> None:
    """PV-02: each step is bounded and says that there is more."""
    a_version(engine)
    for _ in range(2 * PROMOTE_CHUNK + 1):
        a_run(engine, "mail")
    while claim(engine, 100) or engine.ask("SELECT count(*) FROM run WHERE queued = 1") != [0]:
        pass
    version = a_version(engine, a_task("mail"), content="two")
    waiting = [_waiting(engine)]
    engine.events.clear()
    while engine.do(promote_waiting, engine.prod.id, version.id):
        waiting.append(_waiting(engine))
    assert waiting == [200, 400, 401]
    assert [e for e in engine.events if isinstance(e, MoreParked)] == [MoreParked(engine.prod.id, version.id)]


def _waiting(engine: Harness) -> int:
    (count,) = engine.ask("SELECT count(*) FROM run WHERE queued = 1")
    return int(count)


def test_the_same_version_registered_again_promotes_too(engine: Harness) -> None:
    """PV-02: a worker that restarts registers what it registered before."""
    first = a_version(engine)
    run = _parked(engine)
    a_version(engine, a_task("mail"), content="two")
    engine.do(cancel_run, engine.prod.id, run.id)
    again = a_version(engine, a_task("mail"), content="two")
    assert again.version != first.version
    assert again == a_version(engine, a_task("mail"), content="two")


# ---- versions and their workers -----------------------------------------------------------------------


def test_a_run_goes_on_with_the_current_version_when_its_workers_are_gone(engine: Harness) -> None:
    """PV-05: a version of a live worker has no copy on the server."""
    a_version(engine)
    run = a_started_run(engine)
    fail(engine, run, retry_ms=60_000)
    new = a_version(engine, content="two")
    engine.pass_time(60)
    assert claim_one(engine).version_id == new.id


def test_a_run_stays_with_its_version_while_a_worker_of_it_is_connected(engine: Harness) -> None:
    """PV-05: also while that worker has no room."""
    old = a_version(engine)
    run = a_started_run(engine)
    fail(engine, run, retry_ms=60_000)
    new = a_version(engine, content="two")
    engine.pass_time(60)
    full, free = Offer("old", old.id, 0), Offer("new", new.id, 5)
    assert engine.do(claim_runs, engine.prod.id, [full, free]).runs == []
    (claimed,) = engine.do(claim_runs, engine.prod.id, [Offer("old", old.id, 1), free]).runs
    assert (claimed.worker_id, claimed.run.version_id) == ("old", old.id)


def test_a_pinned_run_whose_workers_are_gone_leaves_the_line_until_they_are_back(engine: Harness) -> None:
    """PV-05: it is not failed, and stops nobody behind it."""
    old = a_version(engine)
    pinned = a_run(engine, lock_to_version=old.version)
    behind = a_run(engine)
    new = a_version(engine, content="two")
    assert [run.id for run in claim(engine, 10, version_id=new.id)] == [behind.id]
    parked = engine.run(pinned)
    assert (parked.status, parked.status_reason) == (R.PENDING_VERSION, "NO_WORKER")
    assert engine.do(promote_waiting, engine.prod.id, new.id) == 0
    a_version(engine, content="three")
    assert engine.run(pinned).status == R.PENDING_VERSION
    assert engine.do(promote_waiting, engine.prod.id, old.id) == 1
    assert [run.id for run in claim(engine, 10, version_id=old.id)] == [pinned.id]


def test_a_pinned_run_waits_in_line_for_a_worker_that_has_no_room(engine: Harness) -> None:
    """PV-05: a busy worker is not a missing one."""
    old = a_version(engine)
    pinned = a_run(engine, lock_to_version=old.version)
    new = a_version(engine, content="two")
    offers = [Offer("old", old.id, 0), Offer("new", new.id, 5)]
    assert engine.do(claim_runs, engine.prod.id, offers).runs == []
    assert engine.run(pinned).status == R.PENDING


def test_runs_wait_in_line_while_only_older_workers_are_connected(engine: Harness) -> None:
    """PV-01: between the registration of a version and its worker's connection nothing is parked."""
    old = a_version(engine)
    run = a_run(engine)
    a_version(engine, content="two")
    assert claim(engine, 10, version_id=old.id) == []
    assert engine.run(run).status == R.PENDING


def test_older_workers_still_get_what_is_fixed_to_them(engine: Harness) -> None:
    """PV-05: whatever waits for the current version in other lanes."""
    old = a_version(engine, a_task(), *(a_task(f"t{n}") for n in range(30)))
    for n in range(30):
        a_run(engine, f"t{n}")
    pinned = a_run(engine, lock_to_version=old.version, priority=-1)
    engine.pass_time(1)
    a_version(engine, a_task(), *(a_task(f"t{n}") for n in range(30)), content="two")
    assert [run.id for run in claim(engine, 1, version_id=old.id)] == [pinned.id]


def test_parked_runs_do_not_use_a_claim_up(engine: Harness) -> None:
    """PV-01: what is behind more parked runs than one call removes is found by the next."""
    version = a_version(engine)
    for _ in range(150):
        a_run(engine, "mail", priority=60)
    good = a_run(engine)
    first = engine.do(claim_runs, engine.prod.id, [Offer("worker_1", version.id, 1)])
    assert first.runs == [] and first.has_more
    second = engine.do(claim_runs, engine.prod.id, [Offer("worker_1", version.id, 1)])
    assert [claimed.run.id for claimed in second.runs] == [good.id]


def test_a_run_that_had_started_can_be_parked_and_goes_on(engine: Harness) -> None:
    """PV-03: its attempts are kept, and no TTL applies any more."""
    old = a_version(engine)
    run = a_run(engine, lock_to_version=old.version, ttl=60)
    fail(engine, start(engine, claim_one(engine)), retry_ms=60_000)
    new = a_version(engine, content="two")
    engine.pass_time(60)
    claim(engine, 1, version_id=new.id)
    assert engine.run(run).status == R.PENDING_VERSION
    engine.do(promote_waiting, engine.prod.id, old.id)
    again = claim_one(engine, version_id=old.id)
    assert (again.id, again.attempt, again.ttl_at) == (run.id, 1, None)
    succeed(engine, start(engine, again))


def test_a_run_handed_back_can_be_taken_by_the_next_version(engine: Harness) -> None:
    """PV-05: it never started, so nothing holds it to the first."""
    a_version(engine)
    run = a_run(engine)
    claimed = claim_one(engine)
    new = a_version(engine, content="two")
    engine.do(hand_back, engine.prod.id, run.id, newest(claimed), "worker_1")
    assert claim_one(engine).version_id == new.id
