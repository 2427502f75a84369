"""One attempt of a run, in this process."""

import inspect
from typing import Any

from trigger_lite.protocol.execution import Completion, Execution, RetryAt, Usage
from trigger_lite.protocol.run_errors import ErrorCode, InternalError, RunError
from trigger_lite.sdk.channel import RunChannel
from trigger_lite.sdk.context import Ctx, enter_context
from trigger_lite.sdk.decision import (
    AttemptSettings,
    judge,
    retry_decision,
    says_what_is_next,
    settings_from_environment,
    stops_retrying,
)
from trigger_lite.sdk.errors import RunFailed
from trigger_lite.sdk.failure import run_error, stack_trace
from trigger_lite.sdk.hosts import Host
from trigger_lite.sdk.lifecycle import Lifecycle, cancel_error, heard_of_failure, mourn
from trigger_lite.sdk.middleware import MiddlewareFault
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
    """One attempt on its way (AT-24): middleware in, on_start, code, catch, hooks of its end, middleware out.

    `_completion` is how it ended, once that is settled: what comes after may fail and changes nothing.
    """

    def __init__(
        self, task: Task[..., Any], execution: Execution, channel: RunChannel, settings: AttemptSettings
    ) -> None:
        self._task = task
        self._execution = execution
        self._channel = channel
        self._settings = settings
        self._context = Ctx(execution, channel)
        self._completion: Completion | None = None

    def run(self) -> Completion:
        """Decode the payload, run the code, encode the output, and call whom that concerns."""
        lifecycle = Lifecycle(self._task, self._context)
        try:
            with enter_context(self._context):
                try:
                    lifecycle.host.run(lambda _: self._make(lifecycle))
                finally:
                    self._context.metadata_buffer.flush()
        except BaseException as error:  # whatever leaves user code, the run has to hear of it
            return self._failed(error)
        return self._completion or self._failed(lifecycle.host.interruption or SystemExit())

    async def _make(self, lifecycle: Lifecycle) -> None:
        run = self._execution.run
        try:
            bound = self._task.codec.decode(run.payload, run.payload_type)
        except Exception as error:
            self._completion = self._refused(ErrorCode.TASK_INPUT_ERROR, error)
            await mourn(lifecycle, error)
            return
        stack = lifecycle.middleware()
        try:
            await stack.enter()
        except MiddlewareFault as fault:
            self._completion = self._faulty(fault)
            return
        failure = await self._inside(lifecycle, bound)
        left = await stack.leave(failure)
        if left is None:
            return
        if failure is None:
            self._completion = self._faulty(left)
        else:
            lifecycle.report("after the attempt", left)

    async def _inside(self, lifecycle: Lifecycle, bound: inspect.BoundArguments) -> BaseException | None:
        """Run the code and the hooks of its end; return the error, if it failed."""
        value, error = await self._code(lifecycle, bound)
        if self._channel.canceled.is_set():
            self._completion = self._canceled(error)
            await lifecycle.tell("on_complete", cancel_error(self._context))
            return error
        if error is not None:
            return await self._told(lifecycle, error)
        try:
            output, output_type = encode_output(value)
        except Exception as refused:
            self._completion = self._refused(ErrorCode.TASK_OUTPUT_ERROR, refused)
            await lifecycle.failed(refused)
            return refused
        self._completion = self._ended(output=output, output_type=output_type)
        await lifecycle.tell("on_success", value)
        await lifecycle.tell("on_complete", None)
        return None

    async def _code(
        self, lifecycle: Lifecycle, bound: inspect.BoundArguments
    ) -> tuple[Any, BaseException | None]:
        value: Any = None
        error: BaseException | None = None
        try:
            if self._execution.attempt.number == 1:
                await lifecycle.start()
            await lifecycle.begin_code()
            value = self._task.invoke(self._context, bound)
            if inspect.isawaitable(value):
                value, error = await lifecycle.host.code(value)
        except BaseException as raised:
            error = _reason(raised, lifecycle.host)
        try:
            await lifecycle.end_code()
        except BaseException as raised:
            error = error or _reason(raised, lifecycle.host)
        try:
            return value, error
        finally:
            del value, error  # or the error would keep itself, by this frame, until a collector comes

    async def _told(self, lifecycle: Lifecycle, error: BaseException) -> BaseException:
        """Settle what becomes of a failed attempt, and tell the hooks when nothing comes after it."""
        if self._channel.is_ending:  # by SIGTERM: whoever sent that knows why, and tells the hooks if need be
            self._completion = self._failed(error)
            return error
        try:
            answer = None if says_what_is_next(error) else await lifecycle.catch(self._exception(error))
        except BaseException as failure:
            final = self._exception(failure)
            message, stack = f"{type(failure).__name__}: {failure}", stack_trace(failure, self._task.fn)
            broken = InternalError(ErrorCode.HANDLE_ERROR_ERROR, message, stack)
            self._completion = self._ended(error=broken, skipped=True)
        else:
            verdict = judge(error, answer, self._execution, self._task.retry, self._settings)
            final = self._exception(verdict.error)
            stored = run_error(verdict.error, self._task.fn)
            self._completion = self._ended(error=stored, retry=verdict.retry, skipped=verdict.skipped)
        if heard_of_failure(self._completion):
            await lifecycle.failed(final)
        del final
        return error

    # ---- how it may end -------------------------------------------------------------------------------

    def _failed(self, error: BaseException) -> Completion:
        if self._channel.canceled.is_set():
            return self._canceled(error)
        return self._ended(
            error=run_error(error, self._task.fn),
            retry=retry_decision(error, self._execution, self._task.retry, self._settings),
            skipped=stops_retrying(error),
        )

    def _canceled(self, error: BaseException | None) -> Completion:
        trace = None if error is None else stack_trace(error, self._task.fn)
        return self._ended(error=InternalError(ErrorCode.TASK_RUN_CANCELLED, stack_trace=trace))

    def _faulty(self, fault: MiddlewareFault) -> Completion:
        """A middleware raised: its fault, unless it said by the error what is to happen (AT-25)."""
        error = fault.error
        if self._channel.canceled.is_set() or says_what_is_next(error):
            return self._failed(error)
        retry = retry_decision(error, self._execution, self._task.retry, self._settings)
        stored = InternalError(
            ErrorCode.TASK_MIDDLEWARE_ERROR, str(fault), stack_trace(error, fault.middleware)
        )
        return self._ended(error=stored, retry=retry)

    def _refused(self, code: ErrorCode, error: Exception) -> Completion:
        """A payload or an output that does not fit today will not fit at the next attempt (AT-22, AT-25)."""
        message = str(error) or type(error).__name__
        return self._ended(error=InternalError(code, message), skipped=True)

    def _exception(self, error: BaseException) -> Exception:
        """Return the error as hooks are given it."""
        if isinstance(error, Exception):
            return error
        stored = run_error(error, self._task.fn)
        failed = RunFailed(self._execution.run.id, task=self._task.id, status="FAILED", error=stored)
        failed.__cause__ = error
        return failed

    def _ended(
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
            usage=Usage(round(self._context.usage().attempt_seconds * 1000)),
            task_identifier=self._task.id,
        )


def _reason(raised: BaseException, host: Host) -> BaseException:
    """Return why the code was left: for what an event loop that ended cancelled, why it ended."""
    return host.interruption or raised
