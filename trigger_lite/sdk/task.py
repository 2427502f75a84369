"""A task: a function that can also be triggered."""

import inspect
import os
from collections.abc import Callable, Coroutine, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, Unpack

from trigger_lite.sdk.context import Ctx, find_context
from trigger_lite.sdk.errors import DefinitionError
from trigger_lite.sdk.options import (
    RunOptions,
    TaskOptions,
    check_options,
    option_debounce,
    option_machine,
    option_queue,
    option_seconds,
    option_tags,
    option_ttl,
)
from trigger_lite.sdk.payload import PayloadCodec
from trigger_lite.sdk.queue import Queue
from trigger_lite.sdk.retry import DEFAULT_RETRY, Retry
from trigger_lite.sdk.signature import payload_signature, type_hints
from trigger_lite.sdk.triggering import AsyncBoundTask, BoundTask, Item

if TYPE_CHECKING:
    from trigger_lite.protocol.manifest import QueueManifest, ScheduleManifest, TaskManifest
    from trigger_lite.sdk.batch_handle import BatchHandle
    from trigger_lite.sdk.errors import SubtaskError
    from trigger_lite.sdk.handle import RunHandle
    from trigger_lite.sdk.result import Err, Ok

P = ParamSpec("P")
R = TypeVar("R")
_MAX_ID: Final = 256


