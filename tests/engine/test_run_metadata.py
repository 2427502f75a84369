"""Metadata and tags of a run while it lives (TR-04, TR-05, AT-10)."""

from typing import Any

import msgspec
import pytest

from tests.support.builders import a_run, a_started_run, a_version, succeed
from tests.support.harness import Harness
from trigger_lite.engine.events import RunChanged
from trigger_lite.engine.run_json import decode_tags
from trigger_lite.engine.run_metadata import CHANGEABLE_MS, add_tags, apply_flushed, change_metadata
from trigger_lite.protocol.errors import BadRequest, RunNotFound, StaleSnapshot, TooLarge, Unprocessable
from trigger_lite.protocol.execution import FlushedMetadata
from trigger_lite.protocol.metadata import Operation
from trigger_lite.store.runs import RunRow


def _set(key: str, value: Any) -> list[Operation]:
    return [Operation("set", key=key, value=value)]


def _metadata(engine: Harness, run: RunRow) -> Any:
    text = engine.data(run).metadata
    return None if text is None else msgspec.json.decode(text)


def _change(
    engine: Harness,
    run: RunRow,
    own: list[Operation],
    parent: list[Operation] | None = None,
    root: list[Operation] | None = None,
) -> None:
    engine.do(change_metadata, run.environment_id, run.id, own, parent or [], root or [])


def test_changes_apply_in_order_and_leave_the_seed(engine: Harness) -> None:
    """TR-24: a replay starts from the seed."""
    run = a_run(engine, metadata={"a": 1})
    _change(engine, run, [*_set("b", [1]), Operation("append", "b", 2), Operation("increment", "a", 4)])
    _change(engine, run, [Operation("delete", "c"), Operation("remove", "b", 1)])
    assert _metadata(engine, run) == {"a": 5, "b": [2]}
    assert engine.data(run).seed_metadata == '{"a":1}'
    assert [type(event) for event in engine.events[1:]] == [RunChanged, RunChanged]


def test_changes_reach_parent_and_root(engine: Harness) -> None:
    """AT-10: a run without a parent is its own."""
    top = a_run(engine)
    middle = a_run(engine, parent_run_id=top.id)
    leaf = a_run(engine, parent_run_id=middle.id)
    _change(engine, leaf, _set("at", "leaf"), _set("at", "middle"), _set("at", "top"))
    assert [_metadata(engine, run) for run in (top, middle, leaf)] == [
        {"at": "top"}, {"at": "middle"}, {"at": "leaf"}
    ]  # fmt: skip
    _change(engine, top, [], _set("own", 1), _set("own", 2))
    assert _metadata(engine, top) == {"at": "top", "own": 2}


def test_metadata_does_not_move_the_run(engine: Harness) -> None:
    """LK-07: the snapshot that the worker holds stays the newest."""
    a_version(engine)
    run = a_started_run(engine)
    _change(engine, run, _set("progress", 0.5))
    assert engine.run(run).snapshot_seq == run.snapshot_seq
    succeed(engine, run)


def test_large_metadata_is_kept_whole_and_may_shrink_again(engine: Harness) -> None:
    """TR-04: up to 256 KB."""
    run = a_run(engine)
    _change(engine, run, _set("a", "x" * 200_000))
    assert _metadata(engine, run) == {"a": "x" * 200_000}
    _change(engine, run, _set("a", "small"))
    assert _metadata(engine, run) == {"a": "small"}


def test_metadata_past_its_limit_is_refused_and_stays(engine: Harness) -> None:
    """TR-04: none of the change is kept, for no relative."""
    top = a_run(engine)
    run = a_run(engine, parent_run_id=top.id)
    with pytest.raises(TooLarge):
        _change(engine, run, _set("a", 1), _set("a", "x" * 262_144))
    assert (_metadata(engine, run), _metadata(engine, top)) == (None, None)


@pytest.mark.parametrize(
    "operation",
    [
        Operation("set", key="__proto__", value=1),
        Operation("set", key="$.a.constructor", value=1),
        Operation("set"),
        Operation("update", value=5),
    ],
)
def test_an_impossible_change_is_refused(engine: Harness, operation: Operation) -> None:
    """TR-04: with the reason."""
    with pytest.raises(BadRequest, match="metadata"):
        _change(engine, a_run(engine), [operation])


def test_metadata_is_kept_though_the_completion_is_refused(engine: Harness) -> None:
    """AT-10: it is a write of its own, before the completion."""
    a_version(engine)
    run = a_started_run(engine)
    stale = run._replace(snapshot_seq=2)
    flushed = FlushedMetadata(operations=_set("last", "words"))
    engine.do(apply_flushed, engine.prod.id, run.id, flushed)
    with pytest.raises(StaleSnapshot):
        succeed(engine, stale)
    assert _metadata(engine, run) == {"last": "words"}


def test_metadata_is_fixed_an_hour_after_the_end(engine: Harness) -> None:
    """TR-04: until then late words are kept."""
    a_version(engine)
    run = a_started_run(engine)
    succeed(engine, run)
    engine.pass_time(CHANGEABLE_MS / 1000)
    _change(engine, run, _set("a", 1))
    engine.pass_time(1)
    with pytest.raises(Unprocessable):
        _change(engine, run, _set("a", 2))


def test_a_run_of_another_environment_is_not_changed(engine: Harness) -> None:
    """LK-02: nor are its tags."""
    run = a_run(engine)
    with pytest.raises(RunNotFound):
        engine.do(change_metadata, engine.dev.id, run.id, _set("a", 1), [], [])
    with pytest.raises(RunNotFound):
        engine.do(add_tags, engine.dev.id, run.id, ["a"])


# ---- tags ------------------------------------------------------------------------------------------


def test_added_tags_join_those_that_are_there(engine: Harness) -> None:
    """TR-05: without repeats and blanks."""
    run = a_run(engine, tags=["a"])
    assert engine.do(add_tags, engine.prod.id, run.id, ["b", "a", " ", "b"]) == ["a", "b"]
    assert decode_tags(engine.run(run).tags) == ["a", "b"]
    found = engine.ask("SELECT tag FROM run_tag WHERE run_id = :id ORDER BY tag", id=run.id)
    assert found == ["a", "b"]


def test_adding_an_eleventh_tag_adds_none(engine: Harness) -> None:
    """TR-05: refused whole."""
    run = a_run(engine, tags=[str(n) for n in range(9)])
    with pytest.raises(Unprocessable):
        engine.do(add_tags, engine.prod.id, run.id, ["x", "y"])
    assert len(decode_tags(engine.run(run).tags)) == 9


def test_adding_no_new_tag_announces_nothing(engine: Harness) -> None:
    """TR-05: nothing changed."""
    run = a_run(engine, tags=["a"])
    engine.events.clear()
    engine.do(add_tags, engine.prod.id, run.id, ["a"])
    assert engine.events == []
