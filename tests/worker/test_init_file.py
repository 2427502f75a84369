"""`init.py` of the tasks folder: what it registers is around every task, and comes first."""

from pathlib import Path

import pytest

from tests.support.fake_server import FakeServer
from tests.support.worker_process import write_tasks
from tests.worker.conftest import StartWorker
from tests.worker.test_discovery import loaded
from trigger_lite.protocol.worker import Complete

INIT = """
from collections.abc import Iterator
from trigger_lite import hooks, local, middleware

NAME = local("name", str)

@middleware
def naming(ctx: Ctx) -> Iterator[None]:
    ctx.locals[NAME] = {name!r}
    print("in")
    yield
    print("out", flush=True)

@hooks.on_success
def note(output: object, ctx: Ctx) -> None:
    print("success", output)
"""

TASKS = """
from init import NAME

@task
def greet(ctx: Ctx) -> str:
    return f"hello {ctx.locals[NAME]}"
"""


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
async def test_what_it_registers_is_around_every_task(
    server: FakeServer, start_worker: StartWorker, folder: Path, start_method: str
) -> None:
    """AT-24"""
    write_tasks(folder, INIT.format(name="Ada"), "init.py")
    start_worker(TASKS, start_method=start_method)
    run = server.push("greet")
    complete = await server.completion_of(run)
    assert complete.completion.output == "hello Ada"
    assert [line.message for line in server.lines_of(run)] == ["in", "success hello Ada", "out"]


async def test_a_change_of_it_brings_a_new_version(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    write_tasks(folder, INIT.format(name="Ada"), "init.py")
    worker = start_worker(TASKS, watch=True, poll_interval=0.05)
    await worker.line("Connected")
    write_tasks(folder, INIT.format(name="Grace"), "init.py")
    await worker.line("Reloaded")
    assert (await server.completion_of(server.push("greet"))).completion.output == "hello Grace"


async def test_a_broken_one_is_reported_like_any_file_and_no_task_runs_without_it(
    start_worker: StartWorker, folder: Path
) -> None:
    write_tasks(folder, "import nowhere_to_be_found\n", "init.py")
    worker = start_worker("@task\ndef plain() -> None: ...\n")
    await worker.line(r"ImportFailed\(file='init.py', line=3, message=\"ModuleNotFoundError: No module named")
    assert await worker.ended() == 2
    assert "init.py cannot be imported, and no task runs without what it sets up" in worker.output


async def test_a_broken_change_of_it_keeps_the_version_before_it(
    server: FakeServer, start_worker: StartWorker, folder: Path
) -> None:
    write_tasks(folder, INIT.format(name="Ada"), "init.py")
    worker = start_worker(TASKS, watch=True, poll_interval=0.05)
    await worker.line("Connected")
    (folder / "init.py").write_text("raise RuntimeError('oh')\n")
    await worker.line(r"ImportFailed\(file='init.py', line=1, message='RuntimeError: oh'\)")
    await worker.line("ReloadFailed")
    assert (await server.completion_of(server.push("greet"))).completion.output == "hello Ada"
    assert len(server.all_of(Complete)) == 1


def test_it_is_imported_before_files_whose_names_come_first(tmp_path: Path) -> None:
    (tmp_path / "seen.py").write_text("order = []\n")
    for name in ("a", "init", "z"):
        (tmp_path / f"{name}.py").write_text(
            "from seen import order\nfrom trigger_lite import task\n"
            f"order.append({name!r})\n@task(id='-'.join(order))\ndef made() -> None: ...\n"
        )
    assert loaded(tmp_path, where=tmp_path) == "['init', 'init-a', 'init-a-z'] []"


def test_each_tasks_folder_of_a_project_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "trigger.toml").write_text('dirs = ["jobs"]\n')
    jobs = tmp_path / "jobs"
    (jobs / "deeper").mkdir(parents=True)
    task = "from trigger_lite import task\n@task\ndef {name}() -> None: ...\n"
    for path, name in (("app.py", "app"), ("jobs/init.py", "first"), ("jobs/deeper/init.py", "later")):
        (tmp_path / path).write_text(task.format(name=name))
    assert loaded(tmp_path, where=tmp_path) == "['first', 'later'] []"
