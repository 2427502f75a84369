"""Why a run is as it is, in one sentence for each state."""

import pytest

from tests.support.builders import (
    a_request,
    a_run,
    a_started_run,
    a_task,
    a_version,
    claim,
    claim_one,
    fail,
    start,
    succeed,
)
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.batch_items import add_item
from trigger_lite.engine.batch_requests import BatchRequest
from trigger_lite.engine.batches import create_batch
from trigger_lite.engine.deliveries import time_out
from trigger_lite.engine.expiry import expire_lapsed
from trigger_lite.engine.line_reasons import MOST_AHEAD, Reason
from trigger_lite.engine.queues import set_environment_limit, set_environment_paused, set_paused
from trigger_lite.engine.reasons import explain
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.protocol.run_errors import ErrorCode, InternalError
from trigger_lite.protocol.tasks import QueueOption
from trigger_lite.protocol.waiting import WaitReason
from trigger_lite.store.runs import RunRow


def why(engine: Harness, run: RunRow | str, *, connected: int = 1) -> Reason:
    found = engine.run(run)
    error = engine.data(found).error
    return engine.do(explain, found, engine.snapshots(found), error, connected=connected)


def text(engine: Harness, run: RunRow | str, *, connected: int = 1) -> str:
    reason = why(engine, run, connected=connected)
    return f"{reason.text}{' …' if reason.until else ''}{reason.more}"


def test_a_delayed_run_counts_down_to_its_start(engine: Harness) -> None:
    run = a_run(engine, delay="1h")
    assert why(engine, run) == Reason("delayed: starts in", until=run.delay_until, kind=WaitReason.DELAYED)


def test_without_a_worker_that_is_the_reason(engine: Harness) -> None:
    run = a_run(engine)
    assert text(engine, run, connected=0) == "waiting for a worker: none is connected, next in line"
    assert text(engine, run) == "queued: starts as soon as a worker is free, next in line"


def test_a_queue_at_its_limit_says_so_and_how_many_are_ahead(engine: Harness) -> None:
    a_version(engine, a_task(queue={"name": "crm", "concurrencyLimit": 1}))
    a_started_run(engine)
    a_run(engine), a_run(engine)
    assert text(engine, a_run(engine)) == "queued: crm is at its limit 1/1, 2 ahead"


def test_the_key_is_named_when_its_own_lane_is_full(engine: Harness) -> None:
    a_version(engine, a_task(queue={"name": "crm", "concurrencyLimit": 1}))
    a_started_run(engine, concurrency_key="org_42")
    run = a_run(engine, concurrency_key="org_42")
    assert text(engine, run).startswith("queued: crm (key org_42) is at its limit 1/1")


def test_an_environment_at_its_limit_comes_before_the_queue(engine: Harness) -> None:
    a_version(engine)
    engine.do(set_environment_limit, engine.prod.id, 1)
    a_started_run(engine)
    assert text(engine, a_run(engine)).startswith("queued: prod is at its limit 1/1")


def test_a_paused_queue_is_the_reason_whoever_is_connected(engine: Harness) -> None:
    run = a_run(engine, queue=QueueOption("crm"))
    engine.do(set_paused, engine.prod.id, "crm", paused=True)
    assert text(engine, run, connected=0).startswith("queued: crm is paused")


def test_every_wait_has_a_word_for_programs_and_a_place_in_line(engine: Harness) -> None:
    """The widest cause first: pause, worker, limit, worker that is busy."""
    a_version(engine, a_task(queue={"name": "crm", "concurrencyLimit": 1}))
    a_started_run(engine), a_started_run(engine, concurrency_key="a")
    made = [a_run(engine), a_run(engine), a_run(engine, concurrency_key="a")]
    assert [why(engine, run).position for run in made] == [1, 2, 1]
    assert why(engine, made[1]).kind is WaitReason.QUEUE_LIMIT
    assert why(engine, made[2]).kind is WaitReason.KEY_LIMIT
    engine.do(set_environment_limit, engine.prod.id, 1)
    assert why(engine, made[0]).kind is WaitReason.ENVIRONMENT_LIMIT
    assert why(engine, made[0], connected=0).kind is WaitReason.NO_WORKER
    engine.do(set_paused, engine.prod.id, "crm", paused=True)
    assert why(engine, made[0], connected=0).kind is WaitReason.QUEUE_PAUSED
    engine.do(set_environment_paused, engine.prod.id, paused=True)
    paused = why(engine, made[0], connected=0)
    assert (paused.kind, paused.text) == (WaitReason.ENVIRONMENT_PAUSED, "queued: prod is paused")


def test_what_does_not_wait_in_line_has_a_word_but_no_place(engine: Harness) -> None:
    a_version(engine)
    parked = a_run(engine, "unheard-of")
    claim(engine)
    running = a_started_run(engine)
    assert (why(engine, parked).kind, why(engine, parked).position) == (WaitReason.NO_VERSION, None)
    assert why(engine, a_run(engine)).kind is WaitReason.WORKER_BUSY
    assert why(engine, running).kind is None
    succeed(engine, running)
    assert why(engine, running).kind is None


def test_a_rate_says_when_the_next_run_starts(engine: Harness) -> None:
    rate = {"count": 10, "periodMs": 60_000, "burst": 1}
    a_version(engine, a_task(queue={"name": "crm", "rate": rate}))
    a_started_run(engine)
    a_run(engine)
    run = a_run(engine)
    assert why(engine, run) == Reason(
        "queued: crm starts 10/m, the next in",
        until=engine.now + 6_000,
        more=", 1 ahead",
        kind=WaitReason.QUEUE_RATE,
        position=2,
    )
    engine.pass_time(6)
    assert why(engine, run).kind is WaitReason.WORKER_BUSY


