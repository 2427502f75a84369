"""Run a task like a worker would, in a test: no server, no process, no sleep."""

import time
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NoReturn, ParamSpec, TypeVar

from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.run_errors import final_status
from trigger_lite.protocol.statuses import api_status
from trigger_lite.protocol.times import iso
from trigger_lite.sdk.attempt import run_attempt
from trigger_lite.sdk.blocking import refuse_in_event_loop
from trigger_lite.sdk.decision import AttemptSettings
from trigger_lite.sdk.errors import RunFailed
from trigger_lite.sdk.local import LOCAL_RUN, LocalChannel, local_execution
from trigger_lite.sdk.output import decode_output
from trigger_lite.sdk.task import Task

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class InlineRun:
    """What a run did beside its result: attempts, seconds it would have waited, metadata, tags, log lines.

    >>> run_inline(import_csv, "contacts.csv").run.metadata["rows"]
    120
    """

    attempts: int
    waited_seconds: float
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    logs: tuple[tuple[str, str, dict[str, Any]], ...] = ()


@dataclass(frozen=True, slots=True)
class Ok(Generic[R]):
    """A run that returned `output`.

    >>> match run_inline(double, 21):
    ...     case Ok(output):
    ...         print(output)
    42
    """

    output: R
    run: InlineRun = field(compare=False)

    @property
    def ok(self) -> Literal[True]:
        """True.

        >>> run_inline(double, 21).ok
        True
        """
        return True

    def unwrap(self) -> R:
        """Return the output.

        >>> run_inline(double, 21).unwrap()
        42
        """
        return self.output


@dataclass(frozen=True, slots=True)
class Err:
    """A run that failed for good, with its `error`.

    >>> match run_inline(abort, "no such customer"):
    ...     case Err(failure):
    ...         print(failure.status)
    FAILED
    """

    error: RunFailed
    run: InlineRun = field(compare=False)

    @property
    def ok(self) -> Literal[False]:
        """False.

        >>> run_inline(abort, "no such customer").ok
        False
        """
        return False

    def unwrap(self) -> NoReturn:
        """Raise the run's error.

        >>> run_inline(abort, "no such customer").unwrap()
        Traceback (most recent call last):
        trigger_lite.sdk.errors.RunFailed: abort run_local ended FAILED: AbortTaskRun: no such customer
        """
        raise self.error


Result = Ok[R] | Err
"""How a run ended: `Ok(output)` or `Err(error)`."""


class _Clock:
    """Unix seconds that only waiting moves."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def run_inline(task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Result[R]:
    """Run a task here as a worker would: payload and result through JSON, retries made at once.

    Delays between attempts pass on a fake clock. What the task triggers goes to the configured server.
    Raises PayloadError when the arguments do not fit.

    >>> run_inline(double, 21).unwrap()
    42
    """
    refuse_in_event_loop("run_inline(…)", "await asyncio.to_thread(run_inline, …)")
    payload = task.codec.encode(args, kwargs)
    clock, channel = _Clock(), LocalChannel()
    settings = AttemptSettings(now=clock, jitter=lambda: 0.0)
    started, attempt = clock.now, 0
    while True:
        attempt += 1
        execution = local_execution(
            task.id,
            task.file_path,
            task.queue_name,
            payload=payload,
            attempt=attempt,
            now=iso(round(clock.now * 1000)),
            channel=channel,
        )
        completion = run_attempt(task, execution, channel, settings=settings)
        if completion.retry is None:
            break
        clock.now += completion.retry.delay / 1000
    story = InlineRun(
        attempt, clock.now - started, channel.values, tuple(channel.names), tuple(channel.lines)
    )
    return _result(task, completion, story)


def _result(task: Task[P, R], completion: Completion, story: InlineRun) -> Result[R]:
    if completion.ok:
        output: R = decode_output(completion.output, completion.output_type, task.returns)
        return Ok(output, story)
    assert completion.error is not None
    status = api_status(final_status(completion.error, is_dev=True)).value
    return Err(RunFailed(LOCAL_RUN, task=task.id, status=status, error=completion.error), story)