class Task(Generic[P, R]):
    """A function that can also be triggered; made by `@task`.

    Called directly it runs here and now, like the function it is. P are the function's parameters
    without `ctx`, R is what it returns.

    >>> @task
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> double(21)
    42
    >>> double.id
    'double'
    """

    trigger_source: "str | None" = None
    schedule: "ScheduleManifest | None" = None

    def __init__(self, fn: Callable[..., Any], options: TaskOptions) -> None:
        self.fn: Final = fn
        self.options: Final = options
        if not inspect.isfunction(inspect.unwrap(fn)):
            raise DefinitionError(f"@task makes a task of a function, not of {fn!r}")
        name: str = getattr(fn, "__name__", "")
        self.id: Final = options.get("id", name)
        _check(self.id, options)
        self.signature, self._ctx_name = payload_signature(fn)
        self._full_signature: Final = inspect.signature(fn)
        self.__name__ = name or self.id
        self.__qualname__ = getattr(fn, "__qualname__", self.id)
        self.__module__ = fn.__module__
        self.__doc__ = fn.__doc__
        self.__wrapped__ = fn
        code = inspect.unwrap(fn).__code__
        self.file_path: Final[str] = code.co_filename
        self.line: Final[int] = code.co_firstlineno
        self.export_name: Final[str] = self.__qualname__

    def __repr__(self) -> str:
        return f"<task {self.id!r} from {self.file_path}:{self.line}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here; a `ctx` that is not given is the current run's, or one of no run."""
        if self._ctx_name is None or self._ctx_name in kwargs or any(isinstance(arg, Ctx) for arg in args):
            result: R = self.fn(*args, **kwargs)
            return result
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        outcome: R = self.invoke(find_context() or self._detached(), bound)
        return outcome

    def invoke(self, context: Ctx, bound: inspect.BoundArguments) -> Any:
        """Call the function with payload arguments and, if it asks for one, a context."""
        arguments = dict(bound.arguments)
        if self._ctx_name is not None:
            arguments[self._ctx_name] = context
        full = inspect.BoundArguments(self._full_signature, arguments)
        return self.fn(*full.args, **full.kwargs)

    def _detached(self) -> Ctx:
        from trigger_lite.protocol.times import iso
        from trigger_lite.sdk.local import LocalChannel, local_execution

        channel = LocalChannel()
        execution = local_execution(
            self.id, self.file_path, self.queue_name, payload="{}", attempt=1, now=iso(0), channel=channel
        )
        return Ctx(execution, channel)

    @property
    def queue_name(self) -> str:
        """The queue its runs wait in, when the trigger names no other.

        >>> double.queue_name
        'task/double'
        """
        queue = self.options.get("queue")
        return option_queue(queue).name if queue is not None else f"task/{self.id}"

    @property
    def retry(self) -> Retry | None:
        """The retry setting given to `@task`, or None.

        >>> double.retry is None
        True
        """
        return self.options.get("retry")

    @cached_property
    def codec(self) -> PayloadCodec:
        """Payload to arguments and back; raises DefinitionError when an annotation cannot be read."""
        return PayloadCodec(self.fn, self.id)

    @cached_property
    def returns(self) -> Any:
        """The type the function says it returns; Any when it does not say."""
        return type_hints(self.fn).get("return", Any)

    @property
    def aio(self) -> "AsyncBoundTask[P, R]":
        """Trigger from async code.

        >>> async def start() -> str:
        ...     return (await double.aio.trigger(21)).id
        """
        return AsyncBoundTask(self._bound)

    @cached_property
    def _bound(self) -> "BoundTask[P, R]":
        return BoundTask(self, RunOptions())

    def trigger(self, *args: P.args, **kwargs: P.kwargs) -> "RunHandle[R]":
        """Trigger a run with these arguments as its payload, and return at once.

        Raises PayloadError, NotConfigured, ConnectionFailed or ApiError; nothing was triggered then.

        >>> handle = double.trigger(21)
        >>> handle.result()
        42
        """
        return self._bound.trigger(*args, **kwargs)

    def trigger_and_wait(self, *args: P.args, **kwargs: P.kwargs) -> "Ok[R] | Err[SubtaskError]":
        """Trigger a run as a child of the current one, wait for its end, and return how it ended.

        Meanwhile this run's slot is free, its process is kept. Raises OutsideRun where there is no run,
        RunCanceled when this run is cancelled, ParkedMemoryFull when its worker has no memory for one more
        that waits, and what `trigger` raises.

        >>> @task
        ... def quadruple(number: int) -> int:
        ...     return 2 * double.trigger_and_wait(number).unwrap()
        >>> run_inline(quadruple, 21).unwrap()
        84
        """
        return self._bound.trigger_and_wait(*args, **kwargs)

    def with_(self, **options: Unpack[RunOptions]) -> "BoundTask[P, R]":
        """Return this task with options for the runs triggered through it.

        Raises UnknownOption or DefinitionError for an option that is wrong.

        >>> handle = double.with_(delay="1h", tags=["org_42"]).trigger(21)
        """
        return self._bound.with_(**options)

    def item(self, *args: P.args, **kwargs: P.kwargs) -> "Item[R]":
        """Return one item for `batch_trigger`, its arguments checked like those of a call.

        >>> handles = double.batch_trigger([double.item(1), double.with_(delay="1h").item(2)])
        """
        return self._bound.item(*args, **kwargs)

    def batch_trigger(self, items: "Iterable[Item[R] | Any]") -> "BatchHandle[R]":
        """Trigger a run for each item, and return their handles in the same order.

        An item is the one argument, a tuple of the arguments, or `task.item(…)`. Items may be a generator;
        each 1,000 are checked and sent together. Raises BatchError naming the items that were not triggered.

        >>> handles = double.batch_trigger([1, 2, 3])
        >>> [handle.result() for handle in handles]
        [2, 4, 6]
        """
        return self._bound.batch_trigger(items)

    def batch_trigger_and_wait(self, items: "Iterable[Item[R] | Any]") -> "list[Ok[R] | Err[SubtaskError]]":
        """Trigger a run for each item as a child of the current one, and wait until all are over.

        Returns how each ended, in the order of the items: `Ok(output)`, or `Err` with a SubtaskError.
        Meanwhile the current run's slot is free. Items beyond 1,000 are triggered when those before are over.
        Raises BatchError when items were not triggered; then nothing is waited for.

        >>> [result.unwrap() for result in double.batch_trigger_and_wait([1, 2, 3])]
        [2, 4, 6]
        """
        return self._bound.batch_trigger_and_wait(items)

    def manifest(self) -> "TaskManifest":
        """Return what a worker registers; raises DefinitionError for a type JSON has no words for.

        >>> double.manifest().payload_schema["properties"]
        {'number': {'type': 'integer'}}
        """
        from trigger_lite.protocol.manifest import MachineManifest, TaskManifest

        options, subject = self.options, f"@task {self.id}"
        machine, ttl = options.get("machine"), options.get("ttl")
        duration = options.get("max_duration")
        return TaskManifest(
            id=self.id,
            file_path=_relative(self.file_path),
            export_name=self.export_name,
            description=options.get("description") or _first_line(self.fn),
            queue=self._queue_manifest(),
            retry=(self.retry or DEFAULT_RETRY).config(),
            machine=MachineManifest(preset=machine) if machine else None,
            max_duration=None if duration is None else option_seconds(subject, "max_duration", duration),
            ttl=None if ttl is None else option_ttl(subject, ttl),
            trigger_source=self.trigger_source,
            schedule=self.schedule,
            payload_schema=self.codec.schema(),
        )

    def _queue_manifest(self) -> "QueueManifest | None":
        from trigger_lite.protocol.manifest import QueueManifest

        queue = self.options.get("queue")
        if queue is not None:
            return option_queue(queue).manifest()
        concurrency = self.options.get("concurrency")
        return None if concurrency is None else QueueManifest(concurrency_limit=concurrency)


