"""Limits changed while the code says something else (Q-35…39)."""

from typing import Any

import pytest

from tests.support.builders import a_queue, a_run, a_task, a_version, claim, start, succeed
from tests.support.harness import Harness
from trigger_lite.engine.events import QueueChanged
from trigger_lite.engine.queue_limits import (
    Override,
    QueueRef,
    end_overrides,
    find_queue,
    override_limit,
    reset_limit,
)
from trigger_lite.engine.queues import set_environment_limit
from trigger_lite.protocol.errors import BadRequest, NotFound
from trigger_lite.store.queues import QueueRow

RESIZE = QueueRef("task", "resize")


def _limited(engine: Harness, limit: int | None, *, content: str = "one") -> None:
    a_version(engine, a_task(queue={"concurrencyLimit": limit}), content=content)


def _override(engine: Harness, **override: Any) -> QueueRow:
    return engine.do(override_limit, engine.prod.id, RESIZE, Override(**override))


def _limits(engine: Harness) -> tuple[int | None, int | None]:
    """The limit in force and that of the code."""
    queue = engine.do(find_queue, engine.prod.id, RESIZE)
    return queue.limit, queue.code.concurrency_limit


def _startable(engine: Harness) -> int:
    """How many of ten runs start; they end at once."""
    for _ in range(10):
        a_run(engine)
    started = claim(engine, 100)
    for run in started:
        succeed(engine, start(engine, run))
    engine.change("UPDATE run SET queued = 0 WHERE queued = 1")
    engine.change("UPDATE lane SET head_score = NULL, waiting = 0")
    return len(started)


@pytest.mark.parametrize("limit", [0, 1, 10])
def test_an_absolute_override_holds_at_once(engine: Harness, limit: int) -> None:
    """Q-35: from zero to the environment's limit."""
    _limited(engine, 3)
    engine.events.clear()
    queue = _override(engine, limit=limit, by="api")
    assert (queue.limit, queue.overridden_at, queue.overridden_by) == (limit, engine.now, "api")
    assert any(isinstance(event, QueueChanged) for event in engine.events)
    assert _startable(engine) == limit


@pytest.mark.parametrize(
    "override",
    [
        {"limit": -1},
        {"limit": 11},
        {"limit": 100_000},
        {"percent": 0},
        {"percent": 0.001},
        {"percent": -5},
        {"percent": 100.01},
        {"percent": float("nan")},
        {},
        {"limit": 1, "percent": 50},
    ],
)
def test_an_override_outside_of_what_is_allowed_is_refused(engine: Harness, override: dict[str, Any]) -> None:
    """Q-35: nothing is stored, not even over an earlier override."""
    _limited(engine, 3)
    _override(engine, limit=2)
    with pytest.raises(BadRequest):
        _override(engine, **override)
    assert _limits(engine) == (2, 3)


@pytest.mark.parametrize(
    ("percent", "limit"), [(100, 10), (50, 5), (59, 5), (1, 1), (0.01, 1), (33.34, 3), (99.99, 9)]
)
def test_a_percentage_is_rounded_down_and_at_least_one(engine: Harness, percent: float, limit: int) -> None:
    """Q-35: of the environment's limit."""
    _limited(engine, 3)
    assert _override(engine, percent=percent).limit == limit
    assert _startable(engine) == limit


def test_a_queue_without_limit_can_be_overridden_and_reset(engine: Harness) -> None:
    """Q-36: its base is no limit."""
    _limited(engine, None)
    _override(engine, limit=1)
    assert _startable(engine) == 1
    engine.do(reset_limit, engine.prod.id, RESIZE)
    assert _limits(engine) == (None, None)
    assert _startable(engine) == 10


def test_a_second_override_keeps_the_first_base(engine: Harness) -> None:
    """Q-36: the base is remembered once."""
    _limited(engine, 3)
    _override(engine, limit=5)
    _override(engine, percent=10)
    assert _limits(engine) == (1, 3)
    assert engine.do(reset_limit, engine.prod.id, RESIZE).limit == 3


def test_a_deploy_while_overridden_changes_the_base_alone(engine: Harness) -> None:
    """Q-36: reset goes to what the code says by then."""
    _limited(engine, 3)
    _override(engine, limit=5)
    _limited(engine, 7, content="two")
    assert _limits(engine) == (5, 7)
    assert _startable(engine) == 5
    engine.do(reset_limit, engine.prod.id, RESIZE)
    assert _startable(engine) == 7


