"""Whether a failed attempt is tried again, and when (AT-13…18): pure functions."""

import zlib
from typing import Final

import msgspec

from trigger_lite.engine.requests import known_machine
from trigger_lite.engine.run_json import decode_retry
from trigger_lite.protocol.execution import RetryAt
from trigger_lite.protocol.manifest import RetryConfig
from trigger_lite.protocol.run_errors import (
    NEVER_RETRIED,
    OUT_OF_MEMORY,
    RETRIED_BY_SERVER,
    STALLED,
    BuiltInError,
    ErrorCode,
    InternalError,
    RunError,
)
from trigger_lite.protocol.tasks import MAX_ATTEMPTS
from trigger_lite.store.runs import RunRow

SOON_MS: Final = 30_000
"""Below this the same worker makes the next attempt; from here on the run waits in line (AT-18)."""
STALL_RETRY_MS: Final = 250
LONGEST_MS: Final = 366 * 86_400_000
"""No retry waits longer, whatever a worker asks for."""


class Retry(msgspec.Struct, frozen=True):
    """Try again after `delay_ms`, on `machine` when it is named."""

    delay_ms: int
    machine: str | None = None
    must_queue: bool = False

    @property
    def is_soon(self) -> bool:
        return self.delay_ms < SOON_MS and not self.must_queue


def decide_retry(
    run: RunRow, error: RunError, asked: RetryAt | None, *, now: int, is_dev: bool
) -> Retry | None:
    """Return the retry of an attempt that failed with `error`, or None when the run is to fail.

    `asked` is the worker's own decision; without one only crashes that the worker could not judge are
    retried, by the settings fixed at the first claim.
    """
    code = error.code if isinstance(error, InternalError) else None
    settings = decode_retry(run.retry)
    if _is_out_of_memory(error):
        return _larger_machine(run, settings)
    if code in NEVER_RETRIED or run.attempt >= MAX_ATTEMPTS:
        return None
    if run.max_attempts is None or run.attempt >= run.max_attempts:
        return None
    if code in STALLED:
        return None if is_dev else Retry(STALL_RETRY_MS, must_queue=True)
    if asked is not None:
        return Retry(min(max(0, asked.delay), LONGEST_MS))
    if code in RETRIED_BY_SERVER:
        return Retry(retry_delay_ms(settings, run.id, run.attempt), must_queue=True)
    return None


def _is_out_of_memory(error: RunError) -> bool:
    if isinstance(error, InternalError):
        return error.code in OUT_OF_MEMORY
    return isinstance(error, BuiltInError) and error.name in ("OutOfMemoryError", "OutOfMemory")


def _larger_machine(run: RunRow, settings: RetryConfig | None) -> Retry | None:
    """AT-14: again only on another machine that the task names, while attempts remain."""
    wanted = settings.out_of_memory.machine if settings and settings.out_of_memory else None
    if wanted is None or known_machine(wanted) == run.machine:
        return None
    if run.max_attempts is None or run.attempt >= run.max_attempts:
        return None
    return Retry(
        retry_delay_ms(settings, run.id, run.attempt), machine=known_machine(wanted), must_queue=True
    )


def retry_delay_ms(settings: RetryConfig | None, run_id: str, attempt: int) -> int:
    """Return the wait after attempt `attempt`: min(max, r x min x factor^(attempt-1)) (AT-20)."""
    settings = settings or RetryConfig()
    shortest = 1_000.0 if settings.min_timeout_in_ms is None else settings.min_timeout_in_ms
    longest = 60_000.0 if settings.max_timeout_in_ms is None else settings.max_timeout_in_ms
    factor = 2.0 if settings.factor is None else settings.factor
    spread = 1.0 if settings.randomize is False else _spread(run_id, attempt)
    try:
        wait = spread * shortest * factor ** (attempt - 1)
    except OverflowError:
        wait = longest
    return round(min(wait, longest, LONGEST_MS))


def delivery_delay_ms(run_id: str, deliveries: int) -> int:
    """Return the wait before a run that was never started is offered again (Q-31): 1 s doubling to 1 h."""
    doublings = float(2 ** min(deliveries - 1, 12))
    return round(min(3_600_000, _spread(run_id, deliveries) * 1_000 * doublings))


def _spread(run_id: str, number: int) -> float:
    """Return a factor in 1…2 that differs between runs: what failed together is not tried again together.

    Taken from the run's name, because functions over a transaction use no chance.
    """
    return 1 + zlib.crc32(f"{run_id}:{number}".encode()) / 2**32


MAX_DELIVERIES: Final = 12
"""Failed deliveries in a row after which a run ends as a system failure (Q-31)."""

DELIVERIES_USED_UP: Final = InternalError(
    ErrorCode.TASK_RUN_DEQUEUED_MAX_RETRIES,
    f"Handed to workers {MAX_DELIVERIES} times in a row and never started",
)
