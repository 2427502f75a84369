"""What is removed when it is old, and what stays because somebody may still need it."""

from typing import Any

import msgspec
import pytest

from tests.support.batching import a_batch, add, fill, refuse, sealed
from tests.support.builders import (
    a_request,
    a_run,
    a_started_run,
    a_token,
    a_version,
    claim,
    complete_with,
    fail,
    start,
    succeed,
    wait_for,
    wait_seconds,
)
from tests.support.harness import Harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.retention import Kind, Old, find_old, remove
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.engine.waitpoints import complete_due
from trigger_lite.store.runs import MAX_INLINE, RunData, RunRow

DAY = 86_400.0
_TABLES = (
    "run", "run_value", "run_tag", "snapshot", "waitpoint", "run_waitpoint", "request_key", "bulk_item",
    "batch", "batch_item", "bulk_action",
)  # fmt: skip


def look(engine: Harness, kind: Kind = Kind.RUNS, *, after: str = "", count: int = 100) -> Old:
    return engine.do(find_old, kind, after=after, before=engine.now, count=count)


def take(engine: Harness, kind: Kind = Kind.RUNS) -> int:
    """Remove what is over by now; returns how many."""
    return engine.do(remove, kind, look(engine, kind).ids, engine.now)


def left(engine: Harness) -> dict[str, int]:
    """Count the rows of all tables that are not empty."""
    counts = {name: engine.ask(f"SELECT count(*) FROM {name}")[0] for name in _TABLES}
    return {name: count for name, count in counts.items() if count}


def finished(engine: Harness, **options: Any) -> RunRow:
    return succeed(engine, a_started_run(engine, **options)).run


def child_of(engine: Harness, parent: RunRow, **options: Any) -> RunRow:
    """A started child that its parent waits for."""
    child = a_run(engine, parent_run_id=parent.id, resume_parent_on_completion=True, **options)
    (claimed,) = [run for run in claim(engine, 100) if run.id == child.id]
    return start(engine, claimed)


@pytest.fixture(autouse=True)
def version(engine: Harness) -> None:
    a_version(engine)


# ---- what goes ------------------------------------------------------------------------------------


def test_a_run_goes_with_everything_that_hangs_on_it(engine: Harness) -> None:
    request = a_request(engine, payload="x" * (MAX_INLINE + 1), tags=["a", "b"])
    request = msgspec.structs.replace(request, request_key="once")
    run = engine.run(engine.do(trigger_run, engine.prod, request).run_id)
    engine.change(
        "INSERT INTO bulk_item (bulk_id, run_id, status) VALUES ('bulk_0', :id, 'FAILED')", id=run.id
    )
    parent = a_started_run(engine)
    succeed(engine, child_of(engine, parent))
    succeed(engine, engine.run(parent))
    engine.do(cancel_run, engine.prod.id, run.id)
    succeed(engine, engine.run(run))  # its worker confirms
    assert {"run", "run_value", "run_tag", "snapshot", "waitpoint", "request_key"} <= set(left(engine))
    engine.pass_time(1)
    assert (take(engine), take(engine, Kind.FAILURES)) == (2, 1)
    assert left(engine) == {}


def test_runs_are_found_oldest_first_in_bounded_looks(engine: Harness) -> None:
    runs = [finished(engine).id for _ in range(5)]
    engine.pass_time(1)
    first = look(engine, count=2)
    assert first == Old(runs[:2], runs[1])
    assert look(engine, after=runs[1], count=2) == Old(runs[2:4], runs[3])
    assert look(engine, after=runs[3], count=2) == Old(runs[4:], None)


def test_a_run_is_as_old_as_its_end(engine: Harness) -> None:
    run = a_started_run(engine)
    engine.pass_time(30 * DAY)
    succeed(engine, run)
    assert engine.do(find_old, Kind.RUNS, after="", before=engine.now - 1_000, count=9).ids == []
    engine.pass_time(2)
    assert engine.do(find_old, Kind.RUNS, after="", before=engine.now - 1_000, count=9).ids == [run.id]