def test_a_reset_without_override_is_an_error(engine: Harness) -> None:
    """Q-36: also after one reset."""
    _limited(engine, 3)
    with pytest.raises(BadRequest, match="not overridden"):
        engine.do(reset_limit, engine.prod.id, RESIZE)
    _override(engine, limit=5)
    engine.do(reset_limit, engine.prod.id, RESIZE)
    with pytest.raises(BadRequest):
        engine.do(reset_limit, engine.prod.id, RESIZE)


def test_a_percentage_follows_the_limit_of_the_environment(engine: Harness) -> None:
    """Q-37: an absolute override does not; to follow twice changes nothing."""
    a_version(engine, a_task(), queues=[a_queue("fixed", 2)])
    _override(engine, percent=50)
    engine.do(override_limit, engine.prod.id, QueueRef("custom", "fixed"), Override(limit=8))
    for _ in range(2):
        engine.do(set_environment_limit, engine.prod.id, 4)
        assert _limits(engine)[0] == 2
        assert engine.do(find_queue, engine.prod.id, QueueRef("custom", "fixed")).limit == 8
    assert _startable(engine) == 2
    engine.do(set_environment_limit, engine.prod.id, 20)
    assert _limits(engine)[0] == 10


def test_an_override_beyond_a_lowered_environment_is_bounded_by_it(engine: Harness) -> None:
    """Q-37, Q-16: the number stays, and holds again when the environment grows."""
    _limited(engine, 3)
    _override(engine, limit=8)
    engine.do(set_environment_limit, engine.prod.id, 4)
    assert _startable(engine) == 4
    engine.do(set_environment_limit, engine.prod.id, 10)
    assert _startable(engine) == 8


def test_a_limit_of_the_code_beyond_the_environment_is_bounded_by_it(engine: Harness) -> None:
    """Q-38: whichever of the two changes."""
    _limited(engine, 500)
    assert _startable(engine) == 10
    engine.do(set_environment_limit, engine.prod.id, 5)
    assert _startable(engine) == 5


def test_an_override_may_end_by_itself(engine: Harness) -> None:
    """Q-36: at its time, back to the base."""
    _limited(engine, 3)
    queue = _override(engine, limit=5, ends_at=engine.now + 60_000)
    assert queue.override_ends_at == engine.now + 60_000
    engine.pass_time(59.999)
    assert engine.do(end_overrides, 10) == 0
    engine.pass_time(0.001)
    engine.events.clear()
    assert engine.do(end_overrides, 10) == 1
    assert _limits(engine) == (3, 3)
    assert any(isinstance(event, QueueChanged) for event in engine.events)
    assert engine.do(end_overrides, 10) == 0


def test_an_override_that_would_have_ended_is_refused(engine: Harness) -> None:
    """Q-35: nothing is stored."""
    _limited(engine, 3)
    with pytest.raises(BadRequest, match="in the past"):
        _override(engine, limit=5, ends_at=engine.now)
    assert _limits(engine) == (3, 3)


def test_a_later_override_without_end_stays(engine: Harness) -> None:
    """Q-36: the end is that of the newest."""
    _limited(engine, 3)
    _override(engine, limit=5, ends_at=engine.now + 1_000)
    _override(engine, limit=6)
    engine.pass_time(5)
    assert engine.do(end_overrides, 10) == 0
    assert _limits(engine) == (6, 3)


def test_a_queue_is_found_by_id_and_by_type_and_name(engine: Harness) -> None:
    """Q-39: the name of a task's queue may carry its prefix; nothing of another environment is found."""
    a_version(engine, a_task(), queues=[a_queue("crm/eu")])
    by_name = engine.do(find_queue, engine.prod.id, RESIZE)
    assert by_name.name == "task/resize"
    for ref in (
        QueueRef("id", by_name.id),
        QueueRef("task", "task/resize"),
        QueueRef("custom", "task/resize"),
    ):
        assert engine.do(find_queue, engine.prod.id, ref) == by_name
    assert engine.do(find_queue, engine.prod.id, QueueRef("custom", "crm/eu")).kind == "custom"
    for ref in (QueueRef("id", "queue_none"), QueueRef("task", "crm/eu"), QueueRef("custom", "resize")):
        with pytest.raises(NotFound, match="queue-not-found"):
            engine.do(find_queue, engine.prod.id, ref)
    with pytest.raises(NotFound):
        engine.do(find_queue, engine.dev.id, QueueRef("id", by_name.id))
