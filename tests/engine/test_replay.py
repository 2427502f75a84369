"""A new run with an old run's data (CN-11…13)."""

import pytest

from tests.support.builders import a_run, a_started_run, a_version, claim, fail, succeed, trigger
from tests.support.harness import Harness
from trigger_lite.engine.replay import check_overrides, replay_run
from trigger_lite.engine.run_json import decode_tags
from trigger_lite.engine.run_metadata import change_metadata
from trigger_lite.protocol.errors import RunNotFound, Unprocessable
from trigger_lite.protocol.metadata import Operation
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.protocol.tasks import QueueOption, ReplayRun
from trigger_lite.store.runs import RunRow


def _replay(engine: Harness, run: RunRow) -> RunRow:
    return engine.run(engine.do(replay_run, engine.prod, run.id, "dashboard").run_id)


def test_a_replay_has_the_data_of_the_original_and_points_to_it(engine: Harness) -> None:
    """CN-11: payload, seed metadata, tags, queue, key, machine, test flag."""
    large = {"text": "x" * 100_000}
    original = a_run(
        engine,
        payload=large,
        metadata={"seed": 1},
        tags=["org_1"],
        queue=QueueOption("slow"),
        concurrency_key="a",
        machine="micro",
        test=True,
    )
    set_it = [Operation("set", key="seed", value=2)]
    engine.do(change_metadata, engine.prod.id, original.id, set_it, [], [])
    again = _replay(engine, original)
    assert again.id != original.id and again.replay_of == original.id
    assert (again.queue_name, again.concurrency_key, again.machine) == ("slow", "a", "micro")
    assert (decode_tags(again.tags), again.is_test, again.source) == (["org_1"], 1, "dashboard")
    data, seed = engine.data(again), '{"seed":1}'
    assert (data.payload, data.seed_metadata, data.metadata) == (engine.data(original).payload, seed, seed)


def test_a_replay_carries_no_key_no_ttl_no_attempts_no_parent(engine: Harness) -> None:
    """CN-11: nor the delay; it takes the current version."""
    version = a_version(engine)
    parent = a_run(engine)
    original = a_run(
        engine,
        idempotency_key="k",
        ttl=60,
        max_attempts=7,
        parent_run_id=parent.id,
        delay="1h",
        lock_to_version=version.version,
    )
    again = _replay(engine, original)
    carried = (again.idempotency_key, again.ttl, again.max_attempts, again.parent_id, again.version_id)
    assert carried == (None, None, None, None, None)
    assert (again.depth, again.status) == (0, R.PENDING)
    assert trigger(engine, idempotency_key="k").run_id == original.id


def test_runs_in_any_state_can_be_replayed(engine: Harness) -> None:
    """CN-12: over or not, also when the task vanished."""
    a_version(engine)
    done, failed, running = a_started_run(engine), a_started_run(engine), a_started_run(engine)
    succeed(engine, done), fail(engine, failed)
    gone = a_run(engine, "mail")
    for original in (done, failed, running, gone, a_run(engine, delay="1h")):
        assert _replay(engine, original).task_id == original.task_id
    claim(engine, 10)
    (parked,) = engine.ask("SELECT count(*) FROM run WHERE task_id = 'mail' AND status = 'PENDING_VERSION'")
    assert parked == 2


def test_a_run_of_another_environment_is_not_replayed(engine: Harness) -> None:
    """CN-12: it is not there."""
    run = a_run(engine, environment=engine.dev)
    with pytest.raises(RunNotFound):
        engine.do(replay_run, engine.prod, run.id, "api")


def test_a_run_whose_payload_was_pruned_is_not_replayed(engine: Harness) -> None:
    """CN-13: it would run with an empty payload; nothing is made."""
    run = a_run(engine, payload=1)
    engine.change("UPDATE run SET payload = NULL, pruned_at = :now WHERE id = :id", id=run.id, now=engine.now)
    with pytest.raises(Unprocessable, match=r"payload of run_\w+ is kept no more"):
        _replay(engine, run)
    assert engine.ask("SELECT count(*) FROM run") == [1]


def test_a_pruned_run_is_replayed_with_a_payload_of_its_own(engine: Harness) -> None:
    """CN-13: nothing is missing then."""
    run = a_run(engine, payload=1)
    engine.change("UPDATE run SET payload = NULL, pruned_at = :now WHERE id = :id", id=run.id, now=engine.now)
    overrides = check_overrides(ReplayRun(payload=2), now=engine.now)
    again = engine.do(replay_run, engine.prod, run.id, "api", overrides)
    assert engine.data(again.run_id).payload == "2"


def test_a_replay_that_is_asked_for_again_is_the_first_one(engine: Harness) -> None:
    """ID-07: its answer was lost; the same request for another run is another replay."""
    one, other = a_run(engine), a_run(engine)

    def replay(run: RunRow, key: str) -> str:
        overrides = check_overrides(ReplayRun(), now=engine.now, request_key=key)
        return engine.do(replay_run, engine.prod, run.id, "api", overrides).run_id

    assert replay(one, "request-1") == replay(one, "request-1")
    assert len({replay(one, "request-1"), replay(one, "request-2"), replay(other, "request-1")}) == 3


def test_what_a_replay_names_is_changed_and_the_rest_stays(engine: Harness) -> None:
    """CN-11: payload, version and machine, each by itself."""
    version = a_version(engine)
    run = a_run(engine, payload=1, machine="micro", tags=["a"])
    body = ReplayRun(payload={"x": 1}, machine="large-1x", version=version.version)
    again = engine.run(
        engine.do(replay_run, engine.prod, run.id, "api", check_overrides(body, now=engine.now)).run_id
    )
    assert engine.data(again).payload == '{"x":1}'
    assert (again.machine, again.version_id, again.is_pinned) == ("large-1x", version.id, 1)
    assert (decode_tags(again.tags), again.queue_name) == (["a"], run.queue_name)