def test_a_rate_of_a_key_names_the_key(engine: Harness) -> None:
    rate = {"count": 2, "periodMs": 30_000, "burst": 1}
    a_version(engine, a_task(queue={"name": "crm", "keyRate": rate}))
    a_started_run(engine, concurrency_key="org_42")
    limited = a_run(engine, concurrency_key="org_42")
    free = a_run(engine, concurrency_key="org_43")
    assert text(engine, limited) == "queued: crm (key org_42) starts 2/30s, the next in …, next in line"
    assert why(engine, limited).kind is WaitReason.KEY_RATE
    assert why(engine, limited).until == engine.now + 15_000
    assert why(engine, free).kind is WaitReason.WORKER_BUSY


def test_many_ahead_are_not_counted_out(engine: Harness) -> None:
    request = a_request(engine)
    for _ in range(MOST_AHEAD + 5):
        engine.do(trigger_run, engine.prod, request)
    assert text(engine, a_run(engine)).endswith(", 1,000+ ahead")


def test_a_parked_run_says_what_is_missing(engine: Harness) -> None:
    a_version(engine)
    run = a_run(engine, "unheard-of")
    claim(engine)
    assert text(engine, run) == "parked: no worker has registered its task"


def test_a_claimed_and_a_running_run(engine: Harness) -> None:
    a_version(engine)
    a_run(engine)
    run = claim_one(engine)
    assert text(engine, run) == "handed to a worker, about to start"
    start(engine, run)
    assert text(engine, run) == "running, attempt 1 of 3"


def test_a_retry_in_the_same_worker_counts_down(engine: Harness) -> None:
    a_version(engine)
    run = a_started_run(engine)
    fail(engine, run, retry_ms=7_000)
    assert why(engine, run) == Reason(
        "retrying in", until=engine.now + 7_000, more=", attempt 2 of 3", kind=WaitReason.RETRY
    )
    engine.pass_time(8)
    assert text(engine, run) == "retrying now, attempt 2 of 3"


def test_a_retry_through_the_queue_counts_down(engine: Harness) -> None:
    a_version(engine)
    run = a_started_run(engine)
    fail(engine, run, retry_ms=60_000)
    assert why(engine, run) == Reason(
        "retrying in", until=engine.now + 60_000, more=", attempt 2 of 3", kind=WaitReason.RETRY
    )


def test_a_run_its_worker_did_not_start_is_offered_again(engine: Harness) -> None:
    a_version(engine)
    a_run(engine)
    run = claim_one(engine)
    engine.do(time_out, run.id, run.snapshot_seq)
    assert text(engine, run) == "not started in time by its worker: offered again in …"


def test_a_cancel_waits_for_the_worker_and_then_says_why(engine: Harness) -> None:
    a_version(engine)
    run = a_started_run(engine)
    engine.do(cancel_run, engine.prod.id, run.id, "No longer wanted")
    assert text(engine, run) == "canceled: waiting for its worker to stop"
    fail(engine, engine.run(run), ErrorCode.TASK_RUN_CANCELLED)
    assert text(engine, run).startswith("canceled: ")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, "failed after 1 attempt"),
        (
            InternalError(ErrorCode.TASK_PROCESS_OOM_KILLED),
            "crashed after 1 attempt: TASK_PROCESS_OOM_KILLED",
        ),
        (InternalError(ErrorCode.TASK_RUN_DEQUEUED_MAX_RETRIES, "gave up"), "system failure: gave up"),
    ],
)
def test_a_failure_says_what_kind_it_was(engine: Harness, error: InternalError | None, expected: str) -> None:
    a_version(engine)
    run = a_started_run(engine)
    fail(engine, run, error)
    assert text(engine, run) == expected


def test_a_timeout_names_the_time_that_was_allowed(engine: Harness) -> None:
    a_version(engine)
    run = a_started_run(engine, max_duration=90)
    fail(engine, run, ErrorCode.MAX_DURATION_EXCEEDED)
    assert text(engine, run) == "timed out: its maxDuration of 1m30s is used up"


def test_a_success_says_how_many_attempts_it_took(engine: Harness) -> None:
    a_version(engine)
    first, second = a_started_run(engine), a_started_run(engine)
    succeed(engine, first)
    assert text(engine, first) == "completed"
    fail(engine, second, retry_ms=0)
    succeed(engine, start(engine, engine.run(second)))
    assert text(engine, second) == "completed after 2 attempts"


def test_an_expired_run_names_its_ttl(engine: Harness) -> None:
    run = a_run(engine, ttl="10m")
    engine.pass_time(601)
    engine.do(expire_lapsed, 10)
    assert text(engine, run) == "expired: not started within its TTL of 10m"


def test_a_run_that_waits_for_its_batch_counts_the_results_that_lack(engine: Harness) -> None:
    """Of runs that go on, and of items that are yet to come."""
    a_version(engine)
    parent = a_started_run(engine)
    request = BatchRequest(run_count=3, parent_id=parent.id, resume_parent=True)
    batch = engine.do(create_batch, engine.prod, request).batch
    for index in range(2):
        engine.do(add_item, engine.prod, batch.id, index, a_request(engine))
    assert text(engine, parent) == "waiting for its batch: 3 of 3 runs are not over"
    succeed(engine, start(engine, claim_one(engine)))
    assert text(engine, parent) == "waiting for its batch: 2 of 3 runs are not over"
