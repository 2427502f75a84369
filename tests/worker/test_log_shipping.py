"""What runs print reaches the server, with real processes."""

import re
from pathlib import Path

from tests.support.fake_server import FakeServer
from tests.worker.conftest import StartWorker
from trigger_lite.protocol.worker import Ack, Complete, Logs

TASKS = """
import ctypes
log = logging.getLogger("shop")

@task
def speaks(name: str) -> None:
    print("out", name)
    print("err", name, file=sys.stderr)
    log.info("info %s", name, extra={"rows": 3})
    log.error("bad")
    os.write(1, b"from below\\n")
    subprocess.run(["echo", "from a program"])

@task
def crashes() -> None:
    for number in range(2000):
        print("line", number)
    ctypes.string_at(0)

@task
def floods(megabytes: int) -> int:
    block = (b"y" * 99 + b"\\n") * 10_000
    for _ in range(megabytes):
        os.write(1, block)
    return megabytes

@task
def quiet() -> int:
    return 1
"""


async def test_everything_a_run_says_is_captured_before_its_end(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    run = server.push("speaks", {"name": "x"})
    await server.completion_of(run)
    lines = server.lines_of(run)
    assert {(line.source, line.level, line.message) for line in lines} == {
        ("stdout", "LOG", "out x"),
        ("stderr", "ERROR", "err x"),
        ("log", "INFO", "info x"),
        ("log", "ERROR", "bad"),
        ("stdout", "LOG", "from below"),
        ("stdout", "LOG", "from a program"),
    }
    assert next(line for line in lines if line.message == "info x").attributes == {"rows": 3}
    assert {line.attempt for line in lines} == {1}
    order = [type(message) for message in server.received if isinstance(message, Logs | Complete)]
    assert order[-1] is Complete


async def test_lines_belong_to_the_run_that_printed_them(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    runs = [server.push("speaks", {"name": str(number)}) for number in range(30)]
    await server.expect_all(Complete, 30)
    for number, run in enumerate(runs):
        lines = server.lines_of(run)
        assert len(lines) == 6
        assert f"out {number}" in [line.message for line in lines]


async def test_a_crash_loses_no_line(server: FakeServer, start_worker: StartWorker) -> None:
    start_worker(TASKS)
    run = server.push("crashes")
    await server.completion_of(run)
    lines = [line.message for line in server.lines_of(run) if line.source == "stdout"]
    assert lines == [f"line {number}" for number in range(2000)]


async def test_a_flood_is_cut_and_counted_and_grows_nothing(
    server: FakeServer, start_worker: StartWorker
) -> None:
    worker = start_worker(TASKS)
    await server.completion_of(server.push("quiet"))
    before = _resident_kb(worker.pid)
    run = server.push("floods", {"megabytes": 200})
    assert (await server.completion_of(run)).completion.ok
    lines = server.lines_of(run)
    kept = sum(len(line.message) for line in lines)
    assert kept <= 10 * 1024 * 1024
    counted = re.fullmatch(r"… (\d+) more lines \((\d+) bytes\) were not kept", lines[-1].message)
    assert counted is not None and lines[-1].source == "system"
    assert int(counted[1]) + len(lines) - 1 == 2_000_000
    assert _peak_kb(worker.pid) - before < 64_000


async def test_output_waits_while_the_server_does_not_acknowledge(
    server: FakeServer, start_worker: StartWorker
) -> None:
    worker = start_worker(TASKS, unacknowledged_log_limit=1_000_000)
    await server.completion_of(server.push("quiet"))
    server.answers = False
    run = server.push("floods", {"megabytes": 5})
    await server.until(lambda: sum(len(m.lines) for m in server.all_of(Logs)) > 5_000)
    await worker.line("RunStarted.*floods")
    assert not server.all_of(Complete, lambda message: message.run == run.execution.run.id)
    server.answers = True
    server.send(*(Ack(message.seq) for message in server.all_of(Logs)))
    await server.completion_of(run)
    assert len(server.lines_of(run)) == 50_000


def _resident_kb(pid: int) -> int:
    return _status(pid, "VmRSS")


def _peak_kb(pid: int) -> int:
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    match = re.search(rf"{name}:\s+(\d+)", text)
    assert match is not None
    return int(match[1])
