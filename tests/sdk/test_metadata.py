import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.attempts import RecordingChannel
from trigger_lite import PayloadError, metadata
from trigger_lite.protocol.metadata import Operation, apply_operations
from trigger_lite.sdk.metadata import MetadataBuffer, PendingOperations, RunMetadata


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def written(**present: Any) -> tuple[RunMetadata, RecordingChannel, MetadataBuffer, Clock]:
    channel, clock = RecordingChannel(), Clock()
    buffer = MetadataBuffer(channel, present, clock)
    return RunMetadata(lambda: buffer), channel, buffer, clock


def test_the_first_change_is_sent_at_once_and_the_next_within_a_second() -> None:
    values, channel, buffer, clock = written()
    values.set("a", 1)
    values.set("b", 2)
    values.incr("c")
    assert channel.operations == [([Operation("set", "a", 1)], [], [])]
    clock.now += 1
    buffer.flush()
    assert channel.operations[1:] == [([Operation("set", "b", 2), Operation("increment", "c", 1)], [], [])]
    buffer.flush()
    assert len(channel.operations) == 2


def test_a_change_after_a_quiet_second_is_sent_at_once() -> None:
    values, channel, _, clock = written()
    values.set("a", 1)
    clock.now += 1
    values.set("a", 2)
    assert len(channel.operations) == 2


def test_what_is_pending_is_sent_without_another_change() -> None:
    values, channel, _, clock = written()
    values.set("a", 1)
    channel.told.clear()
    clock.now += 0.999
    values.set("a", 2)
    assert channel.told.wait(5)
    assert channel.operations[1] == ([Operation("set", "a", 2)], [], [])


def test_changes_are_read_back_at_once() -> None:
    values, _, buffer, _ = written(count=5, items=["a"])
    values.incr("count", 2)
    values.append("items", "b")
    values.set("$.deep.er", True)
    values.remove("items", "a")
    assert values.get("count") == 7
    assert values.all() == {"count": 7, "items": ["b"], "deep": {"er": True}}
    values.delete("items")
    assert values.get("items", "none") == "none"
    values.replace({"only": 1})
    assert values.all() == {"only": 1}
    buffer.flush()


def test_what_was_read_may_be_changed_without_harm() -> None:
    values, _, _, _ = written(items=["a"])
    values.all()["items"].append("b")
    assert values.get("items") == ["a"]


def test_the_value_is_taken_when_it_is_set() -> None:
    values, channel, _, _ = written()
    rows = [1]
    values.set("rows", rows)
    rows.append(2)
    assert channel.operations[0][0] == [Operation("set", "rows", [1])]


def test_parent_and_root_have_their_own_lists() -> None:
    values, channel, buffer, _ = written()
    buffer.flush()
    values.parent.incr("done")
    values.parent.set("a", 1)
    values.root.append("log", "x")
    values.get("done")
    buffer.flush()
    assert channel.operations == [
        ([], [Operation("increment", "done", 1), Operation("set", "a", 1)], [Operation("append", "log", "x")])
    ]
    assert values.all() == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.set("x", object()),
        lambda values: values.append("x", object()),
        lambda values: values.replace({"x": object()}),
        lambda values: values.incr("x", "1"),
    ],
)
def test_a_value_that_json_cannot_hold_is_refused_where_it_is_written(change: Any) -> None:
    values, channel, _, _ = written()
    with pytest.raises(PayloadError, match=r"metadata '[x*]'"):
        change(values)
    assert channel.operations == []


@pytest.mark.parametrize("key", ["", "__proto__", "$.a.constructor"])
def test_a_key_the_server_would_refuse_is_refused_where_it_is_written(key: str) -> None:
    values, _, _, _ = written()
    with pytest.raises(ValueError, match="metadata"):
        values.set(key, 1)


def test_outside_a_run_nothing_is_written_and_nothing_is_there() -> None:
    metadata.set("a", 1)
    metadata.parent.incr("a")
    assert metadata.get("a") is None
    assert metadata.all() == {}


def test_a_tight_loop_leaves_one_operation_for_each_key() -> None:
    pending = PendingOperations()
    for number in range(1000):
        pending.add(Operation("set", "progress", number))
        pending.add(Operation("increment", "rows", 2))
    assert pending.take() == [Operation("set", "progress", 999), Operation("increment", "rows", 2000)]
    assert pending.take() == []


operations = st.one_of(
    st.builds(
        Operation,
        st.sampled_from(["set", "append", "remove"]),
        st.sampled_from(["a", "b", "$.a.x", "$.b"]),
        st.integers(0, 2),
    ),
    st.builds(
        Operation, st.just("increment"), st.sampled_from(["a", "b", "$.a.x", "$.b"]), st.integers(-3, 3)
    ),
    st.builds(Operation, st.just("delete"), st.sampled_from(["a", "b"])),
    st.builds(Operation, st.just("update"), st.none(), st.dictionaries(st.sampled_from("ab"), st.integers())),
)


@given(st.lists(operations, max_size=12))
def test_leaving_out_needless_operations_changes_no_outcome(changes: list[Operation]) -> None:
    pending = PendingOperations()
    for change in changes:
        pending.add(change)
    assert apply_operations({"a": 1}, pending.take()) == apply_operations({"a": 1}, changes)


def test_changes_from_many_threads_all_arrive() -> None:
    values, channel, buffer, _ = written()

    def count() -> None:
        for _ in range(200):
            values.incr("n")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    buffer.flush()
    sent = [operation for own, _, _ in channel.operations for operation in own]
    assert apply_operations({}, sent) == {"n": 800}
