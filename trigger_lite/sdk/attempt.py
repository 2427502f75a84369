"""One attempt of a run, in this process."""

import inspect
import time
from typing import Any

from trigger_lite.protocol.execution import Completion, Execution, RetryAt, Usage
from trigger_lite.protocol.run_errors import ErrorCode, InternalError, RunError
from trigger_lite.sdk.channel import RunChannel
from trigger_lite.sdk.context import Ctx, enter_context
from trigger_lite.sdk.decision import (
    AttemptSettings,
    retry_decision,
    settings_from_environment,
    stops_retrying,
)
from trigger_lite.sdk.failure import run_error, stack_trace
from trigger_lite.sdk.output import encode_output
from trigger_lite.sdk.task import Task


def run_attempt(
    task: Task[..., Any],
    execution: Execution,
    channel: RunChannel,
    *,
    settings: AttemptSettings | None = None,
) -> Completion:
    """Run the task's code once in this process and return how it went. Never raises.

    Blocks; the thread must not run an event loop. Without `settings` those of the environment are used.
    """
    attempt = Attempt(task, execution, channel, settings or settings_from_environment())
    return attempt.run()


class Attempt:
    """One attempt on its way."""

    def __init__(
        self, task: Task[..., Any], execution: Execution, channel: RunChannel, settings: AttemptSettings
    ) -> None:
        self._task = task
        self._execution = execution
        self._channel = channel
        self._settings = settings
        self._started = time.monotonic()

    def run(self) -> Completion:
        """Decode the payload, run the code, encode the output."""
        run = self._execution.run
        try:
            bound = self._task.codec.decode(run.payload, run.payload_type)
        except Exception as error:
            return self._refused(ErrorCode.TASK_INPUT_ERROR, error)
        try:
            value = self._call(bound)
        except BaseException as error:  # whatever leaves user code, the run has to hear of it
            return self._failed(error)
        try:
            output, output_type = encode_output(value)
        except Exception as error:
            return self._refused(ErrorCode.TASK_OUTPUT_ERROR, error)
        return self._completion(output=output, output_type=output_type)

    def _call(self, bound: inspect.BoundArguments) -> Any:
        context = Ctx(self._execution, self._channel)
        with enter_context(context):
            try:
                value = self._task.invoke(context, bound)
                if inspect.isawaitable(value):
                    import asyncio

                    value = asyncio.run(_awaited(value))
            finally:
                context.metadata_buffer.flush()
        return value

    def _failed(self, error: BaseException) -> Completion:
        if self._channel.canceled.is_set():
            stopped = InternalError(
                ErrorCode.TASK_RUN_CANCELLED, stack_trace=stack_trace(error, self._task.fn)
            )
            return self._completion(error=stopped)
        return self._completion(
            error=run_error(error, self._task.fn),
            retry=retry_decision(error, self._execution, self._task.retry, self._settings),
            skipped=stops_retrying(error),
        )

    def _refused(self, code: ErrorCode, error: Exception) -> Completion:
        """A payload or an output that does not fit today will not fit at the next attempt (AT-22, AT-25)."""
        message = str(error) or type(error).__name__
        return self._completion(error=InternalError(code, message), skipped=True)

    def _completion(
        self,
        *,
        output: str | None = None,
        output_type: str | None = None,
        error: RunError | None = None,
        retry: RetryAt | None = None,
        skipped: bool = False,
    ) -> Completion:
        return Completion(
            ok=error is None,
            id=self._execution.run.id,
            output=output,
            output_type=output_type,
            error=error,
            retry=retry,
            skipped_retrying=skipped or None,
            usage=Usage(round((time.monotonic() - self._started) * 1000)),
            task_identifier=self._task.id,
        )


async def _awaited(value: Any) -> Any:
    return await value
