import asyncio
import contextvars
import threading

import pytest

from trigger_lite import BlockingCall
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop

word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="none")


def test_outside_a_loop_blocking_is_allowed() -> None:
    refuse_in_event_loop("x()", "await x.aio()")


async def test_inside_a_loop_the_other_form_is_named() -> None:
    with pytest.raises(BlockingCall, match=r"x\(\) would block the running event loop; write `await y`"):
        refuse_in_event_loop("x()", "await y")


async def test_in_a_thread_blocking_is_allowed_and_context_variables_are_known() -> None:
    def call(number: int, *, plus: int) -> tuple[str, int]:
        refuse_in_event_loop("x()", "await y")
        return word.get(), number + plus

    word.set("here")
    assert await in_thread(call, 1, plus=2) == ("here", 3)


async def test_an_error_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_a_cancelled_wait_leaves_its_thread_alone() -> None:
    started, leave, left = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        started.set()
        leave.wait(10)
        left.set()

    waiting = asyncio.create_task(in_thread(slow))
    await in_thread(started.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    leave.set()
    assert await in_thread(left.wait, 10)


def test_a_thread_that_outlives_its_loop_ends_in_silence() -> None:
    leave = threading.Event()
    before = set(threading.enumerate())

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_thread(leave.wait, 10), 0.01)

    asyncio.run(give_up())
    leave.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
