"""Items of a batch before they are sent: checked, numbered, cut into batches of what one holds."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trigger_lite.protocol.batches import MAX_ITEMS, BatchItem
from trigger_lite.protocol.tasks import TriggerOptions
from trigger_lite.sdk.payload import JSON

if TYPE_CHECKING:
    from trigger_lite.sdk.task import Task

PIECE_BYTES: Final = 65_536
"""Lines are sent in pieces of about this size."""
_encoder: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Prepared:
    """One item, checked and ready to be sent; `payload` is JSON text."""

    task: "Task[..., Any]"
    payload: str
    options: TriggerOptions


@dataclass(frozen=True, slots=True)
class Chunk:
    """Items of one batch; the first has the number `start` among all. `failed` are those that do not fit."""

    start: int
    items: list[Prepared]
    failed: dict[int, Exception]

    def all_failed(self, error: Exception) -> dict[int, Exception]:
        """Return this error as that of every item."""
        return {self.start + index: error for index in range(len(self.items))}


Prepare = Callable[[int, Any], Prepared]
"""Checks the item of a number; raises ValueError or TypeError for one that does not fit its task."""


def cut(items: Iterable[Any], prepare: Prepare) -> Iterator[Chunk]:
    """Yield the items in the order they come, as many at once as a batch holds; no more are read before."""
    numbered = enumerate(items)
    while rows := list(islice(numbered, MAX_ITEMS)):
        chunk = Chunk(rows[0][0], [], {})
        for number, given in rows:
            try:
                chunk.items.append(prepare(number, given))
            except (ValueError, TypeError) as error:
                chunk.failed[number] = error
        yield chunk


class Lines:
    """The body of a batch's items, written anew each time it is gone through: it may be sent again."""

    def __init__(self, items: Sequence[Prepared]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[bytes]:
        piece = bytearray()
        for index, item in enumerate(self._items):
            piece += _line(index, item)
            if len(piece) >= PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
        if piece:
            yield bytes(piece)


def _line(index: int, item: Prepared) -> bytes:
    # Whose child a run is says the batch, once for all.
    options = msgspec.structs.replace(item.options, payload_type=JSON, parent_run_id=None)
    line = BatchItem(
        index=index,
        task=item.task.id,
        payload=msgspec.Raw(item.payload.encode()),
        options=msgspec.Raw(_encoder.encode(options)),
    )
    return _encoder.encode(line) + b"\n"
