"""Hooks and middleware of runs that are cancelled, stopped or waiting, with real processes."""

import pytest

from tests.support.fake_server import FakeServer
from tests.worker.conftest import StartWorker
from trigger_lite.protocol.run_errors import ErrorCode, InternalError
from trigger_lite.protocol.worker import Complete, Run

TASKS = """
import asyncio
from collections.abc import AsyncIterator, Iterator
from trigger_lite import Hooks

def say(*words: object) -> None:
    print(*words, flush=True)

def database(ctx: Ctx) -> Iterator[None]:
    say("in")
    try:
        yield
    finally:
        say("out")

async def session(ctx: Ctx) -> AsyncIterator[None]:
    say("in")
    try:
        yield
    finally:
        await asyncio.sleep(0)
        say("out")

def on_cancel(ctx: Ctx) -> None:
    say("cancel", ctx.canceled)

def on_complete(error: Exception | None, ctx: Ctx) -> None:
    say("complete", type(error).__name__)

def on_failure(error: Exception, ctx: Ctx) -> None:
    say("failure")

listening = Hooks(on_cancel=on_cancel, on_complete=on_complete, on_failure=on_failure, middleware=[database])

@task(hooks=listening)
def blocks() -> None:
    say("started")
    try:
        time.sleep(60)
    finally:
        say("left")

@task(hooks=listening)
def polite(ctx: Ctx) -> str:
    say("started")
    while not ctx.canceled:
        time.sleep(0.01)
    say("left")
    return "noticed"

@task(hooks=Hooks(on_cancel=on_cancel, on_complete=on_complete, middleware=[session]))
async def waits() -> None:
    say("started")
    try:
        await asyncio.sleep(60)
    finally:
        say("left")

def hang(ctx: Ctx) -> None:
    say("hanging")
    time.sleep(60)

@task(hooks=Hooks(on_cancel=hang, middleware=[database]))
def hangs_when_cancelled(ctx: Ctx) -> None:
    say("started")
    while not ctx.canceled:
        time.sleep(0.01)
    say("left")

@task(hooks=Hooks(on_complete=on_complete, on_failure=on_failure, middleware=[database]))
def stopped() -> None:
    say("started")
    time.sleep(60)

@task(hooks=Hooks(on_complete=on_complete, middleware=[session]))
async def stopped_later() -> None:
    say("started")
    await asyncio.sleep(60)
"""


def words(server: FakeServer, run: Run) -> list[str]:
    return [line.message for line in server.lines_of(run)]


async def cancelled(server: FakeServer, task: str) -> list[str]:
    """Cancel a run in the midst of its code; return what it said."""
    run = server.push(task)
    await server.until(lambda: "started" in words(server, run))
    server.cancel(run)
    completion = (await server.completion_of(run)).completion
    assert isinstance(completion.error, InternalError)
    assert completion.error.code is ErrorCode.TASK_RUN_CANCELLED
    return words(server, run)


async def test_a_blocking_task_that_looks_ends_by_itself(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    said = await cancelled(server, "polite")
    assert sorted(said[2:4]) == ["cancel True", "left"], "the hook runs beside the code"
    assert said[:2] + said[4:] == ["in", "started", "complete RunCanceled", "out"]


async def test_a_blocking_task_that_does_not_look_is_unwound_by_sigterm(
    server: FakeServer, start_worker: StartWorker
) -> None:
    """AT-24"""
    start_worker(TASKS, cancel_grace=0.2)
    assert await cancelled(server, "blocks") == [
        "in", "started", "cancel True", "left", "complete RunCanceled", "out",
    ]  # fmt: skip


async def test_an_async_task_is_cancelled_at_once(server: FakeServer, start_worker: StartWorker) -> None:
    """AT-24"""
    start_worker(TASKS, cancel_grace=30)
    assert await cancelled(server, "waits") == [
        "in", "started", "cancel True", "left", "complete RunCanceled", "out",
    ]  # fmt: skip


async def test_an_on_cancel_that_hangs_holds_nobody_up_for_longer_than_the_grace(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS, cancel_grace=0.2)
    said = await cancelled(server, "hangs_when_cancelled")
    assert sorted(said[2:4]) == ["hanging", "left"]
    assert said[:2] + said[4:] == ["in", "started", "out"]


@pytest.mark.parametrize("task", ["stopped", "stopped_later"])
async def test_middleware_unwinds_when_the_worker_ends_a_run_and_no_hook_is_told(
    server: FakeServer, start_worker: StartWorker, task: str
) -> None:
    """AT-24: whether another attempt follows is for the server to say."""
    worker = start_worker(TASKS, stop_grace=0.1)
    run = server.push(task)
    await server.until(lambda: "started" in words(server, run))
    assert await worker.stopped() == 0
    assert words(server, run) == ["in", "started", "out"]
    (reported,) = server.all_of(Complete)
    assert isinstance(reported.completion.error, InternalError)
    assert reported.completion.error.code is ErrorCode.TASK_PROCESS_SIGTERM