class AsyncTask(Task[P, R]):
    """A task made of an `async def`; calling it gives a coroutine, its runs return what that returns.

    >>> @task
    ... async def double(number: int) -> int:
    ...     return 2 * number
    >>> asyncio.run(double(21))
    42
    """

    # R is what a run returns, and that is not the coroutine.
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]
        """Return the coroutine of the function."""
        coroutine: Any = super().__call__(*args, **kwargs)
        checked: Coroutine[Any, Any, R] = coroutine
        return checked


def _check(task_id: str, options: TaskOptions) -> None:
    if not 1 <= len(task_id) <= _MAX_ID or task_id == "<lambda>":
        raise DefinitionError(f'@task: {task_id!r} is no name; give one: @task(id="…")')
    subject = f"@task {task_id}"
    check_options(subject, options, TaskOptions)
    if options.get("queue") is not None and options.get("concurrency") is not None:
        raise DefinitionError(f"{subject}: give the concurrency to the queue: queue(…, concurrency=…)")
    retry: object = options.get("retry", DEFAULT_RETRY)
    if not isinstance(retry, Retry):
        raise DefinitionError(f"{subject}: retry must be Retry(…), not {retry!r}")
    for name in ("max_duration", "ttl", "priority"):
        if name in options:
            option_seconds(subject, name, options.get(name, 0))
    if "machine" in options:
        option_machine(subject, options["machine"])
    if "tags" in options:
        option_tags(subject, options["tags"])
    option_debounce(subject, options.get("debounce"))
    if "queue" in options:
        option_queue(options["queue"])
    if "concurrency" in options:
        Queue("concurrency", concurrency=options["concurrency"])
    if "hooks" in options:
        _check_hooks(subject, options["hooks"])


def _check_hooks(subject: str, given: object) -> None:
    from trigger_lite.sdk.hooks import Hooks

    if not isinstance(given, Hooks):
        raise DefinitionError(f"{subject}: hooks must be Hooks(…), not {given!r}")


def _relative(path: str) -> str:
    here = os.path.join(os.getcwd(), "")
    return path.removeprefix(here).replace(os.sep, "/")


def _first_line(fn: Callable[..., Any]) -> str | None:
    text = inspect.cleandoc(fn.__doc__ or "")
    return text.partition("\n")[0] or None
