"""Where runs come from (TR-25)."""

from typing import Any

import msgspec
import pytest

from tests.support.builders import a_request, a_run
from tests.support.harness import Harness
from trigger_lite.engine.origins import Origin, origin_of
from trigger_lite.engine.replay import replay_run
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.store.runs import RunRow


def _from(engine: Harness, source: str, **options: Any) -> RunRow:
    request = msgspec.structs.replace(a_request(engine, **options), source=source)
    return engine.run(engine.do(trigger_run, engine.prod, request).run_id)


def test_children_inherit_where_the_first_of_their_tree_comes_from(engine: Harness) -> None:
    """TR-25: their own source is theirs."""
    root = _from(engine, "cli")
    child = _from(engine, "sdk", parent_run_id=root.id)
    grandchild = _from(engine, "sdk", parent_run_id=child.id)
    assert origin_of(root) == Origin("cli", "trigger", "cli", None)
    assert origin_of(child) == origin_of(grandchild) == Origin("sdk", "trigger", "cli", None)


def test_children_of_a_scheduled_run_know_the_schedule(engine: Harness) -> None:
    """TR-25: however deep."""
    root = _from(engine, "schedule")
    engine.change("UPDATE run SET schedule_id = 'sched_1' WHERE id = :id", id=root.id)
    child = _from(engine, "sdk", parent_run_id=root.id)
    grandchild = _from(engine, "sdk", parent_run_id=child.id)
    assert origin_of(engine.run(root)) == Origin("schedule", "trigger", "schedule", "sched_1")
    assert origin_of(grandchild) == Origin("sdk", "trigger", "schedule", "sched_1")


@pytest.mark.parametrize(("is_test", "action"), [(True, "test"), (False, "trigger")])
def test_a_test_says_that_it_is_one(engine: Harness, is_test: bool, action: str) -> None:
    """TR-25: the action is stored beside the source."""
    assert origin_of(a_run(engine, test=is_test)).action == action


def test_a_replay_begins_a_tree_of_its_own(engine: Harness) -> None:
    """TR-25, CN-11: it has no parent to inherit from."""
    child = _from(engine, "sdk", parent_run_id=_from(engine, "cli").id)
    again = engine.run(engine.do(replay_run, engine.prod, child.id, "dashboard").run_id)
    assert origin_of(again) == Origin("dashboard", "replay", "dashboard", None)
