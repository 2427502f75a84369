"""What becomes of a run in a child, with real processes."""

import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.fake_server import FakeServer
from tests.support.worker_process import process_ended
from tests.worker.conftest import StartWorker
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.run_errors import BuiltInError, ErrorCode, InternalError
from trigger_lite.protocol.worker import Ack, Complete, Metadata, Refused, Retry, Start

TASKS = """
@task
def add(a: int, b: int = 0) -> int:
    return a + b

@task(retry=Retry(3, min="2s", randomize=False))
def flaky(ctx: Ctx) -> str:
    if ctx.attempt.number < 2:
        raise ValueError("not yet")
    return f"attempt {ctx.attempt.number} in {os.getpid()}"

@task
def pid() -> int:
    return os.getpid()

@task
def environment(name: str) -> str | None:
    return os.environ.get(name)

@task
def segfault() -> None:
    print("before", flush=True)
    import ctypes
    ctypes.string_at(0)

@task
def leave(code: int) -> None:
    os._exit(code)

@task
def kill_itself(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(30)

@task
def out_of_memory() -> None:
    raise MemoryError("no room")

@task
def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"

@task
def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("started", flush=True)
    while True:
        time.sleep(0.05)

@task
def tidy() -> None:
    print("started", flush=True)
    try:
        time.sleep(60)
    finally:
        print("tidied up", flush=True)

@task
async def tidy_later() -> None:
    import asyncio
    print("started", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        print("tidied up", flush=True)

@task
def unspeakable() -> None:
    logging.getLogger("files").info("found %s", "caf\\udce9.txt", extra={"size": 2**70})
    raise ValueError("cannot read caf\\udce9.txt")

@task
def echo(payload: dict) -> dict:
    return payload

@task
def polite(ctx: Ctx) -> str:
    print("started", flush=True)
    while not ctx.canceled:
        time.sleep(0.01)
    return "noticed"

@task
def leaves_a_process() -> None:
    process = subprocess.Popen(["sleep", "60"])
    print("pid", process.pid, flush=True)
    raise ValueError("and fails")

@task
def wanders(path: str) -> None:
    os.chdir(path)
    os.environ["LEFT_BEHIND"] = "1"

@task
def where() -> str:
    return os.getcwd()

@task
def progress(ctx: Ctx) -> None:
    ctx.metadata.set("done", 3)
"""


async def completion(server: FakeServer, task: str, payload: object = None) -> Completion:
    run = server.push(task, payload)
    return (await server.completion_of(run)).completion


def code_of(completion: Completion) -> ErrorCode:
    assert isinstance(completion.error, InternalError), completion
    return completion.error.code


