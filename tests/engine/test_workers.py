"""Worker versions and the queues they bring (PV-02, Q-38, TR-11, MC-01)."""

import pytest

from tests.support.builders import TASK, a_queue, a_run, a_task, a_version, claim_one
from tests.support.harness import Harness
from trigger_lite.engine.events import VersionRegistered
from trigger_lite.protocol.errors import BadRequest
from trigger_lite.store.queues import find_queue, list_queues
from trigger_lite.store.versions import TaskRow, find_current_task, find_current_version

DAY = 86_400


def _task(engine: Harness, task_id: str = TASK) -> TaskRow:
    found = engine.do(find_current_task, engine.prod.id, task_id)
    assert found is not None
    return found


def test_versions_are_numbered_within_their_day(engine: Harness) -> None:
    """PV-02: `YYYYMMDD.N`, in each environment by itself."""
    numbers = [a_version(engine, content=str(n)).version for n in range(11)]
    assert numbers == [f"20260921.{n}" for n in range(1, 12)]
    assert a_version(engine, environment=engine.dev).version == "20260921.1"
    engine.pass_time(DAY)
    assert a_version(engine, content="next day").version == "20260922.1"


def test_the_newest_registration_is_the_current_one(engine: Harness) -> None:
    """PV-02: and is announced."""
    a_version(engine)
    new = a_version(engine, content="two")
    current = engine.do(find_current_version, engine.prod.id)
    assert current is not None and current.id == new.id
    assert [e.version_id for e in engine.events if isinstance(e, VersionRegistered)][-1] == new.id


def test_the_same_content_again_is_the_same_version(engine: Harness) -> None:
    """PV-02: a worker that restarts makes no new one."""
    first = a_version(engine)
    engine.events.clear()
    assert a_version(engine) == first
    assert engine.events == []


def test_going_back_to_older_content_makes_it_current_again(engine: Harness) -> None:
    """PV-02: under a new number."""
    a_version(engine, a_task("old"), content="one")
    a_version(engine, a_task("new"), content="two")
    assert a_version(engine, a_task("old"), content="one").version == "20260921.3"
    assert _task(engine, "old").task_id == "old"
    assert engine.do(find_current_task, engine.prod.id, "new") is None


def test_two_tasks_with_one_id_are_refused_and_nothing_is_registered(engine: Harness) -> None:
    """PV-02: the message names the id."""
    with pytest.raises(BadRequest, match="'mail'"):
        a_version(engine, a_task("mail"), a_task("mail"))
    assert engine.do(find_current_version, engine.prod.id) is None
    assert engine.do(list_queues, engine.prod.id) == []


def test_a_task_keeps_what_its_code_says(engine: Harness) -> None:
    """Q-27: machine, maxDuration, TTL, queue."""
    task = a_task(
        machine={"cpu": 2, "memory": 3},
        maxDuration=1,
        ttl="1h",
        queue={"name": "slow lane"},
        payloadSchema={},
    )
    a_version(engine, task)
    kept = _task(engine)
    assert (kept.machine, kept.max_duration, kept.ttl, kept.queue_name, kept.payload_schema) == (
        "medium-2x", 5, 3_600, "slowlane", "{}"
    )  # fmt: skip


@pytest.mark.parametrize(("ttl", "seconds"), [(90, 90), ("0", 0), (0, 0), ("9999w", 2_147_483_647)])
def test_the_ttl_of_a_task_is_seconds_or_a_duration(engine: Harness, ttl: str | int, seconds: int) -> None:
    """TR-11: within what the database holds."""
    a_version(engine, a_task(ttl=ttl))
    assert _task(engine).ttl == seconds


@pytest.mark.parametrize("ttl", ["soon", -5, "1.5h"])
def test_a_ttl_that_is_none_is_refused(engine: Harness, ttl: str | int) -> None:
    """TR-11: by the name of its task."""
    with pytest.raises(BadRequest, match=r"'resize'.*ttl"):
        a_version(engine, a_task(ttl=ttl))


def test_the_queues_of_the_code_are_made_and_updated(engine: Harness) -> None:
    """Q-38: a task's own, one it names, and those declared by themselves."""
    a_version(
        engine,
        a_task("own", queue={"concurrencyLimit": 2}),
        a_task("shared", queue={"name": "emails"}),
        a_task("shared too", queue={"name": "emails", "concurrencyLimit": 3}),
        queues=[a_queue("slow", 1)],
    )
    made = {q.name: (q.kind, q.limit) for q in engine.do(list_queues, engine.prod.id)}
    assert made == {"task/own": ("task", 2), "emails": ("custom", 3), "slow": ("custom", 1)}
    a_version(engine, a_task("own"), content="two")
    queue = engine.do(find_queue, engine.prod.id, "task/own")
    assert queue is not None and queue.limit is None


def test_a_limit_beyond_what_a_database_holds_is_clamped(engine: Harness) -> None:
    """Q-38: the environment's limit bounds it anyway."""
    a_version(engine, a_task(queue={"concurrencyLimit": 10**12}))
    queue = engine.do(find_queue, engine.prod.id, "task/resize")
    assert queue is not None and queue.limit == 2_147_483_647


def test_more_attempts_than_any_run_gets_are_clamped(engine: Harness) -> None:
    """AT-04: so that a claim never fails on a number."""
    a_version(engine, a_task(retry={"maxAttempts": 10**12}))
    a_run(engine)
    assert claim_one(engine).max_attempts == 250


def test_null_bytes_in_a_manifest_break_nothing(engine: Harness) -> None:
    """TR-03: PostgreSQL holds none, in no column."""
    a_version(engine, a_task(description="a\0b", filePath="tasks\0.py", exportName="x\0"), content="a\0b")
    assert (_task(engine).description, _task(engine).file_path) == ("ab", "tasks.py")
