"""Losing the connection and finding it again, with real processes."""

from collections.abc import Callable
from pathlib import Path

from tests.support.fake_server import FakeServer
from tests.worker.conftest import StartWorker
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.run_errors import ErrorCode, InternalError
from trigger_lite.protocol.statuses import ExecutionStatus
from trigger_lite.protocol.worker import Complete, CurrentRun, Heartbeat, Hello, Leave, Logs, Refused, Start

TASKS = """
@task
def add(a: int) -> int:
    return a + 1

@task
def waits_for(path: str) -> str:
    print("waiting", flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)
    print("seen", flush=True)
    return "seen"

@task
def busy(seconds: float) -> None:
    print("busy", flush=True)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
"""


def says(status: ExecutionStatus, seq: int, attempt: int = 1) -> Callable[[Hello], list[CurrentRun]]:
    """Answer Hello: every run it names is in this state."""
    return lambda hello: [
        CurrentRun(held.run, snapshot_id(held.run, seq), status, attempt) for held in hello.runs
    ]


async def test_a_result_made_while_disconnected_is_sent_after_the_reconnect(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    flag = folder / "flag"
    worker = start_worker(TASKS)
    run = server.push("waits_for", {"path": str(flag)})
    await server.until(lambda: bool(server.lines_of(run)))
    await server.stop()
    flag.touch()
    await worker.line("RunFinished")
    await server.listen()
    complete = await server.completion_of(run)
    assert complete.completion.output == "seen"
    assert server.hellos[1].runs[0].snapshot == run.started_snapshot
    assert server.hellos[0].worker_id == server.hellos[1].worker_id
    assert [line.message for line in server.lines_of(run)] == ["waiting", "seen"]
    await worker.line(r"Reconnected\(resent=[1-9]")


async def test_what_was_not_acknowledged_is_sent_again(server: FakeServer, start_worker: StartWorker) -> None:
    worker = start_worker(TASKS)
    server.answers = False
    run = server.push("add", {"a": 1})
    first = await server.completion_of(run)
    server.drop()
    await worker.line("Disconnected")
    completes = await server.expect_all(Complete, 2)
    assert completes[1] == first
    assert len(server.all_of(Start)) == 2


async def test_a_run_that_welcome_does_not_list_is_left_silently(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    worker = start_worker(TASKS)
    run = server.push("waits_for", {"path": f"{folder}/never"})
    await server.until(lambda: bool(server.lines_of(run)))
    server.current = lambda hello: []
    server.drop()
    await worker.line("Reconnected")
    other = server.push("add", {"a": 1})
    assert (await server.completion_of(other)).completion.ok
    assert not server.all_of(Complete, lambda message: message.run == run.execution.run.id)


async def test_a_completion_is_dropped_when_the_server_moved_on(
    server: FakeServer, start_worker: StartWorker
) -> None:
    worker = start_worker(TASKS)
    server.answers = False
    run = server.push("add", {"a": 1})
    await server.completion_of(run)
    server.answers = True
    server.current = says(ExecutionStatus.FINISHED, 4)
    server.drop()
    await worker.line("Reconnected")
    assert (await server.completion_of(server.push("add", {"a": 2}))).completion.ok
    assert len(server.all_of(Complete, lambda message: message.run == run.execution.run.id)) == 1


async def test_a_retry_whose_grant_was_lost_is_followed(
    server: FakeServer, start_worker: StartWorker
) -> None:
    worker = start_worker(TASKS)
    server.answers = False
    run = server.push("add", {"a": 1})
    await server.completion_of(run)
    server.answers = True
    server.current = says(ExecutionStatus.EXECUTING, 4)
    server.drop()
    await worker.line("attempt=2")
    second = (await server.expect_all(Complete, 2))[1]
    assert second.snapshot == snapshot_id(run.execution.run.id, 5)
    assert server.all_of(Start)[-1].snapshot == snapshot_id(run.execution.run.id, 4)


async def test_a_cancel_that_was_missed_is_learned_from_welcome(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    start_worker(TASKS, cancel_grace=0.1, kill_grace=0.1)
    run = server.push("waits_for", {"path": f"{folder}/never"})
    await server.until(lambda: bool(server.lines_of(run)))
    server.current = says(ExecutionStatus.PENDING_CANCEL, 4)
    server.drop()
    complete = await server.completion_of(run)
    assert complete.snapshot == snapshot_id(run.execution.run.id, 4)
    assert isinstance(complete.completion.error, InternalError)
    assert complete.completion.error.code is ErrorCode.TASK_RUN_CANCELLED


async def test_a_run_that_was_not_begun_waits_for_the_servers_word(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    worker = start_worker(TASKS, handback_after=60)
    first = server.push("waits_for", {"path": f"{folder}/flag"})
    await server.until(lambda: bool(server.lines_of(first)))
    server.credits += 1
    second = server.push("add", {"a": 1})
    server.current = lambda hello: [
        CurrentRun(held.run, held.snapshot, ExecutionStatus.EXECUTING)
        for held in hello.runs
        if held.run == first.execution.run.id
    ]
    await server.until(lambda: server.credits == 0)
    server.drop()
    await worker.line("Reconnected")
    (folder / "flag").touch()
    await server.completion_of(first)
    assert (await server.completion_of(server.push("add", {"a": 5}))).completion.output == "6"
    assert not server.all_of(Start, lambda message: message.run == second.execution.run.id)


async def test_a_refused_start_ends_the_run_and_reports_nothing(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    ordinary = server.answer
    server.answer = lambda message: (
        Refused(message.seq, "stale") if isinstance(message, Start) else ordinary(message)
    )
    start_worker(TASKS)
    run = server.push("waits_for", {"path": f"{folder}/never"})
    await server.expect(Start)
    server.answer = ordinary
    assert (await server.completion_of(server.push("add", {"a": 1}))).completion.ok
    assert not server.all_of(Complete, lambda message: message.run == run.execution.run.id)


async def test_leave_ends_the_run_and_reports_nothing(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    start_worker(TASKS)
    run = server.push("waits_for", {"path": f"{folder}/never"})
    await server.until(lambda: bool(server.lines_of(run)))
    server.send(Leave(run.execution.run.id))
    assert (await server.completion_of(server.push("add", {"a": 1}))).completion.ok
    assert not server.all_of(Complete, lambda message: message.run == run.execution.run.id)


async def test_user_code_cannot_starve_the_heartbeat(server: FakeServer, start_worker: StartWorker) -> None:
    server.heartbeat_seconds = 0.1
    start_worker(TASKS)
    run = server.push("busy", {"seconds": 1})
    await server.completion_of(run)
    beats = server.all_of(Heartbeat, lambda message: message.runs[0].run == run.execution.run.id)
    assert len(beats) >= 5
    assert {beat.runs[0].snapshot for beat in beats} == {run.started_snapshot}


async def test_a_refused_key_ends_the_worker_with_one_line(
    server: FakeServer, start_worker: StartWorker
) -> None:
    worker = start_worker(TASKS, key="tr_prod_wrong")
    assert await worker.ended() == 2
    assert [line for line in worker.lines if "key" in line] == list(worker.lines)
    assert len(worker.lines) == 1 and "tr_prod_wrong" not in worker.output


async def test_a_worker_waits_for_a_server_that_is_not_up_yet(
    server: FakeServer, start_worker: StartWorker
) -> None:
    await server.stop()
    worker = start_worker(TASKS)
    await worker.line("Disconnected")
    await server.listen()
    assert (await server.completion_of(server.push("add", {"a": 1}))).completion.ok
    assert len(server.all_of(Logs)) == 0


async def test_a_server_that_forgot_the_version_is_told_again(
    server: FakeServer, start_worker: StartWorker
) -> None:
    server.known_versions = {"worker_2"}
    start_worker(TASKS)
    assert (await server.completion_of(server.push("add", {"a": 1}))).completion.ok
    assert [hello.version_id for hello in server.hellos] == ["worker_1", "worker_2"]
    assert len(server.registered) == 2


async def test_a_message_that_is_not_understood_ends_the_connection_with_one_line(
    server: FakeServer, start_worker: StartWorker
) -> None:
    worker = start_worker(TASKS)
    await worker.line("Connected")
    server.send_text(b'[{"type":"dance"}]')
    await worker.line(r"Disconnected\(reason=\"the server said something this worker does not understand")
    await worker.line("Reconnected")
    assert (await server.completion_of(server.push("add", {"a": 1}))).completion.ok
    assert "Traceback" not in worker.output