async def test_a_run_starts_and_completes_under_its_snapshots(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    run = server.push("add", {"a": 40, "b": 2})
    complete = await server.completion_of(run)
    assert complete.completion.ok and complete.completion.output == "42"
    assert complete.snapshot == run.started_snapshot
    assert server.all_of(Start)[0].snapshot == run.snapshot


async def test_a_child_is_used_again_after_success_and_replaced_after_failure(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    first = (await completion(server, "pid")).output
    assert (await completion(server, "pid")).output == first
    failed = await completion(server, "out_of_memory")
    assert not failed.ok
    assert (await completion(server, "pid")).output != first


async def test_an_exception_is_reported_with_the_workers_retry_decision(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    failed = await completion(server, "flaky")
    assert isinstance(failed.error, BuiltInError)
    assert (failed.error.name, failed.error.message) == ("ValueError", "not yet")
    assert failed.retry is not None and failed.retry.delay == 2000


async def test_an_immediate_retry_is_made_here_under_the_new_snapshots(
    server: FakeServer, start_worker: StartWorker
) -> None:
    def retry_once(message: object) -> Ack:
        if isinstance(message, Complete) and not message.completion.ok:
            retry = Retry(snapshot_id(message.run, 4), snapshot_id(message.run, 5), 2, 50)
            return Ack(message.seq, "RETRY_IMMEDIATELY", retry)
        return Ack(message.seq)  # type: ignore[attr-defined]

    server.answer = retry_once
    start_worker(TASKS)
    run = server.push("flaky")
    second = (await server.expect_all(Complete, 2))[1]
    assert second.snapshot == snapshot_id(run.execution.run.id, 5)
    assert second.completion.output is not None and "attempt 2" in second.completion.output
    assert server.all_of(Start)[1].snapshot == snapshot_id(run.execution.run.id, 4)


@pytest.mark.parametrize(
    ("task", "payload", "code", "words"),
    [
        ("segfault", None, ErrorCode.TASK_PROCESS_SIGSEGV, "SIGSEGV"),
        ("leave", {"code": 3}, ErrorCode.TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE, "code 3"),
        ("leave", {"code": 0}, ErrorCode.TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE, "code 0"),
        ("leave", {"code": 137}, ErrorCode.TASK_PROCESS_MAYBE_OOM_KILLED, "137"),
        ("kill_itself", {"number": signal.SIGKILL}, ErrorCode.TASK_PROCESS_MAYBE_OOM_KILLED, "SIGKILL"),
        ("kill_itself", {"number": signal.SIGTERM}, ErrorCode.TASK_PROCESS_SIGTERM, "SIGTERM"),
        ("out_of_memory", None, ErrorCode.TASK_PROCESS_OOM_KILLED, "no room"),
        ("no_such_task", None, ErrorCode.COULD_NOT_FIND_TASK, "no_such_task"),
    ],
)
async def test_each_way_to_die_has_its_code(
    server: FakeServer, start_worker: StartWorker, task: str, payload: object, code: ErrorCode, words: str
) -> None:
    start_worker(TASKS)
    failed = await completion(server, task, payload)
    assert isinstance(failed.error, InternalError)
    assert failed.error.code is code and words in (failed.error.message or "")
    assert failed.retry is None
    assert (await completion(server, "add", {"a": 1})).ok, "the worker goes on"


async def test_a_run_over_its_time_is_ended_and_not_retried(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    run = server.push("stubborn", max_duration=5)
    failed = (await server.completion_of(run)).completion
    assert code_of(failed) is ErrorCode.MAX_DURATION_EXCEEDED
    assert failed.retry is None and failed.usage is not None and failed.usage.duration_ms >= 5000


async def test_a_cancelled_run_that_listens_ends_at_once(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    run = server.push("polite")
    await server.until(lambda: bool(server.lines_of(run)))
    snapshot = server.cancel(run)
    complete = await server.completion_of(run)
    assert complete.snapshot == snapshot
    assert code_of(complete.completion) is ErrorCode.TASK_RUN_CANCELLED


async def test_a_cancel_that_comes_before_the_report_of_the_start_is_confirmed(
    server: FakeServer, start_worker: StartWorker
) -> None:
    """CN-03: the start is refused then, but the run is still this worker's to end."""

    def answer(message: Any) -> Ack | Refused:
        if not isinstance(message, Start):
            return Ack(message.seq)
        snapshots.append(server.cancel(run))
        return Refused(message.seq, "stale")

    snapshots: list[str] = []
    start_worker(TASKS, cancel_grace=0.2)
    server.answer = answer
    run = server.push("tidy")
    complete = await server.completion_of(run)
    assert complete.snapshot == snapshots[0]
    assert code_of(complete.completion) is ErrorCode.TASK_RUN_CANCELLED


@pytest.mark.parametrize("task", ["tidy", "tidy_later"])
async def test_a_cancelled_run_that_does_not_listen_is_unwound_by_sigterm(
    server: FakeServer, start_worker: StartWorker, task: str
) -> None:
    start_worker(TASKS, cancel_grace=0.2)
    run = server.push(task)
    await server.until(lambda: bool(server.lines_of(run)))
    server.cancel(run)
    complete = await server.completion_of(run)
    assert code_of(complete.completion) is ErrorCode.TASK_RUN_CANCELLED
    assert [line.message for line in server.lines_of(run)] == ["started", "tidied up"]


async def test_a_cancelled_run_that_ignores_sigterm_is_killed(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS, cancel_grace=0.2, kill_grace=0.2)
    run = server.push("stubborn")
    await server.until(lambda: bool(server.lines_of(run)))
    snapshot = server.cancel(run)
    complete = await server.completion_of(run)
    assert complete.snapshot == snapshot
    assert code_of(complete.completion) is ErrorCode.TASK_RUN_CANCELLED
    assert (await completion(server, "add", {"a": 1})).ok


async def test_cancelling_a_run_the_worker_does_not_have_is_confirmed(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    run = server.push("add", {"a": 1})
    await server.completion_of(run)
    snapshot = server.cancel(run)
    confirmed = (await server.expect_all(Complete, 2))[1]
    assert confirmed.snapshot == snapshot
    assert code_of(confirmed.completion) is ErrorCode.TASK_RUN_CANCELLED


async def test_what_a_failed_run_started_is_ended_with_its_child(
    server: FakeServer, start_worker: StartWorker
) -> None:
    worker = start_worker(TASKS)
    run = server.push("leaves_a_process")
    await server.completion_of(run)
    pid = int(server.lines_of(run)[0].message.removeprefix("pid "))
    await process_ended(pid)
    assert worker.is_running


async def test_a_run_sees_its_own_environment_and_leaves_none(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    start_worker(TASKS)
    run = server.push("environment", {"name": "COLOUR"}, env={"COLOUR": "blue"})
    assert (await server.completion_of(run)).completion.output == "blue"
    assert (await completion(server, "environment", {"name": "COLOUR"})).output is None
    assert (await completion(server, "environment", {"name": "TRIGGER_LITE_URL"})).output == server.url
    run = server.push("environment", {"name": "TRIGGER_LITE_RUN_ID"})
    assert (await server.completion_of(run)).completion.output == run.execution.run.id
    assert (await completion(server, "wanders", {"path": "/"})).ok
    assert (await completion(server, "where")).output == str(folder)


async def test_metadata_reaches_the_server_before_the_end(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    assert (await completion(server, "progress")).ok
    kinds = [type(message) for message in server.received if isinstance(message, Metadata | Complete)]
    assert kinds == [Metadata, Complete]


async def test_memory_can_be_held_to_the_machine(server: FakeServer, start_worker: StartWorker) -> None:
    source = """
    @task
    def greedy() -> int:
        return len(bytearray(700_000_000))
    """
    start_worker(source, enforce_memory=True)
    run = server.push("greedy", machine="micro")
    assert code_of((await server.completion_of(run)).completion) is ErrorCode.TASK_PROCESS_OOM_KILLED
    run = server.push("greedy", machine="medium-1x")
    assert (await server.completion_of(run)).completion.ok


async def test_large_payloads_and_outputs_pass_whole(server: FakeServer, start_worker: StartWorker) -> None:
    start_worker(TASKS)
    payload = {"text": "x" * 3_000_000}
    output = (await completion(server, "echo", payload)).output
    assert output is not None and msgspec.json.decode(output) == payload


async def test_text_that_is_no_unicode_is_written_out(server: FakeServer, start_worker: StartWorker) -> None:
    start_worker(TASKS)
    run = server.push("unspeakable")
    failed = (await server.completion_of(run)).completion
    assert isinstance(failed.error, BuiltInError)
    assert failed.error.message == "cannot read caf\\udce9.txt"
    (line,) = server.lines_of(run)
    assert line.message == "found caf\\udce9.txt"
    assert line.attributes == {"size": str(2**70)}
