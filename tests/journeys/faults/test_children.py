"""Children that crash, hang, or print without end: the run says so, the worker and the server go on."""

import json
from pathlib import Path
from typing import Final

import pytest

from tests.journeys.faults.conftest import WriteTasks
from tests.support.processes import Process, memory_of, wait_until_ended
from tests.support.real_server import RealServer

_MEGABYTE: Final = 1_048_576
_GROWTH_MB: Final = 48
"""What a server or a worker may grow by, whatever a task prints."""
_FLOOD_MB: Final = 1_000
_TASKS: Final = """
    import ctypes
    import json
    import resource

    def remember_me():
        with open("pids", "a") as file:
            file.write(f"{os.getpid()}\\n")

    @task
    def echo(payload):
        return payload

    @task(retry=Retry(1))
    def crash(payload):
        remember_me()
        print("the last words", flush=True)
        match payload:
            case "segfault":
                ctypes.string_at(0)
            case "exit":
                os._exit(3)
            case "sys.exit":
                sys.exit("enough")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "memory":
                resource.setrlimit(resource.RLIMIT_AS, (300_000_000, 300_000_000))
                kept = []
                while True:
                    kept.append(bytearray(10_000_000))
            case "abort":
                os.abort()

    @task(retry=Retry(1))
    def stubborn(payload):
        remember_me()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass

    @task(retry=Retry(1))
    def parent_of_many(payload):
        remember_me()
        if os.fork() == 0:
            remember_me()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            threading.Event().wait()
        threading.Event().wait()

    @task
    def flood(payload):
        line = b"x" * 99 + b"\\n" if payload["lines"] else b"x" * 100
        block = line * 10_000
        for _ in range(payload["megabytes"]):
            os.write(1, block)
        print("", flush=True)
        return payload["megabytes"]
"""


@pytest.fixture
def serving(server: RealServer, write_tasks: WriteTasks) -> RealServer:
    server.start()
    server.start_worker(write_tasks(_TASKS), "--concurrency", "4")
    return server


def remembered(folder: Path) -> list[int]:
    """Return the processes that tasks said they are."""
    return [int(line) for line in (folder / "pids").read_text().split()]


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [
        ("segfault", "CRASHED", "TASK_PROCESS_SIGSEGV"),
        ("exit", "CRASHED", "code 3"),
        ("sys.exit", "FAILED", "enough"),
        ("kill", "CRASHED", "memory"),
        ("memory", "CRASHED", "OOM"),
        ("abort", "CRASHED", "SIGABRT"),
    ],
)
def test_a_child_that_ends_ends_its_run_and_nothing_else(
    serving: RealServer, tmp_path: Path, how: str, status: str, said: str
) -> None:
    run = serving.finished(serving.trigger("crash", how))
    assert (run["status"], run["attemptCount"]) == (status, 1), run
    assert said in json.dumps(run["error"]), run["error"]
    assert "the last words" in [line["message"] for line in serving.logs(run["id"])]
    assert serving.finished(serving.trigger("echo", how))["output"] == how
    wait_until_ended(*remembered(tmp_path))


@pytest.mark.parametrize("how", ["kill", "memory", "said"])
def test_a_run_out_of_memory_is_made_again_on_a_larger_machine(
    server: RealServer, write_tasks: WriteTasks, how: str
) -> None:
    """AT-14: killed by the system, refused more by it, or said by the task; once, then it has crashed."""
    server.start()
    source = """
        import resource
        from trigger_lite import OutOfMemory

        @task(retry=Retry(3, min=0.01, out_of_memory_machine="medium-1x"))
        def hungry(ctx: Ctx, how, always):
            if ctx.machine.name == "medium-1x" and not always:
                return [ctx.machine.name, ctx.machine.memory, ctx.attempt.number]
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "said":
                raise OutOfMemory()
            resource.setrlimit(resource.RLIMIT_AS, (300_000_000, 300_000_000))
            kept = []
            while True:
                kept.append(bytearray(10_000_000))
    """
    server.start_worker(write_tasks(source), "--concurrency", "1")
    run = server.finished(server.trigger("hungry", {"how": how, "always": False}))
    assert (run["status"], run["output"]) == ("COMPLETED", ["medium-1x", 2, 2]), run
    run = server.finished(server.trigger("hungry", {"how": how, "always": True}))
    assert (run["status"], run["attemptCount"]) == ("CRASHED", 2), run


def test_a_child_that_ends_is_tried_again_as_its_task_says(
    server: RealServer, write_tasks: WriteTasks, tmp_path: Path
) -> None:
    server.start()
    source = """
        @task(retry=Retry(2))
        def second_time(payload, ctx: Ctx):
            if ctx.attempt.number == 1:
                os._exit(3)
            return ctx.attempt.number
    """
    server.start_worker(write_tasks(source))
    run = server.finished(server.trigger("second_time", {}))
    assert (run["status"], run["output"], run["attemptCount"]) == ("COMPLETED", 2, 2)


def test_a_child_that_will_not_end_is_ended_with_all_it_started(serving: RealServer, tmp_path: Path) -> None:
    timed = serving.trigger("stubborn", {}, maxDuration=5)
    canceled = serving.trigger("stubborn", {})
    family = serving.trigger("parent_of_many", {})
    for run_id in (timed, canceled, family):
        serving.reaches(run_id, "EXECUTING")
    with serving.client() as client:
        for run_id in (canceled, family):
            assert client.post(f"/api/v2/runs/{run_id}/cancel").status_code == 200
            assert serving.run(run_id)["status"] == "CANCELED"
    assert serving.finished(timed)["status"] == "TIMED_OUT"
    assert serving.finished(serving.trigger("echo", "after"))["output"] == "after"
    for run_id in (canceled, family):
        serving.until(run_id, lambda run: "finishedAt" in run)
    assert len(remembered(tmp_path)) == 4
    wait_until_ended(*remembered(tmp_path))


@pytest.mark.parametrize("lines", [True, False])
def test_output_without_end_grows_nothing_and_stops_nobody(
    server: RealServer, write_tasks: WriteTasks, lines: bool
) -> None:
    server.start()
    worker = server.start_worker(write_tasks(_TASKS), "--concurrency", "2", "--quiet")
    assert server.finished(server.trigger("echo", "warm"))["output"] == "warm"
    before = _memory(server.process, worker)
    run_id = server.trigger("flood", {"megabytes": _FLOOD_MB, "lines": lines})
    server.reaches(run_id, "EXECUTING")
    answered = 0
    while server.run(run_id)["status"] == "EXECUTING":
        assert server.finished(server.trigger("echo", answered), seconds=10)["output"] == answered
        answered += 1
    assert server.finished(run_id)["output"] == _FLOOD_MB
    after = _memory(server.process, worker)
    assert answered > 0
    for name, grown in {name: after[name] - before[name] for name in before}.items():
        assert grown < _GROWTH_MB * _MEGABYTE, f"the {name} grew by {grown / _MEGABYTE:.0f} MB"
    kept = server.logs(run_id)
    assert "were not kept" in kept[-1]["message"] or not lines
    assert sum(len(line["message"]) + 100 for line in kept) < 11 * _MEGABYTE


def _memory(server: Process, worker: Process) -> dict[str, int]:
    """Return the memory of the server and of the worker with its children, in bytes."""
    return {
        "server": memory_of(server.pid),
        "worker": sum(map(memory_of, [worker.pid, *worker.descendants()])),
    }
