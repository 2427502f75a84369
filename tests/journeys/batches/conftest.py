"""A real server with a worker, and tasks that trigger many others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.real_server import RealServer, running_server

TASKS: Final = """\
import os

from trigger_lite import Ctx, Retry, batch, queue, task

one_at_a_time = queue("one-at-a-time", concurrency=1)


@task
def double(number: int) -> int:
    return 2 * number


@task
def leaves_a_mark(folder: str, number: int, ctx: Ctx) -> str:
    with open(os.path.join(folder, str(number)), "a") as file:
        file.write(ctx.run.id + "\\n")
    return ctx.batch.id if ctx.batch else ""


@task(retry=Retry(1))
def picky(number: int) -> int:
    if number % 10 == 3:
        raise ValueError(f"{number} ends with a three")
    return number


@task
def fan_out(count: int) -> bool:
    results = double.batch_trigger_and_wait(range(count))
    return [result.unwrap() for result in results] == [2 * number for number in range(count)]


@task
def fan_out_from_a_generator(count: int) -> int:
    return sum(result.unwrap() for result in double.batch_trigger_and_wait(n for n in range(count)))


@task
def some_fail(count: int) -> list[str]:
    results = picky.batch_trigger_and_wait(range(count))
    return ["ok" if result.ok else str(result.error.cause) for result in results]


@task
def some_cannot_be_triggered() -> list[str]:
    items = [double.item(1), double.with_(version="20300101.1").item(2), double.item(3)]
    results = double.batch_trigger_and_wait(items)
    return [str(result.output) if result.ok else str(result.error.cause) for result in results]


@task
def text(size: int) -> str:
    return "x" * size


@task
def much(count: int, size: int) -> int:
    return sum(len(result.unwrap()) for result in text.batch_trigger_and_wait([size] * count))


@task(queue=one_at_a_time)
def small(number: int) -> int:
    return number


@task(queue=one_at_a_time)
def large(count: int) -> int:
    return sum(result.unwrap() for result in small.batch_trigger_and_wait(range(count)))


@task
def nested(depth: int) -> int:
    if depth == 0:
        return 1
    return sum(result.unwrap() for result in nested.batch_trigger_and_wait([depth - 1] * 2))


@task
async def several(number: int) -> list[int]:
    one, other = await batch(double.item(number), picky.item(number)).aio.trigger_and_wait()
    return [one.unwrap(), other.unwrap()]


@task
def twice_the_same() -> list[int]:
    same = double.with_(idempotency_key="same")
    results = double.batch_trigger_and_wait([same.item(4), double.item(5), same.item(4)])
    return [result.unwrap() for result in results]
"""


def write_jobs(folder: Path) -> Path:
    """Write the tasks into a folder below this one; returns it."""
    jobs = folder / "jobs"
    jobs.mkdir()
    (jobs / "tasks.py").write_text(TASKS)
    return jobs


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, _ports: Iterator[int]) -> Iterator[RealServer]:
    """A server and one worker with four children, for all tests of a module."""
    folder = tmp_path_factory.mktemp("batches")
    jobs = write_jobs(folder)
    with running_server(folder, next(_ports)) as running:
        running.start_worker(jobs, "--concurrency", "4")
        yield running
