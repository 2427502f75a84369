"""Hooks that hear of a failure its own process could not tell, with real processes."""

import signal

import pytest

from tests.support.fake_server import FakeServer
from tests.worker.conftest import StartWorker
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.run_errors import ErrorCode, InternalError
from trigger_lite.protocol.worker import Ack, Complete, LogLine, Metadata, Retry, Run

TASKS = """
from trigger_lite import Hooks, RunFailed

def failed(error: Exception, ctx: Ctx) -> None:
    status = error.status if isinstance(error, RunFailed) else type(error).__name__
    ctx.metadata.set("told", status)
    print(f"failed {status} attempt {ctx.attempt.number} in {os.getpid()}", flush=True)

def complete(error: Exception | None, ctx: Ctx) -> None:
    print("complete", flush=True)

heard = Hooks(on_failure=failed, on_complete=complete)

@task(hooks=heard)
def kill_itself(number: int) -> None:
    print("in", os.getpid(), flush=True)
    os.kill(os.getpid(), number)
    time.sleep(30)

@task(hooks=heard)
def sleep(seconds: float) -> None:
    print("started", flush=True)
    time.sleep(seconds)

@task(hooks=heard)
def greedy() -> None:
    raise MemoryError("no room")

@task(hooks=heard)
def flaky() -> None:
    raise ValueError("not yet")

@task(retry=Retry(1), hooks=heard)
def fail() -> None:
    raise ValueError("never")

def broken(ctx: Ctx):
    if ctx.attempt.number:
        raise ConnectionError("no database")
    yield

@task(hooks=Hooks(on_failure=failed, middleware=[broken]))
def around() -> None: ...

def hang(error: Exception, ctx: Ctx) -> None:
    print("hanging", flush=True)
    time.sleep(60)

@task(hooks=Hooks(on_failure=hang))
def crash_and_hang() -> None:
    os._exit(1)

def crash(error: Exception, ctx: Ctx) -> None:
    os._exit(1)

@task(hooks=Hooks(on_failure=crash))
def crash_twice() -> None:
    os._exit(1)

def wait_for_it(error: Exception, ctx: Ctx) -> None:
    from trigger_lite import wait
    wait.for_("1h")

@task(hooks=Hooks(on_failure=wait_for_it))
def crash_and_wait() -> None:
    os._exit(1)

@task
def noop() -> str:
    return "done"
"""


def finished(message: object) -> Ack:
    """What a server answers that tries nothing again."""
    status = "RUN_FINISHED" if isinstance(message, Complete) else None
    return Ack(message.seq, status)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _nothing_is_tried_again(server: FakeServer) -> None:
    server.answer = finished


def messages(server: FakeServer, run: Run) -> list[str]:
    return [line.message for line in server.lines_of(run)]


async def told(server: FakeServer, run: Run, words: str) -> list[LogLine]:
    """Wait until a line with these words came, and return all of the run's."""
    await server.until(lambda: any(words in message for message in messages(server, run)))
    return server.lines_of(run)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGSEGV, ErrorCode.TASK_PROCESS_SIGSEGV),
        (signal.SIGKILL, ErrorCode.TASK_PROCESS_MAYBE_OOM_KILLED),
        (signal.SIGTERM, ErrorCode.TASK_PROCESS_SIGTERM),
    ],
)
async def test_hooks_hear_of_a_crash_in_another_process_after_it_was_reported(
    server: FakeServer, start_worker: StartWorker, number: int, code: ErrorCode
) -> None:
    """AT-24, AT-27"""
    start_worker(TASKS)
    run = server.push("kill_itself", {"number": number})
    began, failed, complete = await told(server, run, "complete")
    status = "SYSTEM_FAILURE" if number == signal.SIGTERM else "CRASHED"
    assert failed.message.startswith(f"failed {status} attempt 1 in ")
    assert failed.message.split()[-1] != began.message.split()[-1]
    assert complete.message == "complete"
    (reported,) = server.all_of(Complete)
    assert isinstance(reported.completion.error, InternalError)
    assert reported.completion.error.code is code
    (changed,) = await server.expect_all(Metadata, 1)
    assert (changed.run, changed.operations[0].value) == (run.execution.run.id, status)
    assert server.received.index(reported) < server.received.index(changed)
    assert (await server.completion_of(server.push("noop"))).completion.ok


