"""The tasks of the kill test. Each attempt leaves one line in the ledger before it does anything else."""

import os
import time

from trigger_lite import Ctx, Fire, Ok, Queue, Retry, schedules, task, wait

PATIENT = Retry(8, min=0.1, max=1)
NARROW = Queue("narrow", concurrency=2)


def sign(ctx: Ctx) -> None:
    """Record on disk that this attempt's code ran: run, attempt, process, Unix milliseconds."""
    line = f"{ctx.run.id} {ctx.attempt.number} {os.getpid()} {time.time_ns() // 1_000_000}\n"
    ledger = os.open(os.environ["CHAOS_LEDGER"], os.O_WRONLY | os.O_APPEND)
    os.write(ledger, line.encode())
    os.fsync(ledger)
    os.close(ledger)


@task(retry=PATIENT)
def work(name: str, ms: int, ctx: Ctx) -> str:
    sign(ctx)
    time.sleep(ms / 1000)
    return name


@task(retry=PATIENT, queue=NARROW)
def narrow(name: str, ms: int, ctx: Ctx) -> str:
    sign(ctx)
    time.sleep(ms / 1000)
    return name


@task(retry=PATIENT)
def flaky(name: str, failures: int, ctx: Ctx) -> str:
    sign(ctx)
    if ctx.attempt.number <= failures:
        raise ConnectionError(f"attempt {ctx.attempt.number} was to fail")
    return name


@task(retry=Retry(2, min=0.1))
def doomed(name: str, ctx: Ctx) -> str:
    sign(ctx)
    raise ValueError(f"{name} was to fail")


@task(retry=PATIENT)
def crashing(name: str, ctx: Ctx) -> str:
    sign(ctx)
    if ctx.attempt.number == 1:
        os._exit(3)
    return name


@task(retry=PATIENT)
def napping(name: str, seconds: float, ctx: Ctx) -> str:
    sign(ctx)
    wait.for_(seconds)
    return name


@task(retry=PATIENT)
def asking(name: str, token: str, ctx: Ctx) -> str:
    """Return what the token was completed with, or that nobody did."""
    sign(ctx)
    match wait.for_token(token):
        case Ok(answer):
            return f"{name} {answer}"
        case _:
            return f"{name} nobody"


@task(retry=PATIENT, queue=NARROW)
def parent(name: str, ms: int, ctx: Ctx) -> str:
    """Wait for a child in the same narrow queue, which may itself wait for one."""
    sign(ctx)
    of_child = child_name(name, ctx)
    answer = narrow.trigger_and_wait(of_child, ms).unwrap()
    if answer != of_child:
        raise AssertionError(f"{of_child} answered {answer}")
    return name


def child_name(name: str, ctx: Ctx, index: int = 0) -> str:
    """Name a child: no two are alike, even when an attempt is made twice."""
    return f"{name}/{ctx.attempt.number}-{os.getpid()}-{time.time_ns()}-{index}"


@task(retry=PATIENT)
def crowd(name: str, count: int, ms: int, ctx: Ctx) -> str:
    """Wait for a batch of children, and see that each answered in its place."""
    sign(ctx)
    names = [child_name(name, ctx, index) for index in range(count)]
    results = work.batch_trigger_and_wait([(child, ms) for child in names])
    answers = [result.unwrap() for result in results]
    if answers != names:
        raise AssertionError(f"{names} answered {answers}")
    return name


@schedules.task(retry=PATIENT)
def tick(fire: Fire, ctx: Ctx) -> str:
    sign(ctx)
    return f"{fire.schedule_id} {round(fire.at.timestamp() * 1000)}"
