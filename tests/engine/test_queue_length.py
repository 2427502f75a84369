"""How many runs may wait in a queue (Q-19, Q-20)."""

from typing import Any

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
    newest,
    start,
    trigger,
)
from tests.support.harness import CONCURRENCY, Harness
from trigger_lite.engine.delays import enqueue_delayed
from trigger_lite.engine.deliveries import hand_back
from trigger_lite.engine.installation import prepare_installation
from trigger_lite.protocol.errors import QueueFull
from trigger_lite.protocol.manifest import QueueManifest
from trigger_lite.protocol.tasks import DebounceOption, QueueOption


def _capped(engine: Harness, most: int) -> None:
    a_version(engine, a_task(queue={"maxLength": most}))


def _refuses(engine: Harness, **options: Any) -> bool:
    runs = engine.ask("SELECT count(*) FROM run")
    try:
        trigger(engine, **options)
    except QueueFull:
        assert engine.ask("SELECT count(*) FROM run") == runs
        return True
    return False


def test_a_trigger_beyond_the_length_of_its_queue_is_refused(engine: Harness) -> None:
    """Q-19: with an error of its own that names queue and length; what waits is not touched."""
    _capped(engine, 2)
    made = [a_run(engine), a_run(engine)]
    with pytest.raises(QueueFull, match="'task/resize' is full: no more than 2 runs") as refused:
        trigger(engine)
    assert refused.value.code == "QUEUE_SIZE_LIMIT_EXCEEDED"
    assert [run.id for run in claim(engine, 10)] == [run.id for run in made]


def test_a_run_that_starts_or_ends_in_line_makes_room(engine: Harness) -> None:
    """Q-19: what counts is what waits now."""
    _capped(engine, 2)
    a_run(engine), a_run(engine)
    claim_one(engine)
    assert not _refuses(engine)
    assert _refuses(engine)


def test_the_length_is_that_of_all_keys_together(engine: Harness) -> None:
    """Q-20: over all lanes."""
    _capped(engine, 3)
    for key in ("a", "b", None):
        a_run(engine, concurrency_key=key)
    assert _refuses(engine, concurrency_key="c")
    assert _refuses(engine)


def test_other_queues_have_room(engine: Harness) -> None:
    """Q-19: also of the same task."""
    a_version(engine, a_task(queue={"maxLength": 1}), queues=[QueueManifest("wide", max_length=3)])
    a_run(engine)
    assert _refuses(engine)
    assert not _refuses(engine, queue=QueueOption("wide"))
    assert not _refuses(engine, queue=QueueOption("unlimited"))


def test_delayed_runs_do_not_count_and_always_enter(engine: Harness) -> None:
    """Q-19: they were accepted, so the queue takes them when their time comes."""
    _capped(engine, 1)
    a_run(engine)
    for _ in range(3):
        assert not _refuses(engine, delay="1m")
    engine.pass_time(60)
    assert engine.do(enqueue_delayed, 10) == 3
    assert len(claim(engine, 10)) == 4


def test_retries_and_returned_runs_always_enter(engine: Harness) -> None:
    """Q-19: refused is only what is new."""
    _capped(engine, 1)
    running = a_started_run(engine)
    a_run(engine)
    fail(engine, running, retry_ms=40_000)
    assert _refuses(engine)
    back = claim_one(engine)
    engine.do(hand_back, engine.prod.id, back.id, newest(back), WORKER)
    engine.pass_time(40)
    assert len(claim(engine, 10)) == 2


def test_a_key_that_finds_a_run_is_answered_by_a_full_queue(engine: Harness) -> None:
    """ID-10: what creates nothing takes no room."""
    _capped(engine, 1)
    first = trigger(engine, idempotency_key="k")
    again = trigger(engine, idempotency_key="k")
    assert (again.run_id, again.is_cached) == (first.run_id, True)


def test_a_debounced_trigger_is_answered_by_a_full_queue(engine: Harness) -> None:
    """ID-10: it moves a run that waits outside of the queue."""
    _capped(engine, 1)
    first = trigger(engine, debounce=DebounceOption(key="d", delay="1m"))
    a_run(engine)
    assert trigger(engine, debounce=DebounceOption(key="d", delay="1m")).run_id == first.run_id


def test_the_servers_length_holds_for_queues_whose_code_says_none(engine: Harness) -> None:
    """Q-19: the code's own wins, whether it is shorter or longer; both may be taken back."""
    engine.dev, engine.prod = engine.do(prepare_installation, b"secret", CONCURRENCY, 2)
    a_version(engine, a_task("plain"), a_task("long", queue={"maxLength": 4}))
    for task, most in (("plain", 2), ("long", 4), ("unknown", 2)):
        for _ in range(most):
            assert not _refuses(engine, task=task)
        assert _refuses(engine, task=task)
    engine.dev, engine.prod = engine.do(prepare_installation, b"secret", CONCURRENCY)
    assert not _refuses(engine, task="plain")


def test_a_length_of_zero_takes_delayed_runs_alone(engine: Harness) -> None:
    """Q-19: a way to close a queue to new work; raised by a deploy, it opens again."""
    _capped(engine, 0)
    assert _refuses(engine)
    a_version(engine, a_task(queue={"maxLength": 1}), content="two")
    assert not _refuses(engine)


def test_a_shorter_length_drops_nothing(engine: Harness) -> None:
    """Q-19: what waits already, starts."""
    _capped(engine, 5)
    for _ in range(5):
        a_run(engine)
    a_version(engine, a_task(queue={"maxLength": 2}), content="two")
    assert _refuses(engine)
    started = [start(engine, run) for run in claim(engine, 10)]
    assert len(started) == 5