def test_failures_are_a_kind_of_their_own(engine: Harness) -> None:
    """They are kept longer, and go last when there is no room."""
    failed, fine = fail(engine, a_started_run(engine, max_attempts=1)).run, finished(engine)
    engine.pass_time(1)
    assert (look(engine).ids, look(engine, Kind.FAILURES).ids) == ([fine.id], [failed.id])


def test_a_pruned_run_keeps_its_story_and_loses_its_data(engine: Harness) -> None:
    """CN-13: what is left says that there was a payload."""
    run = finished(engine, payload="x" * (MAX_INLINE + 1), metadata={"a": 1}, tags=["a"])
    engine.pass_time(1)
    assert take(engine, Kind.PAYLOADS) == 1
    assert engine.run(run).pruned_at == engine.now
    assert engine.data(run) == RunData(None, "application/json", None, None, None, "application/json", None)
    assert left(engine) == {"run": 1, "run_tag": 1, "snapshot": 4}
    assert take(engine, Kind.PAYLOADS) == 0


def test_a_run_without_data_has_nothing_to_prune(engine: Harness) -> None:
    run = succeed(engine, a_started_run(engine, payload=msgspec.UNSET), output=None).run
    engine.pass_time(1)
    assert take(engine, Kind.PAYLOADS) == 0
    assert engine.run(run).pruned_at is None


def test_waits_that_are_over_go_by_themselves(engine: Harness) -> None:
    run = a_started_run(engine)
    wait_seconds(engine, run, 5)
    engine.pass_time(6)
    engine.do(complete_due, 10)
    token, pending = a_token(engine), a_token(engine)
    complete_with(engine, token)
    engine.pass_time(1)
    assert take(engine, Kind.WAITPOINTS) == 2
    assert engine.ask("SELECT id FROM waitpoint") == [pending.id]


# ---- what stays -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.RUNS, Kind.PAYLOADS])
def test_what_is_not_over_stays(engine: Harness, kind: Kind) -> None:
    a_started_run(engine, payload=1)
    a_run(engine, payload=1), a_run(engine, payload=1, delay="1h")
    engine.pass_time(DAY)
    assert look(engine, kind).ids == []


@pytest.mark.parametrize("kind", [Kind.RUNS, Kind.PAYLOADS])
def test_a_child_stays_until_its_parent_and_its_root_are_over(engine: Harness, kind: Kind) -> None:
    """The result of a child is read from the child as long as its parent may ask."""
    root = a_started_run(engine, payload=0)
    parent = child_of(engine, root, payload=1)
    child = child_of(engine, parent, payload=2)
    succeed(engine, child)
    engine.pass_time(1)
    assert look(engine, kind).ids == []
    parent = succeed(engine, engine.run(parent)).run
    engine.pass_time(1)
    assert look(engine, kind).ids == []
    root = succeed(engine, engine.run(root)).run
    engine.pass_time(1)
    assert look(engine, kind).ids == [root.id, parent.id, child.id]


def test_a_parent_stays_until_its_children_are_over(engine: Harness) -> None:
    """They write into its metadata."""
    parent = a_started_run(engine)
    child = a_run(engine, parent_run_id=parent.id)
    parent = succeed(engine, parent).run
    engine.pass_time(1)
    assert look(engine).ids == []
    engine.do(cancel_run, engine.prod.id, child.id)
    assert look(engine).ids == [parent.id]


def test_a_run_that_another_waits_for_stays_even_when_that_began_after_the_look(engine: Harness) -> None:
    """A key leads a later parent to it: it has not read the result yet, for it waits for more."""
    shared = finished(engine, idempotency_key="shared", idempotency_key_ttl="1h")
    engine.pass_time(1)
    found = look(engine, Kind.KEYED)
    assert found.ids == [shared.id]
    other = a_started_run(engine)
    wait_for(engine, other, a_token(engine))
    a_run(engine, idempotency_key="shared", parent_run_id=other.id, resume_parent_on_completion=True)
    assert engine.do(remove, Kind.KEYED, found.ids, engine.now) == 0
    assert look(engine, Kind.KEYED).ids == []
    assert engine.data(shared).output == '"done"'


