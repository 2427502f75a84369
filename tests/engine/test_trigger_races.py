"""Triggers, keys and batches at one moment, in every order: nothing is made twice, nothing is forgotten."""

from collections.abc import Callable, Sequence

import msgspec
import pytest

from tests.support.batching import a_batch, add, now, sealed
from tests.support.builders import (
    TASK,
    a_request,
    a_run,
    a_started_run,
    a_version,
    claim,
    claim_one,
    fail,
    start,
    succeed,
    told,
    trigger,
)
from tests.support.harness import Harness
from tests.support.orders import orders, waits_ended
from trigger_lite.engine.batches import SEAL_WITHIN_MS, abort_unsealed
from trigger_lite.engine.delays import enqueue_delayed
from trigger_lite.engine.idempotency import reset_key
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.protocol.errors import BatchRefused, NotFound
from trigger_lite.protocol.tasks import DebounceOption

# ---- triggers and keys --------------------------------------------------------------------------------


def test_first_triggers_of_one_key_at_once_make_one_run(engine: Harness) -> None:
    """LK-10, DB-10, ID-06: of a debounce key, and of an idempotency key."""
    debounce = DebounceOption("key", "30s")
    assert len({trigger(engine, debounce=debounce).run_id for _ in range(10)}) == 1
    answers = [trigger(engine, "other", idempotency_key="key") for _ in range(10)]
    assert len({answer.run_id for answer in answers}) == 1
    assert [answer.is_cached for answer in answers] == [False, *[True] * 9]


@pytest.mark.parametrize("order", orders(["start", "push"]), ids="-".join)
def test_a_push_and_the_start_at_one_moment_lose_nothing(engine: Harness, order: Sequence[str]) -> None:
    """LK-05, LK-10, DB-04: the push moves the run, or makes another; none starts early, none is forgotten."""
    debounce = DebounceOption("key", "30s")
    first = engine.run(trigger(engine, debounce=debounce).run_id)
    engine.now = first.delay_until or 0
    pushed = first
    for name in order:
        if name == "start":
            engine.do(enqueue_delayed, 10)
        else:
            pushed = engine.run(trigger(engine, debounce=debounce).run_id)
    assert (pushed.id == first.id) == (order[0] == "push")
    assert pushed.execution_status == "DELAYED" and (pushed.delay_until or 0) >= engine.now + 29_000
    assert engine.run(first).execution_status == ("DELAYED" if order[0] == "push" else "QUEUED")
    engine.pass_time(30)
    engine.do(enqueue_delayed, 10)
    assert engine.ask("SELECT count(*) FROM run WHERE execution_status = 'DELAYED'") == [0]


@pytest.mark.parametrize("order", orders(["failure", "trigger"]), ids="-".join)
def test_a_trigger_about_when_the_holder_of_its_key_fails(engine: Harness, order: Sequence[str]) -> None:
    """ID-01, ID-04: it finds the run that has not failed yet, or makes the next."""
    a_version(engine)
    holder = a_started_run(engine, idempotency_key="key")
    acts: dict[str, Callable[[], object]] = {
        "failure": lambda: fail(engine, holder),
        "trigger": lambda: trigger(engine, idempotency_key="key").run_id == holder.id,
    }
    found = {name: acts[name]() for name in order}
    assert found["trigger"] is (order[0] == "trigger")
    assert trigger(engine, idempotency_key="key").run_id != holder.id


@pytest.mark.parametrize("order", orders(["reset", "trigger"]), ids="-".join)
def test_a_trigger_about_when_its_key_is_reset(engine: Harness, order: Sequence[str]) -> None:
    """ID-09, LK-06: a reset frees what has the key, and says so when nothing has."""
    holder = a_run(engine, idempotency_key="key")
    made = holder.id
    for name in order:
        if name == "reset":
            assert engine.do(reset_key, engine.prod.id, TASK, "key") == holder.id
        else:
            made = trigger(engine, idempotency_key="key").run_id
    assert (made == holder.id) == (order[0] == "trigger")
    if order[0] == "trigger":
        with pytest.raises(NotFound):
            engine.do(reset_key, engine.prod.id, TASK, "key")


def test_a_repeated_request_is_answered_after_its_run_is_over(engine: Harness) -> None:
    """ID-07, LK-06: by the same id, whatever became of the run meanwhile."""
    a_version(engine)
    request = msgspec.structs.replace(a_request(engine), request_key="request")
    first = engine.do(trigger_run, engine.prod, request)
    succeed(engine, start(engine, claim_one(engine)))
    assert engine.do(trigger_run, engine.prod, request).run_id == first.run_id


# ---- batches --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", orders("S012"), ids="".join)
def test_a_parent_goes_on_once_whether_its_batch_is_sealed_or_over_first(
    engine: Harness, order: Sequence[str]
) -> None:
    """LK-10, BA-15, BA-16: sealed (S) and three runs ended in any order; with the last of them it goes on."""
    a_version(engine)
    parent = a_started_run(engine)
    batch = a_batch(engine, 3, parent=parent)
    for index in range(3):
        add(engine, batch, index)
    children = [start(engine, run) for run in claim(engine, 3)]
    for count, name in enumerate(order, 1):
        if name == "S":
            assert sealed(engine, batch).sealed
        else:
            succeed(engine, children[int(name)], output=name)
        assert waits_ended(engine, parent) == (count == 4)
    assert [w.output for w in told(engine, parent).waitpoints if w.index is not None] == ["0", "1", "2"]
    assert now(engine, batch).status == "COMPLETED"


@pytest.mark.parametrize("order", orders(["reaper", "item", "seal"]), ids="-".join)
def test_the_last_item_the_seal_and_the_reaper_at_once(engine: Harness, order: Sequence[str]) -> None:
    """LK-10, BA-04, BA-05, BA-09: a batch is sealed or aborted, never both, and its parent goes on once."""
    a_version(engine)
    parent = a_started_run(engine)
    batch = a_batch(engine, 1, parent=parent)
    engine.pass_time(SEAL_WITHIN_MS / 1000)
    acts: dict[str, Callable[[], object]] = {
        "reaper": lambda: engine.do(abort_unsealed, 10),
        "item": lambda: add(engine, batch, 0),
        "seal": lambda: sealed(engine, batch).sealed,
    }
    answers: dict[str, object] = {}
    for name in order:
        try:
            answers[name] = acts[name]()
        except BatchRefused:
            answers[name] = "refused"
    is_sealed = order == ("item", "seal", "reaper")
    assert now(engine, batch).status == ("PENDING" if is_sealed else "ABORTED")
    assert (answers["reaper"], answers["seal"] is True) == (int(not is_sealed), is_sealed)
    assert waits_ended(engine, parent) == int(not is_sealed)
    if order[0] == "reaper":
        assert (answers["item"], answers["seal"]) == ("refused", "refused")
