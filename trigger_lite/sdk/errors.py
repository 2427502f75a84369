"""Every error of the SDK, one tree:

TriggerLiteError
├── DefinitionError            a task, queue or retry is described wrongly (also a TypeError)
│   └── UnknownOption           an option that does not exist; names the nearest one
├── PayloadError               a payload does not fit the task: path, expected, got
├── BlockingCall               a blocking call inside a running event loop
├── OutsideRun                 something only a running task has was asked for elsewhere
├── NotConfigured              no server was named
├── ConnectionFailed           the server did not answer
├── ApiError                   the server refused: status, message
│   ├── RateLimited             … because of too many requests: retry_after
│   └── QueueFull               … because as many runs wait in a queue as may
├── BatchError                 some items of a batch were not triggered: phase, failed, handles
├── WaitTimeout                a run did not finish in the time given
├── RunFailed                  a run ended without a result: run_id, task, status, error
│   └── RunCanceled             … because somebody cancelled it
├── SubtaskError               a run that a run waited for ended without a result: run_id, task, cause
├── TokenTimeout               nobody completed a token in its time: token_id
├── ConcurrentWait             a run that waits was asked to wait for a second thing
├── ParkedMemoryFull           a worker has no memory for one more run that waits
└── RunControl                 raised by task code to say what happens next
    ├── AbortTaskRun            fail now, no retry
    ├── RetryAfter              try again after this long
    ├── RetryAt                 try again at this time
    └── OutOfMemory             end as if the system had ended the process for its memory
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trigger_lite.protocol.durations import Duration, duration_seconds

if TYPE_CHECKING:
    from trigger_lite.protocol.run_errors import RunError
    from trigger_lite.sdk.handle import RunHandle


class TriggerLiteError(Exception):
    """Whatever goes wrong in trigger-lite.

    >>> issubclass(PayloadError, TriggerLiteError)
    True
    """


class DefinitionError(TriggerLiteError, TypeError):
    """A task, queue or retry is described wrongly.

    >>> task(retry=Retry(0))
    Traceback (most recent call last):
    trigger_lite.sdk.errors.DefinitionError: Retry(attempts=0): attempts must be 1 to 250
    """


class UnknownOption(DefinitionError):
    """An option that does not exist; the message names the nearest one that does.

    >>> task(max_duratoin="1h")
    Traceback (most recent call last):
    trigger_lite.sdk.errors.UnknownOption: @task has no option 'max_duratoin'; did you mean 'max_duration'?
    """

    def __init__(self, subject: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"{subject} has no option {name!r}; {suggest(name, known)}")
        self.name = name


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?`, or the list of what there is when nothing is near."""
    import difflib  # only for this message

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"there is {', '.join(names)}"