def test_a_run_stays_as_long_as_its_key_answers(engine: Harness) -> None:
    """ID-03: without it the same work would be done again."""
    run = finished(engine, idempotency_key="a", idempotency_key_ttl="1h")
    engine.pass_time(3_599)
    assert (look(engine).ids, look(engine, Kind.PAYLOADS).ids) == ([], [])
    assert look(engine, Kind.KEYED).ids == [run.id]
    engine.pass_time(2)
    assert (look(engine).ids, look(engine, Kind.KEYED).ids) == ([run.id], [])


def test_the_key_of_a_run_that_failed_keeps_nothing(engine: Harness) -> None:
    """ID-04: it is free again."""
    run = fail(engine, a_started_run(engine, idempotency_key="a", max_attempts=1)).run
    engine.pass_time(1)
    assert look(engine, Kind.FAILURES).ids == [run.id]


def test_the_runs_of_a_batch_stay_until_it_is_over_and_it_until_the_last_of_them_is_gone(
    engine: Harness,
) -> None:
    batch = a_batch(engine, 3)
    one, two, three = fill(engine, batch)
    for run in claim(engine, 2):
        succeed(engine, start(engine, run))
    engine.pass_time(1)
    assert (look(engine).ids, look(engine, Kind.BATCHES).ids) == ([], [])
    fail(engine, start(engine, claim(engine)[0]), retry_ms=None)
    engine.do(cancel_run, engine.prod.id, three.id)
    engine.pass_time(1)
    assert look(engine).ids == [one.id, two.id]
    take(engine)
    assert look(engine, Kind.BATCHES).ids == []
    take(engine, Kind.FAILURES)
    assert take(engine, Kind.BATCHES) == 1
    assert left(engine) == {}


def test_the_runs_of_a_batch_stay_as_long_as_its_key_answers(engine: Harness) -> None:
    """ID-11: whoever names the key is told their results."""
    batch = a_batch(engine, 1, idempotency_key="a")
    (run,) = fill(engine, batch)
    succeed(engine, start(engine, claim(engine)[0]))
    engine.pass_time(DAY)
    assert (look(engine).ids, look(engine, Kind.KEYED).ids, look(engine, Kind.BATCHES).ids) == ([], [], [])
    engine.pass_time(30 * DAY)
    assert look(engine).ids == [run.id]


def test_a_run_that_a_key_led_a_batch_to_stays_until_the_batch_is_over(engine: Harness) -> None:
    """ID-05: the batch will tell its result; also when only the key keeps the run, and there is no room."""
    run = finished(engine, idempotency_key="a")
    batch = a_batch(engine, 2)
    add(engine, batch, 0, idempotency_key="a")
    engine.pass_time(DAY)
    assert look(engine, Kind.KEYED).ids == []
    engine.pass_time(30 * DAY)
    assert look(engine).ids == []
    refuse(engine, batch, 1)
    sealed(engine, batch)
    assert look(engine).ids == [run.id]


def test_a_batch_of_which_nothing_became_a_run_goes(engine: Harness) -> None:
    batch = a_batch(engine, 1)
    refuse(engine, batch, 0)
    sealed(engine, batch)
    engine.pass_time(1)
    assert take(engine, Kind.BATCHES) == 1


def test_a_run_that_a_bulk_action_will_touch_stays_and_the_action_until_its_runs_are_gone(
    engine: Harness,
) -> None:
    run = finished(engine)
    engine.change(
        """INSERT INTO bulk_action (id, environment_id, kind, status, source, created_at, completed_at)
           VALUES ('bulk_0', :environment_id, 'replay', 'PENDING', 'api', 1, NULL)""",
        environment_id=engine.prod.id,
    )
    engine.change(
        "INSERT INTO bulk_item (bulk_id, run_id, status) VALUES ('bulk_0', :id, 'PENDING')", id=run.id
    )
    engine.pass_time(1)
    assert (look(engine).ids, look(engine, Kind.BULK_ACTIONS).ids) == ([], [])
    engine.change("UPDATE bulk_item SET status = 'SUCCEEDED'")
    engine.change("UPDATE bulk_action SET status = 'COMPLETED', completed_at = 1")
    assert (take(engine, Kind.BULK_ACTIONS), take(engine), take(engine, Kind.BULK_ACTIONS)) == (0, 1, 1)
    assert left(engine) == {}
