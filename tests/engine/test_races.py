"""Who acts at the same moment on the same run, in every order: one wins, and the other is told.

Functions of the engine run one after the other, so all that a race can be is an order. What everybody names
is what all saw before: the snapshot, the time, the list. Ported from the race tests of Trigger.dev's engine.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from tests.support.builders import (
    a_run,
    a_started_run,
    a_token,
    a_version,
    claim,
    claim_one,
    complete_with,
    fail,
    newest,
    start,
    succeed,
    told,
    trigger,
    wait_for,
)
from tests.support.harness import Harness
from tests.support.orders import orders, waits_ended
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.delays import enqueue_delayed, reschedule
from trigger_lite.engine.deliveries import hand_back, time_out
from trigger_lite.engine.expiry import expire_lapsed
from trigger_lite.engine.waitpoints import Edge, block, complete, complete_due, waitpoint_of_run
from trigger_lite.engine.workers import promote_waiting
from trigger_lite.protocol.errors import Refusal, StaleSnapshot, Unprocessable
from trigger_lite.protocol.run_errors import ErrorCode
from trigger_lite.store import waitpoints
from trigger_lite.store.runs import RunRow

DONE, NOTHING = "done", "nothing to do"
STALE, REFUSED = StaleSnapshot.__name__, Unprocessable.__name__
Act = Callable[[Harness, RunRow], object]

QUEUED = "PENDING/QUEUED"
CANCELING = "CANCELED/PENDING_CANCEL"
CANCELED = "CANCELED/FINISHED"
SUCCEEDED = "COMPLETED_SUCCESSFULLY/FINISHED"
FAILED = "COMPLETED_WITH_ERRORS/FINISHED"
EXPIRED = "EXPIRED/FINISHED"
RUNNING = "EXECUTING/EXECUTING"
CLAIMED = "DEQUEUED/PENDING_EXECUTING"


# ---- what runs are like before ------------------------------------------------------------------------


def _executing(engine: Harness) -> RunRow:
    return a_started_run(engine)


def _handed_out(engine: Harness) -> RunRow:
    a_run(engine)
    return claim_one(engine)


def _canceling(engine: Harness) -> RunRow:
    run = a_started_run(engine)
    return engine.do(cancel_run, run.environment_id, run.id)


def _in_line(engine: Harness) -> RunRow:
    return a_run(engine, ttl=10)


def _lapsed(engine: Harness) -> RunRow:
    run = a_run(engine, ttl=10)
    engine.pass_time(10)
    return run


def _due(engine: Harness) -> RunRow:
    run = a_run(engine, delay="10s")
    engine.pass_time(10)
    return run


def _parked(engine: Harness) -> RunRow:
    """Asked for a version that is not the current one any more, and has no worker."""
    (number,) = engine.ask("SELECT version FROM worker_version")
    run = a_run(engine, lock_to_version=number)
    a_version(engine, content="two")
    assert not claim(engine)
    return engine.run(run)


def _waiting(engine: Harness) -> RunRow:
    """Waits for a token whose time is up, and nobody has looked yet."""
    run = a_started_run(engine)
    wait_for(engine, run, a_token(engine, timeout="10s"))
    engine.pass_time(10)
    return engine.run(run)


def _between_attempts(engine: Harness) -> RunRow:
    run = a_started_run(engine)
    fail(engine, run, retry_ms=1_000)
    return engine.run(run)


# ---- who acts -------------------------------------------------------------------------------------------


def _cancel(engine: Harness, run: RunRow) -> object:
    return engine.do(cancel_run, run.environment_id, run.id)


def _success(engine: Harness, run: RunRow) -> object:
    return succeed(engine, run)


def _failure(engine: Harness, run: RunRow) -> object:
    return fail(engine, run)


def _confirmation(engine: Harness, run: RunRow) -> object:
    return fail(engine, run, ErrorCode.TASK_RUN_CANCELLED)


def _silence(engine: Harness, run: RunRow) -> object:
    return engine.do(time_out, run.id, run.snapshot_seq)


def _start(engine: Harness, run: RunRow) -> object:
    return start(engine, run)


def _hand_back(engine: Harness, run: RunRow) -> object:
    return engine.do(hand_back, run.environment_id, run.id, newest(run), run.worker_id or "")


def _claim(engine: Harness, run: RunRow) -> object:
    return claim(engine, worker="worker_2")


def _expiry(engine: Harness, run: RunRow) -> object:
    return engine.do(expire_lapsed, 10)


def _late_expiry(engine: Harness, run: RunRow) -> object:
    engine.pass_time(10)
    return engine.do(expire_lapsed, 10)


def _delay_end(engine: Harness, run: RunRow) -> object:
    return engine.do(enqueue_delayed, 10)


def _reschedule(engine: Harness, run: RunRow) -> object:
    return engine.do(reschedule, run.environment_id, run.id, engine.now + 60_000)


def _promotion(engine: Harness, run: RunRow) -> object:
    return engine.do(promote_waiting, run.environment_id, run.version_id or "")


def _completion(engine: Harness, run: RunRow) -> object:
    (token,) = engine.ask("SELECT id FROM waitpoint")
    return engine.do(complete, token, output='"in time"')


def _timeout(engine: Harness, run: RunRow) -> object:
    return engine.do(complete_due, 10)


class Race(NamedTuple):
    """Two who act, and for each: how the run is when it comes first, and what the other is told then."""

    run: Callable[[Harness], RunRow]
    one: Act
    one_first: tuple[str, str]
    other: Act
    other_first: tuple[str, str]


RACES = {
    "cancel and success": Race(_executing, _cancel, (CANCELING, STALE), _success, (SUCCEEDED, NOTHING)),
    "cancel and failure": Race(_executing, _cancel, (CANCELING, STALE), _failure, (FAILED, NOTHING)),
    "success and failure": Race(_executing, _success, (SUCCEEDED, STALE), _failure, (FAILED, STALE)),
    "success twice": Race(_executing, _success, (SUCCEEDED, STALE), _success, (SUCCEEDED, STALE)),
    "silence and success": Race(_executing, _silence, (QUEUED, STALE), _success, (SUCCEEDED, NOTHING)),
    "silence and cancel": Race(_executing, _silence, (CANCELED, DONE), _cancel, (CANCELING, NOTHING)),
    "silence twice": Race(_executing, _silence, (QUEUED, NOTHING), _silence, (QUEUED, NOTHING)),
    "start and silence": Race(_handed_out, _start, (RUNNING, NOTHING), _silence, (QUEUED, STALE)),
    "start and cancel": Race(_handed_out, _start, (CANCELING, DONE), _cancel, (CANCELING, STALE)),
    "start and return": Race(_handed_out, _start, (RUNNING, STALE), _hand_back, (QUEUED, STALE)),
    "return and cancel": Race(_handed_out, _hand_back, (CANCELED, DONE), _cancel, (CANCELING, STALE)),
    "return and silence": Race(_handed_out, _hand_back, (QUEUED, NOTHING), _silence, (QUEUED, STALE)),
    "next attempt and silence": Race(
        _between_attempts, _start, (RUNNING, NOTHING), _silence, (QUEUED, STALE)
    ),
    "next attempt and cancel": Race(
        _between_attempts, _start, (CANCELING, DONE), _cancel, (CANCELING, STALE)
    ),
    "end of a cancel": Race(
        _canceling, _confirmation, (CANCELED, NOTHING), _silence, (CANCELED, STALE)
    ),
    "success after a cancel": Race(_canceling, _success, (CANCELED, NOTHING), _silence, (CANCELED, STALE)),
    "claim and cancel": Race(_in_line, _claim, (CANCELING, DONE), _cancel, (CANCELED, NOTHING)),
    "claim and claim": Race(_in_line, _claim, (CLAIMED, NOTHING), _claim, (CLAIMED, NOTHING)),
    "claim and ttl": Race(_in_line, _claim, (CLAIMED, NOTHING), _late_expiry, (EXPIRED, NOTHING)),
    "ttl and late claim": Race(_lapsed, _expiry, (EXPIRED, NOTHING), _claim, (EXPIRED, NOTHING)),
    "ttl and cancel": Race(_lapsed, _expiry, (EXPIRED, NOTHING), _cancel, (CANCELED, NOTHING)),
    "delay and cancel": Race(_due, _delay_end, (CANCELED, DONE), _cancel, (CANCELED, NOTHING)),
    "delay and reschedule": Race(
        _due, _delay_end, (QUEUED, REFUSED), _reschedule, ("DELAYED/DELAYED", NOTHING)
    ),
    "delay twice": Race(_due, _delay_end, (QUEUED, NOTHING), _delay_end, (QUEUED, NOTHING)),
    "reschedule and cancel": Race(_due, _reschedule, (CANCELED, DONE), _cancel, (CANCELED, REFUSED)),
    "version and cancel": Race(_parked, _promotion, (CANCELED, DONE), _cancel, (CANCELED, NOTHING)),
    "version twice": Race(_parked, _promotion, (QUEUED, NOTHING), _promotion, (QUEUED, NOTHING)),
    "token and its timeout": Race(_waiting, _completion, (RUNNING, NOTHING), _timeout, (RUNNING, NOTHING)),
    "token twice": Race(_waiting, _completion, (RUNNING, NOTHING), _completion, (RUNNING, NOTHING)),
    "token and cancel": Race(_waiting, _completion, (CANCELING, DONE), _cancel, (CANCELING, NOTHING)),
    "token and silence": Race(_waiting, _completion, (RUNNING, NOTHING), _silence, (QUEUED, NOTHING)),
    "success while waiting and token": Race(
        _waiting, _success, (SUCCEEDED, NOTHING), _completion, (RUNNING, STALE)
    ),
}  # fmt: skip


def _outcome(engine: Harness, run: RunRow, act: Act) -> str:
    """Act, and say what came of it: what changes anything is announced."""
    before = len(engine.events)
    try:
        act(engine, run)
    except Refusal as refusal:
        return type(refusal).__name__
    return NOTHING if len(engine.events) == before else DONE


@pytest.mark.parametrize("is_first", [True, False], ids=["in this order", "the other way round"])
@pytest.mark.parametrize("race", RACES.values(), ids=RACES)
def test_of_two_at_once_the_first_wins_and_the_other_is_told(
    engine: Harness, race: Race, is_first: bool
) -> None:
    """LK-06, LK-02, LK-03, LK-05, HB-07, CN-01, CN-05, CN-10: in both orders, and it ends only once."""
    a_version(engine)
    run = race.run(engine)
    first, second = (race.one, race.other) if is_first else (race.other, race.one)
    expected_state, expected_answer = race.one_first if is_first else race.other_first
    assert _outcome(engine, run, first) == DONE
    assert _outcome(engine, run, second) == expected_answer
    after = engine.run(run)
    assert f"{after.status}/{after.execution_status}" == expected_state
    assert engine.path(run).count("FINISHED") <= 1
    held = 1 if after.holds_slot else 0
    assert (engine.load().held, engine.ask("SELECT coalesce(sum(held), 0) FROM lane")) == (held, [held])


# ---- who waits, and what is waited for ------------------------------------------------------------------


def _outputs(engine: Harness, run: RunRow) -> list[str | None]:
    return [waitpoint.output for waitpoint in told(engine, run).waitpoints]


def test_five_that_complete_at_once_wake_a_run_once_in_any_order(engine: Harness) -> None:
    """LK-10, WP-05: with all outputs, by whichever comes last."""
    a_version(engine)
    for order in orders("01234"):
        run = a_started_run(engine)
        tokens = [a_token(engine) for _ in range(5)]
        engine.do(block, run, [Edge(token.id) for token in tokens])
        for count, number in enumerate(order, 1):
            complete_with(engine, tokens[int(number)], number)
            assert waits_ended(engine, run) == (count == 5)
        assert sorted(map(str, _outputs(engine, run))) == ["0", "1", "2", "3", "4"]
        succeed(engine, engine.run(run))


@pytest.mark.parametrize("order", orders(["wait", "complete"]), ids="-".join)
def test_a_token_completed_about_when_a_run_begins_to_wait_wakes_it_once(
    engine: Harness, order: Sequence[str]
) -> None:
    """LK-10, WP-04: before or after, no wake-up is lost and none comes twice."""
    a_version(engine)
    run, token = a_started_run(engine), a_token(engine)
    acts: dict[str, Callable[[], object]] = {
        "wait": lambda: wait_for(engine, run, token),
        "complete": lambda: complete_with(engine, token, "1"),
    }
    for name in order:
        acts[name]()
    assert waits_ended(engine, run) == 1
    assert _outputs(engine, run) == ["1"]
    complete_with(engine, token, "2")
    assert waits_ended(engine, run) == 1


@pytest.mark.parametrize("order", [o for o in orders("abAB") if o.index("a") < o.index("b")], ids="".join)
def test_something_to_wait_for_that_is_added_meanwhile_keeps_the_run_waiting(
    engine: Harness, order: Sequence[str]
) -> None:
    """LK-10, WP-06: a small letter waits, a large one completes; going on forgets only what was looked at."""
    a_version(engine)
    run, first, second = a_started_run(engine), a_token(engine), a_token(engine)
    acts: dict[str, Callable[[], object]] = {
        "a": lambda: wait_for(engine, run, first),
        "b": lambda: wait_for(engine, run, second),
        "A": lambda: complete_with(engine, first, "1"),
        "B": lambda: complete_with(engine, second, "2"),
    }
    done: set[str] = set()
    for name in order:
        acts[name]()
        done.add(name)
        is_waiting = any(letter in done and letter.upper() not in done for letter in "ab")
        assert (engine.run(run).execution_status == "EXECUTING_WITH_WAITPOINTS") == is_waiting
    assert engine.ask("SELECT count(*) FROM run_waitpoint") == [0]


@pytest.mark.parametrize("order", orders("12E"), ids="".join)
def test_two_parents_of_one_child_both_go_on_whenever_it_ends(engine: Harness, order: Sequence[str]) -> None:
    """LK-10, ID-05, WP-03, WP-15: one run and one waitpoint, asked for before the end and after it."""
    a_version(engine)
    child = a_started_run(engine, idempotency_key="shared")
    parents = {"1": a_started_run(engine), "2": a_started_run(engine)}
    for name in order:
        if name == "E":
            succeed(engine, engine.run(child), output='"of the child"')
        else:
            asked = trigger(
                engine,
                idempotency_key="shared",
                parent_run_id=parents[name].id,
                resume_parent_on_completion=True,
            )
            assert (asked.run_id, asked.is_cached) == (child.id, True)
    for parent in parents.values():
        assert (waits_ended(engine, parent), _outputs(engine, parent)) == (1, ['"of the child"'])
    assert engine.ask("SELECT count(*) FROM waitpoint") == [1]


@pytest.mark.parametrize("order", orders("QQE"), ids="".join)
def test_whoever_asks_for_the_end_of_a_run_is_given_the_same_waitpoint(
    engine: Harness, order: Sequence[str]
) -> None:
    """LK-10, WP-15: asked for (Q) twice, before and after the end (E), it is one, and complete."""
    a_version(engine)
    run = a_started_run(engine)
    found = set()
    for name in order:
        if name == "E":
            succeed(engine, engine.run(run))
        else:
            found.add(engine.do(waitpoint_of_run, engine.run(run)).id)
    (only,) = found
    waitpoint = engine.do(waitpoints.find_waitpoint, only)
    assert waitpoint is not None and waitpoint.status == "COMPLETED"
