"""Whether and when a failed attempt is made again: the worker's part of engine-behaviours 4d."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from trigger_lite.protocol.execution import Execution
from trigger_lite.protocol.execution import RetryAt as WireRetryAt
from trigger_lite.sdk.errors import (
    AbortTaskRun,
    ApiError,
    ConcurrentWait,
    OutOfMemory,
    RateLimited,
    RetryAfter,
    RetryAt,
    RunControl,
)
from trigger_lite.sdk.retry import DEFAULT_RETRY, Retry

CatchAnswer = Exception | Retry | None
"""What a `catch` hook may return."""
_WORTH_RETRYING: Final = (408, 429)


def _random() -> float:
    import random

    return random.random()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSettings:
    """What an attempt is judged by: the project's retry setting for tasks that have none of their own.

    `dev_retries` says whether runs of a development environment are retried, `now` gives Unix seconds and
    `jitter` a random number from 0 to 1.
    """

    retry: Retry = DEFAULT_RETRY
    dev_retries: bool = True
    now: Callable[[], float] = time.time
    jitter: Callable[[], float] = _random


def settings_from_environment() -> AttemptSettings:
    """Return the settings of a worker process: TRIGGER_LITE_DEV_RETRIES=0 switches retries in dev off."""
    return AttemptSettings(dev_retries=os.environ.get("TRIGGER_LITE_DEV_RETRIES") != "0")


def stops_retrying(error: BaseException) -> bool:
    """Tell whether the error says by itself that another attempt is of no use (AT-22)."""
    if isinstance(error, AbortTaskRun | ConcurrentWait):
        return True
    return isinstance(error, ApiError) and 400 <= error.status < 500 and error.status not in _WORTH_RETRYING


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a failed attempt: the error it is stored with, and when the next one is made, if any.

    `skipped` says that it is of no use by itself, whatever the settings say.
    """

    error: BaseException
    retry: WireRetryAt | None
    skipped: bool


def says_what_is_next(error: BaseException) -> bool:
    """Tell whether the code, or its lack of memory, has settled what happens: no hook is asked then."""
    return isinstance(error, RunControl | MemoryError)


def judge(
    error: BaseException,
    answer: CatchAnswer,
    execution: Execution,
    own: Retry | None,
    settings: AttemptSettings,
) -> Verdict:
    """Return what becomes of an attempt that failed with `error`, and what a `catch` hook said to it (AT-23).

    RetryAt, RetryAfter and Retry decide about the retry and leave the error as it is, as does an AbortTaskRun
    without a reason. With one it takes the error's place, like any other exception, the error as its cause.
    """
    match answer:
        case RetryAt() | RetryAfter():
            return Verdict(error, retry_decision(answer, execution, own, settings), False)
        case Retry():
            return Verdict(error, retry_decision(error, execution, answer, settings), stops_retrying(error))
        case AbortTaskRun() if not str(answer):
            return Verdict(error, None, True)
        case Exception() if answer is not error:
            answer.__cause__ = answer.__cause__ or error
            error = answer
    return Verdict(error, retry_decision(error, execution, own, settings), stops_retrying(error))


def retry_decision(
    error: BaseException, execution: Execution, own: Retry | None, settings: AttemptSettings
) -> WireRetryAt | None:
    """Return when the next attempt is made, or None for never (AT-20, AT-21)."""
    policy = own or settings.retry
    attempt = execution.attempt.number
    off = execution.environment.type == "DEVELOPMENT" and not settings.dev_retries
    # Whether memory helps is for the server to say: it knows the machines (AT-14).
    if off or stops_retrying(error) or isinstance(error, MemoryError | OutOfMemory):
        return None
    if attempt >= (execution.run.max_attempts or policy.attempts):
        return None
    now = settings.now()
    delay = round(max(0.0, _delay_seconds(error, attempt, policy, settings, now)) * 1000)
    return WireRetryAt(timestamp=round(now * 1000) + delay, delay=delay)


def _delay_seconds(
    error: BaseException, attempt: int, policy: Retry, settings: AttemptSettings, now: float
) -> float:
    match error:
        case RetryAfter():
            return error.seconds
        case RetryAt():
            return error.when.timestamp() - now
        case RateLimited() if error.retry_after > 0:
            return error.retry_after
        case _:
            return policy.delay_seconds(attempt, settings.jitter())
