"""A worker's life: registration, reload, stop, death."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.fake_server import FakeServer
from tests.support.worker_process import WorkerProcess, process_ended, write_tasks
from tests.worker.conftest import StartWorker
from trigger_lite.protocol.run_errors import ErrorCode, InternalError
from trigger_lite.protocol.worker import Complete, Release, Version

ANSWER = """
@task
def answer() -> int:
    return {number}

@task
def waits_for(path: str) -> int:
    print("pid", os.getpid(), flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)
    return {number}

@task
def starts_a_process() -> None:
    process = subprocess.Popen(["sleep", "60"])
    print(process.pid, flush=True)
    time.sleep(60)
"""


async def test_a_worker_registers_what_its_files_define(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    write_tasks(folder, "@task\ndef deep() -> None: ...\n", "more/deep.py")
    write_tasks(folder, "@task\ndef hidden() -> None: ...\n", "tests/test_it.py")
    worker = start_worker(ANSWER.format(number=1))
    await worker.line("Connected")
    (registration,) = server.registered
    assert {task.id for task in registration.metadata.tasks} == {
        "answer",
        "deep",
        "starts_a_process",
        "waits_for",
    }
    assert (registration.metadata.runtime, registration.engine) == ("python", "V2")
    assert server.hellos[0].version_id == "worker_1"


async def test_files_that_do_not_import_are_reported_and_the_others_served(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    write_tasks(folder, "import nowhere_to_be_found\n", "bad.py")
    (folder / "worse.py").write_text("def broken(:\n")
    worker = start_worker(ANSWER.format(number=1))
    await worker.line(r"ImportFailed\(file='bad.py', line=3, message=\"ModuleNotFoundError: No module named")
    await worker.line(r"ImportFailed\(file='worse.py', line=1, message='SyntaxError: ")
    assert (await server.completion_of(server.push("answer"))).completion.output == "1"


async def test_two_tasks_with_one_id_are_reported_with_both_places(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    write_tasks(folder, "@task(id='same')\ndef one() -> None: ...\n", "one.py")
    write_tasks(folder, "@task(id='same')\ndef two() -> None: ...\n", "two.py")
    worker = start_worker(ANSWER.format(number=1))
    duplicate = await worker.line(r"DuplicateTask\(task='same', first='(.*)', second='(.*)'\)")
    assert "one.py:3" in duplicate[1] and "two.py:3" in duplicate[2]
    await worker.line("Connected")
    assert "same" not in {task.id for task in server.registered[0].metadata.tasks}


async def test_without_any_task_a_worker_ends_and_says_why(start_worker: StartWorker) -> None:
    worker = start_worker("x = 1\n")
    assert await worker.ended() == 2
    assert "no task could be found" in worker.output


async def test_a_mistyped_project_setting_is_refused_with_the_nearest_one(
    start_worker: StartWorker, folder: Path
) -> None:
    (folder / "trigger.toml").write_text('ignroe = ["x.py"]\n')
    worker = start_worker(ANSWER.format(number=1))
    assert await worker.ended() == 2
    assert "unknown key 'ignroe'; did you mean 'ignore'?" in worker.output


async def test_a_file_that_ends_the_process_at_import_is_named(start_worker: StartWorker) -> None:
    worker = start_worker("os._exit(3)\n")
    assert await worker.ended() == 2
    assert "importing jobs.py ended its process" in worker.output


async def test_a_version_the_server_refuses_ends_the_worker(
    server: FakeServer, start_worker: StartWorker
) -> None:
    server.register_status = 422
    worker = start_worker(ANSWER.format(number=1))
    assert await worker.ended() == 2
    assert "this version is refused" in worker.output


async def test_a_change_brings_a_new_version_while_running_runs_finish_on_the_old(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    worker = start_worker(ANSWER.format(number=1), watch=True, poll_interval=0.05, concurrency=2)
    run = server.push("waits_for", {"path": str(folder / "flag")})
    await server.until(lambda: bool(server.lines_of(run)))
    write_tasks(folder, ANSWER.format(number=22))
    await worker.line("Reloaded")
    assert (await server.expect(Version, lambda message: message.version_id == "worker_2")).version_id
    assert (await server.completion_of(server.push("answer"))).completion.output == "22"
    (folder / "flag").touch()
    assert (await server.completion_of(run)).completion.output == "1"
    old = int(server.lines_of(run)[0].message.removeprefix("pid "))
    await process_ended(old)


async def test_a_broken_change_keeps_the_version_before_it(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    worker = start_worker(ANSWER.format(number=1), watch=True, poll_interval=0.05)
    await worker.line("Connected")
    (folder / "jobs.py").write_text("from trigger_lite import task\nraise RuntimeError('oh')\n")
    await worker.line(r"ImportFailed\(file='jobs.py', line=2, message='RuntimeError: oh'\)")
    await worker.line("ReloadFailed")
    assert (await server.completion_of(server.push("answer"))).completion.output == "1"
    write_tasks(folder, ANSWER.format(number=3))
    await worker.line("Reloaded")
    second = server.push("answer")
    assert (await server.completion_of(second)).completion.output == "3"


async def test_a_watching_worker_waits_until_something_imports(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    worker = start_worker("raise RuntimeError('not yet')\n", watch=True, poll_interval=0.05)
    await worker.line("waiting for a change")
    write_tasks(folder, ANSWER.format(number=5))
    assert (await server.completion_of(server.push("answer"))).completion.output == "5"


async def test_stopping_lets_runs_finish(server: FakeServer, start_worker: StartWorker, folder: Path) -> None:
    worker = start_worker(ANSWER.format(number=1))
    run = server.push("waits_for", {"path": str(folder / "flag")})
    await server.until(lambda: bool(server.lines_of(run)))
    worker.send(signal.SIGTERM)
    await worker.line("Stopping")
    (folder / "flag").touch()
    assert (await server.completion_of(run)).completion.ok
    assert await worker.ended() == 0


@pytest.mark.parametrize(
    ("cancels", "code"), [(False, ErrorCode.TASK_PROCESS_SIGTERM), (True, ErrorCode.TASK_RUN_CANCELLED)]
)
async def test_a_run_that_outlives_the_grace_is_reported_as_ended_or_cancelled(
    server: FakeServer, start_worker: StartWorker, cancels: bool, code: ErrorCode
) -> None:
    """CN-08: cancelled by a worker for development, never by another."""
    worker = start_worker(ANSWER.format(number=1), stop_grace=0.1, cancels_at_stop=cancels)
    run = server.push("waits_for", {"path": "/never"})
    await server.until(lambda: bool(server.lines_of(run)))
    assert await worker.stopped() == 0
    error = (await server.completion_of(run)).completion.error
    assert isinstance(error, InternalError) and error.code is code
    assert error.message == "The worker was stopped before the run finished"


async def test_a_second_signal_ends_everything_at_once(server: FakeServer, start_worker: StartWorker) -> None:
    worker = start_worker(ANSWER.format(number=1))
    run = server.push("starts_a_process")
    await server.until(lambda: bool(server.lines_of(run)))
    worker.send(signal.SIGINT)
    await worker.line("Stopping")
    worker.send(signal.SIGINT)
    assert await worker.ended() == 0
    assert len(server.all_of(Complete)) == 1
    worker.assert_nothing_left()


async def test_killing_the_worker_leaves_no_process(server: FakeServer, start_worker: StartWorker) -> None:
    worker = start_worker(ANSWER.format(number=1), concurrency=2)
    runs = [server.push("starts_a_process"), server.push("waits_for", {"path": "/never"})]
    await server.until(lambda: all(server.lines_of(run) for run in runs))
    left = worker.descendants()
    assert len(left) >= 4
    worker.kill()
    for pid in left:
        await process_ended(pid)


async def test_the_loss_of_the_template_is_survived(server: FakeServer, start_worker: StartWorker) -> None:
    worker = start_worker(ANSWER.format(number=1), handback_after=30)  # importing again may take its time
    run = server.push("waits_for", {"path": "/never"})
    await server.until(lambda: bool(server.lines_of(run)))
    child = int(server.lines_of(run)[0].message.removeprefix("pid "))
    os.kill(_parent_of(child), signal.SIGKILL)
    assert not (await server.completion_of(run)).completion.ok
    assert (await server.completion_of(server.push("answer"))).completion.output == "1"
    await worker.line("importing again")


@pytest.mark.parametrize("served_before", [False, True])
async def test_a_template_that_is_lost_before_its_version_is_registered_is_made_anew(
    server: FakeServer, start_worker: StartWorker, served_before: bool
) -> None:
    """AT-27: the server does not answer meanwhile, at the start or later."""
    server.register_status = 200 if served_before else 503
    worker = start_worker(ANSWER.format(number=1))
    if served_before:
        await worker.line("Connected")
        server.register_status = 503
        await _kill_template(worker)
    await worker.line("Disconnected.*refused")
    await _kill_template(worker)
    server.register_status = 200
    # Once for the template that is gone, once for the next.
    await server.until(lambda: len(server.registered) == 2 + served_before)
    assert (await server.completion_of(server.push("answer"))).completion.output == "1"


async def test_a_lost_template_whose_version_is_refused_is_made_anew_until_it_is_taken(
    server: FakeServer, start_worker: StartWorker
) -> None:
    """Meanwhile what came is handed back, and nothing more is asked for."""
    worker = start_worker(ANSWER.format(number=1))
    await worker.line("Connected")
    server.register_status = 422
    await _kill_template(worker)
    await worker.line("The server refused this version: this version is refused")
    first = server.push("answer")
    assert (await server.expect(Release)).run == first.execution.run.id
    second = server.push("answer")
    server.register_status = 200
    assert (await server.completion_of(second)).completion.output == "1"
    assert len(server.all_of(Release)) == 1


async def test_children_can_be_spawned_where_fork_is_not_safe(
    server: FakeServer, start_worker: StartWorker
) -> None:
    worker = start_worker(ANSWER.format(number=1), start_method="spawn")
    assert (await server.completion_of(server.push("answer"))).completion.output == "1"
    assert await worker.stopped() == 0


async def test_children_that_crash_leave_no_zombie_and_no_descriptor(
    server: FakeServer, start_worker: StartWorker
) -> None:
    source = "@task\ndef crash() -> None:\n    os._exit(1)\n\n@task\ndef fine() -> None: ...\n"
    worker = start_worker(source)
    await server.completion_of(server.push("fine"))
    before = _descriptors_of(worker.pid)
    for _ in range(10):
        await server.completion_of(server.push("crash"))
    await server.completion_of(server.push("fine"))
    assert _descriptors_of(worker.pid) <= before
    assert "Z" not in _states_below(worker.pid)
    assert await worker.stopped() == 0


async def _kill_template(worker: WorkerProcess) -> None:
    """Kill the process that imported the tasks."""
    template = _children_of(worker.pid)[0]
    os.kill(template, signal.SIGKILL)
    await process_ended(template)


def _descriptors_of(pid: int) -> int:
    return sum(len(os.listdir(f"/proc/{process}/fd")) for process in (pid, _children_of(pid)[0]))


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _children_of(pid: int) -> list[int]:
    children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(grandchild for child in children for grandchild in _children_of(child))]


def _states_below(pid: int) -> list[str]:
    return [
        Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in _children_of(pid)
    ]
