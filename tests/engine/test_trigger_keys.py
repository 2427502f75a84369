"""Idempotency keys (ID)."""

import pytest

from tests.support.builders import a_run, a_started_run, a_version, claim_one, fail, start, succeed, trigger
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.expiry import expire_lapsed
from trigger_lite.engine.idempotency import reset_key
from trigger_lite.engine.trigger import Triggered
from trigger_lite.protocol.errors import NotFound
from trigger_lite.protocol.run_errors import ErrorCode
from trigger_lite.protocol.statuses import RELEASES_IDEMPOTENCY_KEY, RunStatus

DAY = 86_400


def test_a_second_trigger_with_the_key_returns_the_first_run(engine: Harness) -> None:
    """ID-01: marked as cached, and nothing is made."""
    first = trigger(engine, idempotency_key="order-1")
    assert trigger(engine, idempotency_key="order-1", payload="other") == Triggered(
        first.run_id, is_cached=True
    )
    assert not first.is_cached
    assert engine.ask("SELECT count(*) FROM run") == [1]


def test_a_key_is_unique_per_environment_and_task(engine: Harness) -> None:
    """ID-01: another task, another environment, another key: another run."""
    answers = [
        trigger(engine, idempotency_key="k"),
        trigger(engine, "mail", idempotency_key="k"),
        trigger(engine, environment=engine.dev, idempotency_key="k"),
        trigger(engine, idempotency_key="K"),
    ]
    assert len({answer.run_id for answer in answers}) == 4
    assert not any(answer.is_cached for answer in answers)


def test_an_empty_key_is_none(engine: Harness) -> None:
    """ID-01: two triggers with an empty key make two runs."""
    assert trigger(engine, idempotency_key="").run_id != trigger(engine, idempotency_key="").run_id


def test_a_key_is_released_when_its_life_ends(engine: Harness) -> None:
    """ID-03: it leaves the old run, and a new one takes it."""
    first = trigger(engine, idempotency_key="k", idempotency_key_ttl="1h")
    engine.pass_time(3_599)
    assert trigger(engine, idempotency_key="k").is_cached
    engine.pass_time(1)
    second = trigger(engine, idempotency_key="k")
    assert not second.is_cached
    assert engine.run(first.run_id).idempotency_key is None
    assert engine.run(second.run_id).idempotency_key == "k"


def test_a_key_lives_thirty_days_when_nobody_says(engine: Harness) -> None:
    """ID-02: the default."""
    first = trigger(engine, idempotency_key="k")
    engine.pass_time(30 * DAY - 1)
    assert trigger(engine, idempotency_key="k").run_id == first.run_id
    engine.pass_time(1)
    assert trigger(engine, idempotency_key="k").run_id != first.run_id


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (None, RunStatus.COMPLETED_WITH_ERRORS),
        (ErrorCode.UNSPECIFIED_ERROR, RunStatus.SYSTEM_FAILURE),
        (ErrorCode.DISK_SPACE_EXCEEDED, RunStatus.CRASHED),
        (ErrorCode.MAX_DURATION_EXCEEDED, RunStatus.TIMED_OUT),
    ],
)
def test_a_failed_run_gives_its_key_up(engine: Harness, code: ErrorCode | None, status: RunStatus) -> None:
    """ID-04: the next trigger makes a new run."""
    a_version(engine)
    run = a_started_run(engine, idempotency_key="k")
    fail(engine, run, code)
    assert engine.run(run).status == status
    answer = trigger(engine, idempotency_key="k")
    assert not answer.is_cached and answer.run_id != run.id


def test_an_expired_run_gives_its_key_up(engine: Harness) -> None:
    """ID-04: it never ran."""
    first = trigger(engine, idempotency_key="k", ttl=1)
    engine.pass_time(1)
    engine.do(expire_lapsed, 10)
    assert trigger(engine, idempotency_key="k").run_id != first.run_id


def test_success_cancel_and_a_run_under_way_keep_the_key(engine: Harness) -> None:
    """ID-04: these are answers."""
    a_version(engine)
    done = a_started_run(engine, idempotency_key="done")
    succeed(engine, done)
    canceled = a_run(engine, idempotency_key="canceled")
    engine.do(cancel_run, engine.prod.id, canceled.id)
    retried = a_started_run(engine, idempotency_key="retried")
    fail(engine, retried, retry_ms=60_000)
    claimed = a_run(engine, idempotency_key="claimed")
    start(engine, claim_one(engine))
    for key, run in (("done", done), ("canceled", canceled), ("retried", retried), ("claimed", claimed)):
        assert trigger(engine, idempotency_key=key) == Triggered(run.id, is_cached=True)


def test_the_statuses_that_give_a_key_up_are_the_failed_ones() -> None:
    """ID-04: success and cancel do not."""
    assert {status.value for status in RELEASES_IDEMPOTENCY_KEY} == {
        "COMPLETED_WITH_ERRORS", "SYSTEM_FAILURE", "CRASHED", "TIMED_OUT", "EXPIRED",
    }  # fmt: skip


def test_a_cached_run_is_found_before_anything_else_is_checked(engine: Harness) -> None:
    """ID-10: a version that is gone, or a parent, does not matter to an answer already given."""
    first = trigger(engine, idempotency_key="k")
    assert trigger(engine, idempotency_key="k", lock_to_version="20010101.1").run_id == first.run_id


def test_the_database_itself_allows_one_run_per_key(engine: Harness) -> None:
    """ID-06: a unique index, not only a look before."""
    first, second = a_run(engine, idempotency_key="k"), a_run(engine, idempotency_key="other")
    with pytest.raises(Exception, match=r"(?i)unique"):
        engine.change("UPDATE run SET idempotency_key = 'k' WHERE id = :id", id=second.id)
    assert engine.run(first).idempotency_key == "k"


def test_a_key_that_was_reset_is_free(engine: Harness) -> None:
    """ID-09: its run goes on, and the next trigger makes a new one."""
    first = trigger(engine, idempotency_key="k")
    assert engine.do(reset_key, engine.prod.id, "resize", "k") == first.run_id
    assert engine.run(first.run_id).status == RunStatus.PENDING
    second = trigger(engine, idempotency_key="k")
    assert second.run_id != first.run_id and not second.is_cached


def test_a_key_that_no_run_of_the_task_has_cannot_be_reset(engine: Harness) -> None:
    """ID-09: not one of another task or environment either."""
    trigger(engine, idempotency_key="k")
    wrong = [(engine.prod, "mail", "k"), (engine.dev, "resize", "k"), (engine.prod, "resize", "K")]
    for environment, task, key in wrong:
        with pytest.raises(NotFound, match="has this idempotency key"):
            engine.do(reset_key, environment.id, task, key)
    assert trigger(engine, idempotency_key="k").is_cached