class PayloadError(TriggerLiteError, ValueError):
    """A payload does not fit the task's parameters.

    `path` is where in the payload (`$.size`), `expected` and `got` say what is wrong there, when known.

    >>> resize.trigger("https://example.com/cat.png", "large")
    Traceback (most recent call last):
    trigger_lite.sdk.errors.PayloadError: resize: Expected `int`, got `str` - at `$.width`
    """

    def __init__(self, message: str, *, path: str = "$", expected: str = "", got: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.expected = expected
        self.got = got


class BlockingCall(TriggerLiteError, RuntimeError):
    """A blocking call inside a running event loop; the message says what to write instead.

    >>> async def handler() -> None:
    ...     await resize.aio.trigger("https://example.com/cat.png", 100)  # not: resize.trigger(…)
    """


class OutsideRun(TriggerLiteError, RuntimeError):
    """Something that only a running task has was asked for elsewhere.

    >>> current()
    Traceback (most recent call last):
    trigger_lite.sdk.errors.OutsideRun: current() works only inside a run
    """


class NotConfigured(TriggerLiteError):
    """No server was named, and no local one has left its connection file.

    >>> configure(url="http://127.0.0.1:3040", key="tr_prod_abc123")
    """


class ConnectionFailed(TriggerLiteError, ConnectionError):
    """The server did not answer, though asked several times.

    >>> try:
    ...     handle = resize.trigger("https://example.com/cat.png", 100)
    ... except ConnectionFailed:
    ...     handle = None  # nothing was triggered, or its answer was lost
    """


class ApiError(TriggerLiteError):
    """The server refused a request: `status` is the HTTP status, `message` its one-line reason.

    >>> try:
    ...     runs.get("run_unknown")
    ... except ApiError as error:
    ...     assert error.status == 404
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} (HTTP {status})")
        self.status = status
        self.message = message


class RateLimited(ApiError):
    """Too many requests; `retry_after` is the number of seconds until the server accepts more.

    >>> try:
    ...     run = runs.get("run_06fd3v")
    ... except RateLimited as error:
    ...     raise RetryAfter(error.retry_after) from error
    """

    def __init__(self, status: int, message: str, retry_after: float) -> None:
        super().__init__(status, message)
        self.retry_after = retry_after


class QueueFull(ApiError):
    """A run was not triggered, because as many wait in its queue as its `max_length` lets.

    >>> try:
    ...     handle = resize.trigger("https://example.com/cat.png", 100)
    ... except QueueFull:
    ...     handle = None  # nothing was triggered; there is room when some runs have started
    """


class BatchError(TriggerLiteError):
    """Some items of a batch were not triggered.

    `phase` is "payload" when items do not fit their task, "create" when the server did not take the batch at
    all, "send" when it took only some of it; `failed` maps the index of an item to its error; `handles` has a
    handle or None for each item, in order. An item that does not fit keeps its whole batch from being sent.

    >>> try:
    ...     handles = double.batch_trigger([1, 2, 3])
    ... except BatchError as error:
    ...     again = [index for index, handle in enumerate(error.handles) if handle is None]
    """

    def __init__(
        self, phase: str, failed: Mapping[int, Exception], handles: "Sequence[RunHandle[Any] | None]"
    ) -> None:
        first = min(failed)
        indexes = ", ".join(str(index) for index in sorted(failed)[:10])
        more = f" and {len(failed) - 10} more" if len(failed) > 10 else ""
        what = "do not fit, so their batch was not triggered" if phase == "payload" else "were not triggered"
        super().__init__(
            f"{len(failed)} of {len(handles)} items {what}: {indexes}{more}; item {first}: {failed[first]}"
        )
        self.phase = phase
        self.failed = dict(failed)
        self.handles = list(handles)


class WaitTimeout(TriggerLiteError, TimeoutError):
    """A run did not finish in the time given; it goes on.

    >>> try:
    ...     size = handle.result(timeout="30s")
    ... except WaitTimeout:
    ...     print("still running")
    """


class RunFailed(TriggerLiteError):
    """A run ended without a result: `run_id`, `task`, `status` and the stored `error`.

    >>> try:
    ...     size = handle.result()
    ... except RunFailed as failure:
    ...     print(failure.run_id, failure.status, failure)
    """

    def __init__(self, run_id: str, *, task: str, status: str, error: "RunError | None") -> None:
        super().__init__(f"{task} {run_id} ended {status}: {_reason(error)}")
        self.run_id = run_id
        self.task = task
        self.status = status
        self.error = error


class RunCanceled(RunFailed):
    """A run was cancelled before it had a result.

    >>> try:
    ...     size = handle.result()
    ... except RunCanceled:
    ...     print("somebody stopped it")
    """


def _reason(error: "RunError | None") -> str:
    from trigger_lite.protocol.run_errors import BuiltInError, api_error

    if error is None:
        return "no error was stored"
    if isinstance(error, BuiltInError):
        return f"{error.name}: {error.message}"
    return api_error(error).message


class SubtaskError(TriggerLiteError):
    """A run that this run waited for ended without a result: `run_id`, `task`, and why as `cause`.

    >>> match resize.trigger_and_wait("https://example.com/missing.png", 100):
    ...     case Err(error):
    ...         print(error.task, error.run_id, error.cause.status)
    resize run_failed FAILED
    """

    def __init__(self, run_id: str, task: str, cause: RunFailed) -> None:
        super().__init__(str(cause))
        self.run_id = run_id
        self.task = task
        self.cause = cause
        self.__cause__ = cause


class TokenTimeout(TriggerLiteError, TimeoutError):
    """Nobody completed a token within its timeout; `token_id` says which.

    >>> wait.for_token("waitpoint_late").unwrap()
    Traceback (most recent call last):
    trigger_lite.sdk.errors.TokenTimeout: nobody completed waitpoint_late within its timeout
    """

    def __init__(self, token_id: str) -> None:
        super().__init__(f"nobody completed {token_id} within its timeout")
        self.token_id = token_id


class ConcurrentWait(TriggerLiteError, RuntimeError):
    """A run waits for one thing at a time, and was asked to wait for a second; the run fails.

    >>> async def both() -> None:
    ...     await wait.aio.for_("1m")  # one after the other, not by asyncio.gather
    ...     await wait.aio.for_("2m")
    """


class ParkedMemoryFull(TriggerLiteError):
    """A long wait was refused, because the runs that wait on this worker hold too much memory already.

    A run that waits keeps its process. The message names what they hold and the worker's setting for it.

    >>> try:
    ...     wait.for_("1d")
    ... except ParkedMemoryFull as error:
    ...     raise RetryAfter("1d") from error  # holds no process meanwhile
    """


class RunControl(TriggerLiteError):
    """Raised by task code to say what happens next.

    >>> issubclass(AbortTaskRun, RunControl)
    True
    """


class AbortTaskRun(RunControl):
    """Fail the run now, whatever its retry settings say.

    >>> raise AbortTaskRun("the customer no longer exists")
    Traceback (most recent call last):
    trigger_lite.sdk.errors.AbortTaskRun: the customer no longer exists
    """


class RetryAfter(RunControl):
    """Fail this attempt and make the next one after exactly this long, if attempts remain.

    >>> raise RetryAfter("5s", "the export is not ready")
    Traceback (most recent call last):
    trigger_lite.sdk.errors.RetryAfter: the export is not ready
    """

    def __init__(self, delay: Duration, message: str = "") -> None:
        self.seconds = duration_seconds(delay)
        super().__init__(message or f"asked to be tried again after {delay}")


class RetryAt(RunControl):
    """Fail this attempt and make the next one at exactly this time, if attempts remain.

    >>> raise RetryAt(datetime(2030, 1, 1, tzinfo=UTC), "the market is closed")
    Traceback (most recent call last):
    trigger_lite.sdk.errors.RetryAt: the market is closed
    """

    def __init__(self, when: datetime, message: str = "") -> None:
        if when.utcoffset() is None:
            raise ValueError(f"{when!r} has no time zone; write for example datetime.now(UTC)")
        self.when = when
        super().__init__(message or f"asked to be tried again at {when.isoformat()}")


class OutOfMemory(RunControl):
    """End the attempt as if the system had ended the process for its memory.

    A `MemoryError` that leaves the task means the same.

    >>> raise OutOfMemory("the model needs 6 GB")
    Traceback (most recent call last):
    trigger_lite.sdk.errors.OutOfMemory: the model needs 6 GB
    """
