"""The tasks of the kill test. Each attempt leaves one line in the ledger before it does anything else."""

import os
import time

from trigger_lite import Ctx, Queue, Retry, task

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
