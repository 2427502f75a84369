"""`@task`, typed so that `.trigger(…)` has exactly the function's parameters without `ctx`.

A type checker can take a first parameter off a signature, so `ctx` as the first one keeps everything: names
and defaults. As the last one of up to four, the others are known by position. The protocols below name the
parameter `ctx`, which is how a checker tells a context from a first parameter that takes any object.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from trigger_lite.sdk.context import Ctx
from trigger_lite.sdk.options import TaskOptions, check_options
from trigger_lite.sdk.registry import registry
from trigger_lite.sdk.signature import is_async
from trigger_lite.sdk.task import AsyncTask, Task

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
Out = TypeVar("Out", covariant=True)
InA = TypeVar("InA", contravariant=True)
InB = TypeVar("InB", contravariant=True)
InC = TypeVar("InC", contravariant=True)


class ContextFirst(Protocol[P, Out]):
    """A function whose first parameter is `ctx: Ctx`."""

    def __call__(self, ctx: Ctx, *args: P.args, **kwargs: P.kwargs) -> Out:
        """Run the task."""
        ...


class ContextSecond(Protocol[InA, Out]):
    """A function of one parameter and `ctx: Ctx`."""

    def __call__(self, a: InA, /, ctx: Ctx) -> Out:
        """Run the task."""
        ...


class ContextThird(Protocol[InA, InB, Out]):
    """A function of two parameters and `ctx: Ctx`."""

    def __call__(self, a: InA, b: InB, /, ctx: Ctx) -> Out:
        """Run the task."""
        ...


class ContextFourth(Protocol[InA, InB, InC, Out]):
    """A function of three parameters and `ctx: Ctx`."""

    def __call__(self, a: InA, b: InB, c: InC, /, ctx: Ctx) -> Out:
        """Run the task."""
        ...


class TaskDecorator:
    """Makes a function a task. `task` is one without options; called with options it returns another.

    >>> @task
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> @task(retry=Retry(5), max_duration="10m")
    ... def sync_contacts(ctx: Ctx, org: str) -> str:
    ...     return f"{org}, attempt {ctx.attempt.number}"
    >>> double(21)
    42
    """

    def __init__(self, options: TaskOptions) -> None:
        self._options: Final = options

    @overload
    def __call__(self, fn: ContextFirst[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, fn: ContextFirst[P, R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: ContextSecond[A, Coroutine[Any, Any, R]], /) -> AsyncTask[[A], R]: ...
    @overload
    def __call__(self, fn: ContextSecond[A, R], /) -> Task[[A], R]: ...
    @overload
    def __call__(self, fn: ContextThird[A, B, Coroutine[Any, Any, R]], /) -> AsyncTask[[A, B], R]: ...
    @overload
    def __call__(self, fn: ContextThird[A, B, R], /) -> Task[[A, B], R]: ...
    @overload
    def __call__(self, fn: ContextFourth[A, B, C, Coroutine[Any, Any, R]], /) -> AsyncTask[[A, B, C], R]: ...
    @overload
    def __call__(self, fn: ContextFourth[A, B, C, R], /) -> Task[[A, B, C], R]: ...
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: None = None, /, **options: Unpack[TaskOptions]) -> "TaskDecorator": ...
    def __call__(self, fn: Any = None, /, **options: Any) -> Any:
        """Return the task of a function, or a decorator with these options.

        Raises UnknownOption or DefinitionError for an option or a signature that is wrong.
        """
        check_options("@task", options, TaskOptions)
        merged = cast(TaskOptions, {**self._options, **options})
        if fn is None:
            return TaskDecorator(merged)
        made: Task[..., Any] = (AsyncTask if is_async(fn) else Task)(fn, merged)
        registry.add(made)
        return made


task: Final = TaskDecorator(TaskOptions())
"""Makes a function a task, bare or with options."""
