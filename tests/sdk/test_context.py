import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tests.support.attempts import RecordingChannel, an_execution
from trigger_lite import Ctx, OutsideRun, current, metadata, tags
from trigger_lite.protocol.execution import BatchInfo
from trigger_lite.sdk.context import enter_context, find_context


def a_context(*given: str) -> tuple[Ctx, RecordingChannel]:
    channel = RecordingChannel()
    return Ctx(an_execution(tags=given), channel), channel


def test_a_context_shows_the_run() -> None:
    context, _ = a_context("a")
    assert (context.run.id, context.task.id, context.attempt.number) == ("run_test", "t", 1)
    assert (context.queue.name, context.env.slug, list(context.tags)) == ("task/t", "dev", ["a"])


def test_a_context_shows_the_batch_of_its_run() -> None:
    context, channel = a_context()
    assert context.batch is None
    inside = msgspec.structs.replace(an_execution(), batch=BatchInfo("batch_1"))
    assert Ctx(inside, channel).batch == BatchInfo("batch_1")


def test_usage_adds_up_attempts_and_leaves_out_waits() -> None:
    plain = an_execution(attempt=2)
    earlier = msgspec.structs.replace(plain, run=msgspec.structs.replace(plain.run, duration_ms=90_000))
    context = Ctx(earlier, RecordingChannel())
    first = context.usage()
    assert first.run_seconds == first.attempt_seconds + 90
    context.waits.seconds += 1000
    assert context.usage().attempt_seconds == pytest.approx(first.attempt_seconds - 1000, abs=10)


def test_cancellation_is_seen() -> None:
    context, channel = a_context()
    assert not context.canceled
    channel.canceled.set()
    assert context.canceled


def test_outside_a_run_there_is_no_context() -> None:
    with pytest.raises(OutsideRun, match="only inside a run"):
        current()


def test_inside_a_run_it_is_found_however_deep() -> None:
    context, channel = a_context()
    with enter_context(context):
        assert current() is context
        metadata.set("a", 1)
        assert asyncio.run(_found()) is context
    context.metadata_buffer.flush()
    assert len(channel.operations) == 1
    assert find_context() is None


async def _found() -> Ctx:
    return current()


def test_a_thread_of_user_code_belongs_to_the_only_attempt() -> None:
    context, _ = a_context()
    with enter_context(context), ThreadPoolExecutor(1) as pool:
        assert pool.submit(current).result() is context


def test_two_attempts_at_once_are_told_apart_and_a_strange_thread_belongs_to_neither() -> None:
    first, _ = a_context()
    second, _ = a_context()
    entered, leave = threading.Event(), threading.Event()
    seen: list[Ctx] = []

    def other() -> None:
        with enter_context(second):
            seen.append(current())
            entered.set()
            leave.wait(5)

    thread = threading.Thread(target=other)
    with enter_context(first):
        thread.start()
        assert entered.wait(5)
        assert current() is first
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(find_context).result() is None
        leave.set()
        thread.join()
    assert seen == [second]


def test_tags_are_added_once() -> None:
    context, channel = a_context("a")
    context.tags.add("b", "a", " ", "b")
    context.tags.add("a")
    assert channel.names == [["b"]]
    assert list(context.tags) == ["a", "b"]
    assert "b" in context.tags
    assert len(context.tags) == 2
    assert repr(context.tags) == "RunTags(['a', 'b'])"


def test_an_eleventh_tag_is_refused_and_none_is_added() -> None:
    context, channel = a_context(*(str(n) for n in range(9)))
    with pytest.raises(ValueError, match="at most 10 tags, not 11"):
        context.tags.add("x", "y")
    assert channel.names == []
    assert len(context.tags) == 9


def test_a_tag_that_is_too_long_is_refused_everywhere() -> None:
    with pytest.raises(ValueError, match="at most 128 characters"):
        tags.add("x" * 129)


def test_tags_outside_a_run_change_nothing() -> None:
    tags.add("a")
    assert list(tags) == []


def test_the_public_tags_are_the_runs() -> None:
    context, channel = a_context()
    with enter_context(context):
        tags.add("a")
        assert list(tags) == ["a"]
    assert channel.names == [["a"]]