async def test_hooks_hear_of_a_timeout(server: FakeServer, start_worker: StartWorker) -> None:
    """AT-24, AT-26"""
    start_worker(TASKS)
    run = server.push("sleep", {"seconds": 60}, max_duration=5)
    await told(server, run, "failed TIMED_OUT")


@pytest.mark.parametrize("task", ["greedy", "around", "flaky"])
async def test_hooks_hear_once_the_server_says_that_nothing_follows(
    server: FakeServer, start_worker: StartWorker, task: str
) -> None:
    """AT-14, AT-17, AT-24: the attempt did not know, or asked for another."""
    start_worker(TASKS)
    run = server.push(task)
    await told(server, run, "failed")
    assert (await server.completion_of(server.push("noop"))).completion.ok
    assert len([message for message in messages(server, run) if message.startswith("failed")]) == 1


async def test_hooks_that_the_attempt_told_are_not_told_again(
    server: FakeServer, start_worker: StartWorker
) -> None:
    """AT-24"""
    start_worker(TASKS)
    run = server.push("fail")
    await server.completion_of(run)
    assert (await server.completion_of(server.push("noop"))).completion.ok
    assert [message.split()[0] for message in messages(server, run)] == ["failed", "complete"]


async def test_hooks_hear_nothing_while_another_attempt_follows(
    server: FakeServer, start_worker: StartWorker
) -> None:
    """AT-24"""

    def retry_once(message: object) -> Ack:
        if isinstance(message, Complete) and not server.all_of(Complete, lambda m: m.seq != message.seq):
            later = Retry(snapshot_id(message.run, 4), snapshot_id(message.run, 5), 2, 0)
            return Ack(message.seq, "RETRY_IMMEDIATELY", later)
        return finished(message)

    server.answer = retry_once
    start_worker(TASKS)
    run = server.push("kill_itself", {"number": signal.SIGSEGV})
    lines = await told(server, run, "failed")
    assert [line.message.split()[0] for line in lines[:3]] == ["in", "in", "failed"]
    assert "attempt 2" in lines[2].message


async def test_hooks_of_a_failure_hear_nothing_of_a_cancelled_run(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS, cancel_grace=0.1)
    run = server.push("sleep", {"seconds": 60})
    await told(server, run, "started")
    server.cancel(run)
    await server.completion_of(run)
    assert (await server.completion_of(server.push("noop"))).completion.ok
    assert messages(server, run) == ["started", "complete"]


async def test_hooks_that_take_too_long_are_ended(server: FakeServer, start_worker: StartWorker) -> None:
    start_worker(TASKS, hook_limit=0.3)
    run = server.push("crash_and_hang")
    line = (await told(server, run, "took longer than 0.3 seconds and were ended"))[-1]
    assert (line.level, line.source) == ("ERROR", "system")
    assert (await server.completion_of(server.push("noop"))).completion.ok


@pytest.mark.parametrize(
    ("task", "words"), [("crash_twice", ""), ("crash_and_wait", "hooks cannot wait in it")]
)
async def test_hooks_that_fail_or_crash_harm_nobody(
    server: FakeServer, start_worker: StartWorker, task: str, words: str
) -> None:
    start_worker(TASKS)
    run = server.push(task)
    await server.completion_of(run)
    assert (await server.completion_of(server.push("noop"))).completion.ok
    if words:
        await told(server, run, words)
    assert len(server.all_of(Complete)) == 2


async def test_a_worker_that_stops_lets_hooks_finish(server: FakeServer, start_worker: StartWorker) -> None:
    worker = start_worker(TASKS, stop_grace=0.1)
    run = server.push("sleep", {"seconds": 60})
    await told(server, run, "started")
    assert await worker.stopped() == 0
    assert [message.split()[0] for message in messages(server, run)] == ["started", "failed", "complete"]


async def test_a_worker_that_is_hurried_does_not_wait_for_hooks(
    server: FakeServer, start_worker: StartWorker
) -> None:
    worker = start_worker(TASKS)
    run = server.push("crash_and_hang")
    await told(server, run, "hanging")
    worker.send(signal.SIGTERM)
    await worker.line("Stopping")
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0
    worker.assert_nothing_left()
