"""A task with options: one trigger, or many."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, cast

import msgspec

from trigger_lite.protocol.tasks import TriggerOptions
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.idempotency import key_of_item
from trigger_lite.sdk.options import RunOptions, option_tags, trigger_options

if TYPE_CHECKING:
    from trigger_lite.sdk.batch_handle import BatchHandle
    from trigger_lite.sdk.batch_items import Prepared
    from trigger_lite.sdk.errors import SubtaskError
    from trigger_lite.sdk.handle import RunHandle
    from trigger_lite.sdk.result import Err, Ok
    from trigger_lite.sdk.task import Task

P = ParamSpec("P")
R = TypeVar("R")


class Item(msgspec.Struct, Generic[R], frozen=True):
    """One item of a batch. Make one with `task.item(…)` or `task.with_(…).item(…)`.

    >>> resize.batch_trigger([resize.item("https://example.com/cat.png", width=100)])
    BatchHandle('batch_06fd3v', 1 run)
    """

    task: "Task[..., R]"
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: RunOptions


class BoundTask(Generic[P, R]):
    """A task with options for the runs triggered through it; made by `task.with_(…)`.

    >>> later = resize.with_(delay="1h", tags=["cat"])
    >>> handle = later.trigger("https://example.com/cat.png", 100)
    """

    def __init__(self, task: "Task[P, R]", options: RunOptions) -> None:
        self.task = task
        self.options = options

    @property
    def aio(self) -> "AsyncBoundTask[P, R]":
        """Trigger from async code.

        >>> async def start() -> str:
        ...     return (await resize.with_(delay="1h").aio.trigger("https://example.com/cat.png", 100)).id
        """
        return AsyncBoundTask(self)

    def with_(self, **options: Unpack[RunOptions]) -> "BoundTask[P, R]":
        """Return the task with further options; those given before stay unless named again.

        >>> soon = resize.with_(tags=["cat"]).with_(delay="1m")
        """
        trigger_options(f"{self.task.id}.with_()", options)  # says now what is wrong, at this line
        return BoundTask(self.task, cast(RunOptions, {**self.options, **options}))

    def trigger(self, *args: P.args, **kwargs: P.kwargs) -> "RunHandle[R]":
        """Trigger a run with these arguments as its payload; raises like `Task.trigger`.

        >>> handle = resize.with_(key="user_7").trigger("https://example.com/cat.png", 100)
        """
        refuse_in_event_loop(f"{self.task.__name__}.trigger(…)", f"await {self.task.__name__}.aio.trigger(…)")
        return send(self.task, self.task.codec.encode(args, kwargs), self.wire_options(self.options))

    def trigger_and_wait(self, *args: P.args, **kwargs: P.kwargs) -> "Ok[R] | Err[SubtaskError]":
        """Trigger a run as a child of the current one and wait for its end; see `Task.trigger_and_wait`.

        >>> resize.with_(tags=["cat"]).trigger_and_wait("https://example.com/cat.png", 100).unwrap()
        4096
        """
        name = self.task.__name__
        refuse_in_event_loop(f"{name}.trigger_and_wait(…)", f"await {name}.aio.trigger_and_wait(…)")
        from trigger_lite.sdk.children import trigger_and_wait
        from trigger_lite.sdk.waiting import running

        context = running(f"{name}.trigger_and_wait(…)")
        payload = self.task.codec.encode(args, kwargs)
        return trigger_and_wait(context, self.task, payload, self.wire_options(self.options))

    def item(self, *args: P.args, **kwargs: P.kwargs) -> Item[R]:
        """Return one item for `batch_trigger`, with these options.

        >>> item = resize.with_(delay="1h").item("https://example.com/cat.png", 100)
        """
        return Item(cast("Task[..., R]", self.task), args, kwargs, self.options)

    def batch_trigger(self, items: Iterable[Item[R] | Any]) -> "BatchHandle[R]":
        """Trigger a run for each item; see `Task.batch_trigger`.

        >>> handles = resize.with_(tags=["night"]).batch_trigger([("https://example.com/cat.png", 100)])
        """
        name = self.task.__name__
        refuse_in_event_loop(f"{name}.batch_trigger(…)", f"await {name}.aio.batch_trigger(…)")
        from trigger_lite.sdk.batch import trigger_all
        from trigger_lite.sdk.batch_items import cut

        return trigger_all(cut(items, self._prepare))

    def batch_trigger_and_wait(self, items: Iterable[Item[R] | Any]) -> "list[Ok[R] | Err[SubtaskError]]":
        """Trigger a run for each item and wait for all; see `Task.batch_trigger_and_wait`.

        >>> resize.with_(tags=["night"]).batch_trigger_and_wait([("https://example.com/cat.png", 100)])
        [Ok(output=4096, id='run_06fd3v')]
        """
        name = self.task.__name__
        call = f"{name}.batch_trigger_and_wait(…)"
        refuse_in_event_loop(call, f"await {name}.aio.batch_trigger_and_wait(…)")
        from trigger_lite.sdk.batch import wait_for_items
        from trigger_lite.sdk.batch_items import cut

        return wait_for_items(call, cut(items, self._prepare))

    def _prepare(self, number: int, given: Any) -> "Prepared":
        """Return an item of a batch, checked; raises ValueError or TypeError for one that does not fit."""
        from trigger_lite.sdk.batch_items import Prepared

        item = given if isinstance(given, Item) else self._item(given, number)
        text = item.task.codec.encode(item.args, item.kwargs)
        options = cast(RunOptions, {**self.options, **item.options})
        return Prepared(item.task, text, self.wire_options(options))

    def _item(self, given: Any, index: int) -> Item[R]:
        args = given if isinstance(given, tuple) else (given,)
        # One key for all would make them one run.
        key = self.options.get("idempotency_key")
        options = RunOptions() if key is None else RunOptions(idempotency_key=key_of_item(key, index))
        return Item(cast("Task[..., R]", self.task), args, {}, options)

    def wire_options(self, options: RunOptions) -> TriggerOptions:
        """Return options as they are sent, with what the task gives each of its runs."""
        own, merged = self.task.options, dict(options)
        if "priority" in own:
            merged.setdefault("priority", own["priority"])
        if "debounce" in own:
            merged.setdefault("debounce", own["debounce"])
        subject = f"{self.task.id}.trigger"
        if "tags" in own:
            given = options.get("tags", [])
            both = [*option_tags(subject, own["tags"]), *option_tags(subject, given)]
            merged["tags"] = option_tags(subject, both)
        return trigger_options(subject, cast(RunOptions, merged))


class AsyncBoundTask(Generic[P, R]):
    """A task to be triggered from async code. Get one as `task.aio` or `task.with_(…).aio`.

    >>> async def start() -> str:
    ...     return (await resize.aio.trigger("https://example.com/cat.png", 100)).id
    """

    def __init__(self, bound: BoundTask[P, R]) -> None:
        self._bound = bound

    def with_(self, **options: Unpack[RunOptions]) -> "AsyncBoundTask[P, R]":
        """Return the task with options for the runs triggered through it.

        >>> async def start() -> str:
        ...     return (await resize.aio.with_(delay="1h").trigger("https://example.com/cat.png", 100)).id
        """
        return AsyncBoundTask(self._bound.with_(**options))

    async def trigger(self, *args: P.args, **kwargs: P.kwargs) -> "RunHandle[R]":
        """Trigger a run with these arguments as its payload; raises like `Task.trigger`.

        >>> async def start() -> str:
        ...     return (await resize.aio.trigger("https://example.com/cat.png", 100)).id
        """
        return await in_thread(self._bound.trigger, *args, **kwargs)

    async def trigger_and_wait(self, *args: P.args, **kwargs: P.kwargs) -> "Ok[R] | Err[SubtaskError]":
        """Trigger a run as a child of the current one and wait for its end; see `Task.trigger_and_wait`.

        >>> async def thumbnail(url: str) -> int:
        ...     return (await resize.aio.trigger_and_wait(url, 100)).unwrap()
        """
        return await in_thread(self._bound.trigger_and_wait, *args, **kwargs)

    async def batch_trigger(self, items: Iterable[Item[R] | Any]) -> "BatchHandle[R]":
        """Trigger a run for each item; see `Task.batch_trigger`.

        >>> async def start() -> int:
        ...     return len(await resize.aio.batch_trigger([("https://example.com/cat.png", 100)]))
        """
        return await in_thread(self._bound.batch_trigger, items)

    async def batch_trigger_and_wait(
        self, items: Iterable[Item[R] | Any]
    ) -> "list[Ok[R] | Err[SubtaskError]]":
        """Trigger a run for each item and wait for all; see `Task.batch_trigger_and_wait`.

        >>> async def sizes(urls: list[str]) -> list[int]:
        ...     return [result.unwrap() for result in await resize.aio.batch_trigger_and_wait(urls)]
        """
        return await in_thread(self._bound.batch_trigger_and_wait, items)


def send(task: "Task[..., R]", payload: str, options: TriggerOptions) -> "RunHandle[R]":
    """Trigger one run at the configured server."""
    from trigger_lite.sdk.handle import RunHandle
    from trigger_lite.sdk.target import default_client

    handle = default_client().trigger_json(task.id, payload, options)
    return RunHandle(
        handle.id,
        default_client,
        task=task.id,
        is_cached=handle.is_cached,
        returns=lambda: task.returns,
    )
