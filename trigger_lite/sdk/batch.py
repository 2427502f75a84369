"""Many runs triggered at once, of several tasks."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar, overload

from trigger_lite.sdk.batch_handle import BatchHandle
from trigger_lite.sdk.batch_items import Chunk, Prepared, cut
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.children import ChildResult
from trigger_lite.sdk.context import find_context
from trigger_lite.sdk.errors import DefinitionError
from trigger_lite.sdk.triggering import BoundTask, Item

R = TypeVar("R")
W = TypeVar("W")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
G = TypeVar("G")
H = TypeVar("H")


class Batch(Generic[R, W]):
    """Items of several tasks that are triggered together; made by `batch(…)`.

    >>> batch(double.item(1), resize.item("https://example.com/cat.png")).trigger()
    BatchHandle('batch_06fd3v', 2 runs)
    """

    def __init__(self, items: Iterable[Item[Any]], *, gives: Callable[[list[ChildResult[Any]]], W]) -> None:
        self._items = items
        self._gives = gives

    @property
    def aio(self) -> "AsyncBatch[R, W]":
        """The same for async code.

        >>> async def start() -> int:
        ...     return len(await batch(double.item(1), double.item(2)).aio.trigger())
        """
        return AsyncBatch(self)

    def trigger(self) -> BatchHandle[R]:
        """Trigger a run for each item, and return their handles in the same order.

        Raises BatchError naming the items that were not triggered.

        >>> handles = batch([double.item(number) for number in range(3)]).trigger()
        """
        refuse_in_event_loop("batch(…).trigger()", "await batch(…).aio.trigger()")
        return trigger_all(cut(self._items, _prepare))

    def trigger_and_wait(self) -> W:
        """Trigger a run for each item as a child of the current one, and wait until all are over.

        Returns how each ended, in the order of the items: a tuple for items that were given one by one, a
        list otherwise. Raises like `Task.batch_trigger_and_wait`.

        >>> number, size = batch(double.item(21), resize.item("https://example.com/cat.png")).trigger_and_wait()
        >>> number.unwrap()
        42
        """
        refuse_in_event_loop("batch(…).trigger_and_wait()", "await batch(…).aio.trigger_and_wait()")
        return self._gives(wait_for_items("batch(…).trigger_and_wait()", cut(self._items, _prepare)))


class AsyncBatch(Generic[R, W]):
    """Items of several tasks for async code. Get one as `batch(…).aio`.

    >>> async def start() -> int:
    ...     return len(await batch(double.item(1), double.item(2)).aio.trigger())
    """

    def __init__(self, batch: Batch[R, W]) -> None:
        self._batch = batch

    async def trigger(self) -> BatchHandle[R]:
        """Trigger a run for each item; see `Batch.trigger`.

        >>> async def start() -> int:
        ...     return len(await batch(double.item(1), double.item(2)).aio.trigger())
        """
        return await in_thread(self._batch.trigger)

    async def trigger_and_wait(self) -> W:
        """Trigger a run for each item and wait until all are over; see `Batch.trigger_and_wait`.

        >>> async def add() -> int:
        ...     one, two = await batch(double.item(1), double.item(2)).aio.trigger_and_wait()
        ...     return one.unwrap() + two.unwrap()
        """
        return await in_thread(self._batch.trigger_and_wait)


def trigger_all(chunks: Iterable[Chunk]) -> BatchHandle[Any]:
    """Trigger a run for each item, as children of the current run if there is one."""
    from trigger_lite.sdk.batch_sending import Sent
    from trigger_lite.sdk.target import default_client

    context, sent = find_context(), Sent()
    sent.send(chunks, None if context is None else context.run.id)
    return BatchHandle(sent.ids, [handle for handle in sent.handles if handle is not None], default_client)


def wait_for_items(call: str, chunks: Iterable[Chunk]) -> list[ChildResult[Any]]:
    """Trigger a run for each item as children of the run that makes this `call`, and wait for them."""
    from trigger_lite.sdk.batch_children import wait_for_all
    from trigger_lite.sdk.waiting import running

    return wait_for_all(running(call), chunks)


def _prepare(_number: int, item: Item[Any]) -> Prepared:
    if not isinstance(item, Item):
        raise DefinitionError(f"an item of batch(…) is made by task.item(…), not {item!r}")
    text = item.task.codec.encode(item.args, item.kwargs)
    return Prepared(item.task, text, BoundTask(item.task, item.options).wire_options(item.options))


@overload
def batch(a: Item[A], /) -> Batch[A, tuple[ChildResult[A]]]: ...
@overload
def batch(a: Item[A], b: Item[B], /) -> Batch[A | B, tuple[ChildResult[A], ChildResult[B]]]: ...
@overload
def batch(
    a: Item[A], b: Item[B], c: Item[C], /
) -> Batch[A | B | C, tuple[ChildResult[A], ChildResult[B], ChildResult[C]]]: ...
@overload
def batch(
    a: Item[A], b: Item[B], c: Item[C], d: Item[D], /
) -> Batch[A | B | C | D, tuple[ChildResult[A], ChildResult[B], ChildResult[C], ChildResult[D]]]: ...
@overload
def batch(
    a: Item[A], b: Item[B], c: Item[C], d: Item[D], e: Item[E], /
) -> Batch[
    A | B | C | D | E, tuple[ChildResult[A], ChildResult[B], ChildResult[C], ChildResult[D], ChildResult[E]]
]: ...
@overload
def batch(
    a: Item[A], b: Item[B], c: Item[C], d: Item[D], e: Item[E], f: Item[F], /
) -> Batch[
    A | B | C | D | E | F,
    tuple[ChildResult[A], ChildResult[B], ChildResult[C], ChildResult[D], ChildResult[E], ChildResult[F]],
]: ...
@overload
def batch(
    a: Item[A], b: Item[B], c: Item[C], d: Item[D], e: Item[E], f: Item[F], g: Item[G], /
) -> Batch[
    A | B | C | D | E | F | G,
    tuple[
        ChildResult[A],
        ChildResult[B],
        ChildResult[C],
        ChildResult[D],
        ChildResult[E],
        ChildResult[F],
        ChildResult[G],
    ],
]: ...
@overload
def batch(
    a: Item[A], b: Item[B], c: Item[C], d: Item[D], e: Item[E], f: Item[F], g: Item[G], h: Item[H], /
) -> Batch[
    A | B | C | D | E | F | G | H,
    tuple[
        ChildResult[A],
        ChildResult[B],
        ChildResult[C],
        ChildResult[D],
        ChildResult[E],
        ChildResult[F],
        ChildResult[G],
        ChildResult[H],
    ],
]: ...
@overload
def batch(*items: Item[Any]) -> Batch[Any, tuple[ChildResult[Any], ...]]: ...
@overload
def batch(items: Iterable[Item[R]], /) -> Batch[R, list[ChildResult[R]]]: ...
def batch(*items: Any) -> Batch[Any, Any]:
    """Return items of one or several tasks, to be triggered together.

    Given one by one, up to eight of them keep the type of each result; any iterable is taken as well.

    >>> handles = batch(double.item(21), resize.item("https://example.com/cat.png", 100)).trigger()
    >>> handles = batch(double.item(number) for number in range(3)).trigger()
    """
    if len(items) == 1 and not isinstance(items[0], Item):
        return Batch(items[0], gives=list)
    return Batch(items, gives=tuple)
