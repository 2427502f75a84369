"""Hooks: functions called at the turns of a run's life, for one task or for all (AT-23, AT-24).

on_start      before the code of the first attempt; an error in it fails the attempt
on_wait       the run begins to wait; its process stays, its slot is free
on_resume     the wait is over
catch         an attempt failed: say what happens next, or name another error
on_success    the run ended with an output
on_failure    the run failed and is not tried again. After a crash or a timeout too: then in a fresh process,
              with the middleware entered anew, and as long as the worker lives
on_cancel     somebody asked the run to stop; heard beside the running code, before its process is ended
on_complete   the run is over: heard last, whatever it ended with

Hooks run inside the middleware. What goes wrong in one is logged and changes nothing, `on_start` and `catch`
aside. Global hooks come first, in the order they were defined, then the task's own; for `catch` it is the
other way round. Hooks may be `async def` for any task; for a blocking one each is run to its end in turn.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from trigger_lite.sdk.context import Ctx
from trigger_lite.sdk.decision import CatchAnswer
from trigger_lite.sdk.errors import DefinitionError
from trigger_lite.sdk.middleware import Middleware, check_middleware

if TYPE_CHECKING:
    from trigger_lite.sdk.task import Task

ContextHook = Callable[[Ctx], object]
SuccessHook = Callable[[Any, Ctx], object]
FailureHook = Callable[[Exception, Ctx], object]
CompleteHook = Callable[[Exception | None, Ctx], object]
CatchHook = Callable[[Exception, Ctx], CatchAnswer | Awaitable[CatchAnswer]]

F = TypeVar("F", bound=Callable[..., Any])
ContextFn = TypeVar("ContextFn", bound=ContextHook)
SuccessFn = TypeVar("SuccessFn", bound=SuccessHook)
FailureFn = TypeVar("FailureFn", bound=FailureHook)
CompleteFn = TypeVar("CompleteFn", bound=CompleteHook)
CatchFn = TypeVar("CatchFn", bound=CatchHook)

_PARAMETERS: Final = {
    "on_start": ("ctx",),
    "on_wait": ("ctx",),
    "on_resume": ("ctx",),
    "on_cancel": ("ctx",),
    "on_success": ("output", "ctx"),
    "on_failure": ("error", "ctx"),
    "on_complete": ("error", "ctx"),
    "catch": ("error", "ctx"),
}


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """Functions called at the turns of one task's runs; `middleware` are generators around each attempt.

    `output` is what the task returned. `error` is the exception that left the task, or a RunFailed when none
    did, as after a crash; for `on_complete` it is None when the run has an output. `catch` may return
    RetryAt, RetryAfter, AbortTaskRun, another exception, a Retry, or None to leave things as they are.

    >>> def refund(error: Exception, ctx: Ctx) -> None:
    ...     log.error("refunding", run=ctx.run.id, reason=str(error))
    >>> @task(hooks=Hooks(on_failure=refund))
    ... def ship(order: int) -> None: ...
    """

    on_start: ContextHook | None = None
    on_wait: ContextHook | None = None
    on_resume: ContextHook | None = None
    on_success: SuccessHook | None = None
    on_failure: FailureHook | None = None
    on_cancel: ContextHook | None = None
    on_complete: CompleteHook | None = None
    catch: CatchHook | None = None
    middleware: Sequence[Middleware] = ()

    def __post_init__(self) -> None:
        for event in _PARAMETERS:
            fn = getattr(self, event)
            if fn is not None:
                check_hook(event, fn)
        if not isinstance(self.middleware, list | tuple):
            raise DefinitionError(
                f"Hooks(middleware={self.middleware!r}): give a list of generator functions"
            )
        for generator in self.middleware:
            check_middleware(generator)


class GlobalHooks:
    """Registers hooks of every task; written in `init.py`, in the order they are to run.

    >>> @hooks.on_failure
    ... def tell_somebody(error: Exception, ctx: Ctx) -> None:
    ...     log.error("a run failed", task=ctx.task.id, run=ctx.run.id, reason=str(error))
    """

    def __init__(self) -> None:
        self._functions: dict[str, list[Callable[..., Any]]] = {event: [] for event in _PARAMETERS}

    def on_start(self, fn: ContextFn) -> ContextFn:
        """Call `fn(ctx)` before the first attempt of every run; an error in it fails the attempt.

        >>> @hooks.on_start
        ... def note_start(ctx: Ctx) -> None:
        ...     ctx.tags.add("started")
        """
        return self._add("on_start", fn)

    def on_wait(self, fn: ContextFn) -> ContextFn:
        """Call `fn(ctx)` when a run begins to wait.

        >>> @hooks.on_wait
        ... def note_wait(ctx: Ctx) -> None:
        ...     log.info("waiting", run=ctx.run.id)
        """
        return self._add("on_wait", fn)

    def on_resume(self, fn: ContextFn) -> ContextFn:
        """Call `fn(ctx)` when the wait of a run is over.

        >>> @hooks.on_resume
        ... def note_resume(ctx: Ctx) -> None:
        ...     log.info("going on", run=ctx.run.id)
        """
        return self._add("on_resume", fn)

    def on_success(self, fn: SuccessFn) -> SuccessFn:
        """Call `fn(output, ctx)` when a run has ended with an output.

        >>> @hooks.on_success
        ... def note_output(output: object, ctx: Ctx) -> None:
        ...     log.info("done", output=output)
        """
        return self._add("on_success", fn)

    def on_failure(self, fn: FailureFn) -> FailureFn:
        """Call `fn(error, ctx)` when a run has failed for good, by a crash or a timeout too.

        >>> @hooks.on_failure
        ... def tell_somebody(error: Exception, ctx: Ctx) -> None:
        ...     log.error("a run failed", task=ctx.task.id, run=ctx.run.id, reason=str(error))
        """
        return self._add("on_failure", fn)

    def on_cancel(self, fn: ContextFn) -> ContextFn:
        """Call `fn(ctx)` when somebody asks a run to stop, while its code runs.

        >>> @hooks.on_cancel
        ... def note_cancel(ctx: Ctx) -> None:
        ...     log.info("stopping", run=ctx.run.id)
        """
        return self._add("on_cancel", fn)

    def on_complete(self, fn: CompleteFn) -> CompleteFn:
        """Call `fn(error, ctx)` when a run is over; `error` is None when it has an output.

        >>> @hooks.on_complete
        ... def note_end(error: Exception | None, ctx: Ctx) -> None:
        ...     log.info("over", ok=error is None)
        """
        return self._add("on_complete", fn)

    def catch(self, fn: CatchFn) -> CatchFn:
        """Ask `fn(error, ctx)` what happens after a failed attempt, when the task's own hook does not say.

        >>> @hooks.catch
        ... def wait_for_the_bank(error: Exception, ctx: Ctx) -> RetryAfter | None:
        ...     return RetryAfter("1h") if "maintenance" in str(error) else None
        """
        return self._add("catch", fn)

    def _add(self, event: str, fn: F) -> F:
        check_hook(event, fn)
        self._functions[event].append(fn)
        return fn

    def all(self, event: str) -> Sequence[Callable[..., Any]]:
        """Return the functions registered for an event, in order."""
        return self._functions[event]

    def clear(self) -> None:
        """Forget everything that was registered."""
        for functions in self._functions.values():
            functions.clear()


hooks: Final = GlobalHooks()
"""The one registry of this process: importing `init.py` fills it."""


def check_hook(event: str, fn: Any) -> None:
    """Raise DefinitionError unless `fn` can be called with what this event gives."""
    names = _PARAMETERS[event]
    shape = f"def {event}({', '.join(names)})"
    if not callable(fn):
        raise DefinitionError(f"{event}: {fn!r} is no function; write `{shape}`")
    try:
        signature = inspect.signature(fn)
    except ValueError:
        return  # a built-in one that does not say
    try:
        signature.bind(*names)
    except TypeError as error:
        raise DefinitionError(f"{event}: {error}; write `{shape}`") from None


def hooks_of(task: "Task[..., Any]", event: str) -> Iterator[Callable[..., Any]]:
    """Return the functions to call for an event of a task's run, in order."""
    own = getattr(task.options.get("hooks"), event, None)
    mine = () if own is None else (own,)
    everyones = hooks.all(event)
    yield from (*mine, *everyones) if event == "catch" else (*everyones, *mine)
