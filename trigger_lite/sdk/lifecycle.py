"""The turns of one attempt at which others are heard: hooks, in the order of engine-behaviours AT-24."""

import traceback
from typing import TYPE_CHECKING, Any

from trigger_lite.protocol.run_errors import (
    OUT_OF_MEMORY,
    RETRIED_BY_SERVER,
    ErrorCode,
    InternalError,
    RunError,
    StringError,
    final_status,
)
from trigger_lite.protocol.statuses import api_status
from trigger_lite.sdk.context import Ctx, enter_context
from trigger_lite.sdk.decision import CatchAnswer
from trigger_lite.sdk.errors import DefinitionError, OutsideRun, RunCanceled, RunFailed
from trigger_lite.sdk.hooks import hooks_of
from trigger_lite.sdk.hosts import Host, host_of
from trigger_lite.sdk.middleware import MiddlewareFault, MiddlewareStack, middleware
from trigger_lite.sdk.retry import Retry
from trigger_lite.sdk.task import AsyncTask, Task

if TYPE_CHECKING:
    from trigger_lite.protocol.execution import Completion, Execution
    from trigger_lite.sdk.channel import RunChannel

_JUDGED_BY_SERVER = OUT_OF_MEMORY | RETRIED_BY_SERVER | {ErrorCode.MAX_DURATION_EXCEEDED}


class Lifecycle:
    """One attempt of a run as its hooks see it."""

    def __init__(self, task: Task[..., Any], context: Ctx) -> None:
        self._task = task
        self.context = context
        self.host: Host = host_of(is_async=isinstance(task, AsyncTask))
        self.is_over = False
        """Whether the run is: what its hooks do then is no part of it."""
        self._is_listening = False
        context.lifecycle = self

    def middleware(self) -> MiddlewareStack:
        """Return what is around this attempt, not yet entered: everybody's, then the task's own."""
        own = self._task.options.get("hooks")
        functions = (*middleware.all(), *(own.middleware if own is not None else ()))
        return MiddlewareStack(self.host, self.context, functions)

    def hears(self, *events: str) -> bool:
        """Tell whether any hook listens to one of these events."""
        return any(True for event in events for _ in hooks_of(self._task, event))

    async def start(self) -> None:
        """The first attempt begins; raises what the hooks raise."""
        for hook in hooks_of(self._task, "on_start"):
            await self.host.settle(hook(self.context))

    async def catch(self, error: Exception) -> CatchAnswer:
        """Return the first answer to a failed attempt; raises what the hooks raise (AT-23)."""
        for hook in hooks_of(self._task, "catch"):
            answer = await self.host.settle(hook(error, self.context))
            if answer is not None:
                if not isinstance(answer, Exception | Retry):
                    raise DefinitionError(
                        f"catch returned {answer!r}; return RetryAt(…), RetryAfter(…), AbortTaskRun(…), "
                        f"another exception, Retry(…) or None"
                    )
                return answer
        return None

    async def failed(self, error: Exception) -> None:
        """The run failed for good."""
        await self.tell("on_failure", error)
        await self.tell("on_complete", error)

    async def tell(self, event: str, *given: Any, host: Host | None = None) -> None:
        """Call the hooks of an event with `given` and the context; what they raise is logged (AT-24)."""
        for hook in hooks_of(self._task, event):
            try:
                await (host or self.host).settle(hook(*given, self.context))
            except BaseException as error:  # an exit in a hook is no way to change the run's outcome
                self.report(f"{event} hook {getattr(hook, '__name__', hook)} failed", error)

    def report(self, what: str, error: BaseException) -> None:
        """Log what went wrong beside the task's code."""
        trace = "".join(traceback.format_exception(error))
        self.context.log("ERROR", f"{what}: {type(error).__name__}: {error}", {"exception": trace})

    # ---- a cancel while the code runs ----

    async def begin_code(self) -> None:
        """From here on a cancel gives `on_cancel` its turn; raises RunCanceled when it came before that."""
        if self.context.channel.canceled.listen(self._canceled):
            self._is_listening = True
            return
        await self.tell("on_cancel")
        raise cancel_error(self.context)

    async def end_code(self) -> None:
        """The code has ended; `on_cancel`, once begun, may finish, unless this process has to end."""
        if not self._is_listening:
            return
        self._is_listening = False
        channel = self.context.channel
        if not channel.canceled.unlisten(self._canceled) and not channel.is_ending:
            await self.host.join()

    def _canceled(self) -> None:
        self.host.beside(lambda host: self.tell("on_cancel", host=host))


def waiting(context: Ctx) -> None:
    """The run begins to wait: call its hooks. Blocks, so in any thread but one that runs an event loop.

    Raises OutsideRun in hooks that hear of a crash.
    """
    if context.lifecycle is not None and context.lifecycle.is_over:
        raise OutsideRun("the run is over, so its hooks cannot wait in it")
    _tell(context, "on_wait")


def resumed(context: Ctx) -> None:
    """The wait of the run is over: call its hooks, like `waiting`."""
    _tell(context, "on_resume")


def _tell(context: Ctx, event: str) -> None:
    lifecycle = context.lifecycle
    if lifecycle is not None and lifecycle.hears(event):
        lifecycle.host.call(lambda host: lifecycle.tell(event, host=host))


def cancel_error(context: Ctx) -> RunCanceled:
    """Return the error of code that stops because its run was cancelled."""
    reason = StringError("somebody asked it to stop")
    return RunCanceled(context.run.id, task=context.task.id, status="CANCELED", error=reason)


def heard_of_failure(completion: "Completion") -> bool:
    """Tell whether the attempt that ended like this told its hooks so, if it failed for good.

    It tells only what is certain. Whether another attempt follows a fault of a middleware, a lack of memory
    or the end of the process is for the server to say (AT-14, AT-17), which may also refuse a retry.
    """
    error = completion.error
    code = error.code if isinstance(error, InternalError) else None
    return completion.retry is None and code not in _JUDGED_BY_SERVER


def tell_failure(
    task: Task[..., Any], execution: "Execution", channel: "RunChannel", failure: RunError
) -> None:
    """Call `on_failure` and `on_complete` for a run whose own process could not. Never raises."""
    context = Ctx(execution, channel)
    lifecycle = Lifecycle(task, context)
    lifecycle.is_over = True
    status = api_status(final_status(failure, is_dev=execution.environment.type == "DEVELOPMENT"))
    error = RunFailed(execution.run.id, task=task.id, status=status.value, error=failure)
    with enter_context(context):
        try:
            lifecycle.host.run(lambda _: mourn(lifecycle, error))
            context.metadata_buffer.flush()
        except BaseException as fault:
            lifecycle.report("telling the hooks that the run failed", fault)


async def mourn(lifecycle: Lifecycle, error: Exception) -> None:
    """Tell the hooks, inside the middleware, about a failure outside of it.

    A fault of the middleware does not silence them: they may be how somebody hears of it.
    """
    if not lifecycle.hears("on_failure", "on_complete"):
        return
    stack = lifecycle.middleware()
    try:
        await stack.enter()
    except MiddlewareFault as fault:
        lifecycle.report("the failure hooks run without middleware", fault)
    await lifecycle.failed(error)
    left = await stack.leave(None)
    if left is not None:
        lifecycle.report("after the failure hooks", left)
