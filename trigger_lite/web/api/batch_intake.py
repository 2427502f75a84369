"""Items of a batch on their way to the writer: some at once, each with its own outcome (BA-02, BA-13)."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import msgspec
from starlette.requests import ClientDisconnect

from trigger_lite.engine.batch_items import ItemFailure, add_item, check_index, fail_item
from trigger_lite.engine.batch_requests import check_item, task_of
from trigger_lite.engine.batches import seal
from trigger_lite.protocol.batches import MAX_ITEM_BYTES, BatchItem, NamedTrigger, TakenItems
from trigger_lite.protocol.errors import (
    BadRequest,
    BatchRefused,
    DatabaseFailed,
    Refusal,
    ServerBusy,
    TooLarge,
)
from trigger_lite.protocol.run_errors import ErrorCode
from trigger_lite.store.batches import BatchRow
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.store import Store
from trigger_lite.web.ndjson import LineReader, LongLine, read_head

MOST_AT_ONCE: Final = 200
"""Items handed to the writer before the first of them is waited for: they share its commits."""
MOST_BYTES_AT_ONCE: Final = 8_388_608
_NOT_THE_ITEMS_FAULT: Final = (BatchRefused, ServerBusy, DatabaseFailed)
_item_decoder: Final = msgspec.json.Decoder(BatchItem)


class Sent(NamedTuple):
    """An item that the writer has; `outcome` tells whether it was new."""

    idx: int
    task_id: str
    size: int
    outcome: "asyncio.Future[bool]"


class Intake:
    """Takes the items of one batch, in the order they come.

    An item that is refused is recorded as failed. What the batch or the database refuses ends the intake;
    what was taken before stays, and counts when the items are sent again.
    """

    def __init__(self, store: Store, environment: EnvironmentRow, batch: BatchRow, *, source: str) -> None:
        self._store = store
        self._environment = environment
        self._batch = batch
        self._source = source
        self._sent: deque[Sent] = deque()
        self._bytes = 0
        self._accepted = 0
        self._repeated = 0

    async def take_lines(self, pieces: AsyncIterator[bytes]) -> TakenItems:
        """Take every item of an NDJSON body, and seal the batch if it was the last of them.

        Raises BadRequest, TooLarge, BatchRefused, ServerBusy or DatabaseFailed.
        """
        reader = LineReader(MAX_ITEM_BYTES)
        try:
            async for piece in pieces:
                for line in reader.feed(piece):
                    await self._take_line(line)
            for line in reader.end():
                await self._take_line(line)
        except ClientDisconnect:
            raise BadRequest("The request ended before its body did") from None
        finally:
            await self._settle()
        return await self._seal()

    async def take_all(self, items: list[NamedTrigger]) -> TakenItems:
        """Take these items, indexed from 0; otherwise like `take_lines`."""
        try:
            for index, item in enumerate(items):
                await self._take(index, item, size=0)
        finally:
            await self._settle()
        return await self._seal()

    async def _take_line(self, line: bytes | LongLine) -> None:
        if isinstance(line, LongLine):
            await self._refuse_long(line)
        else:
            item = _read_item(line)
            await self._take(item.index, item, size=len(line))

    async def _refuse_long(self, line: LongLine) -> None:
        index, task_id = read_head(line.head)
        message = f"An item has {line.size} bytes; the limit is {MAX_ITEM_BYTES}"
        if index is None:
            raise TooLarge(f"{message}, and this one does not begin with its index")
        check_index(self._batch, index)
        await self._fail(index, ItemFailure(task_id, ErrorCode.PAYLOAD_TOO_LARGE.value, message))

    async def _take(self, index: int, item: NamedTrigger, *, size: int) -> None:
        check_index(self._batch, index)
        try:
            wanted = check_item(item, now=time.time_ns() // 1_000_000, source=self._source)
        except Refusal as refusal:
            await self._fail(index, _failure(task_of(item), refusal))
            return
        await self._make_room(size)
        outcome = self._store.submit(add_item, self._environment, self._batch.id, index, wanted)
        self._sent.append(Sent(index, wanted.task_id, size, outcome))

    async def _fail(self, index: int, failure: ItemFailure) -> None:
        await self._make_room(0)
        outcome = self._store.submit(fail_item, self._environment, self._batch.id, index, failure)
        self._sent.append(Sent(index, failure.task_id, 0, outcome))

    async def _make_room(self, size: int) -> None:
        """Wait until another item of this many bytes may be handed to the writer."""
        while self._sent and (len(self._sent) >= MOST_AT_ONCE or self._bytes + size > MOST_BYTES_AT_ONCE):
            await self._settle_first()
        await self._store.room()
        self._bytes += size

    async def _settle_first(self) -> None:
        """Wait for the outcome of the item that was handed over first."""
        sent = self._sent.popleft()
        self._bytes -= sent.size
        try:
            is_new = await sent.outcome
        except _NOT_THE_ITEMS_FAULT:
            raise
        except Refusal as refusal:
            await self._fail(sent.idx, _failure(sent.task_id, refusal))
            return
        if is_new:
            self._accepted += 1
        else:
            self._repeated += 1

    async def _settle(self) -> None:
        """Wait for all outcomes, and raise the first error among them."""
        first: Exception | None = None
        while self._sent:
            try:
                await self._settle_first()
            except Exception as error:
                first = first or error
        if first is not None:
            raise first

    async def _seal(self) -> TakenItems:
        taken = await self._store.write(seal, self._environment, self._batch.id)
        return msgspec.structs.replace(
            taken, items_accepted=self._accepted, items_deduplicated=self._repeated
        )


def _read_item(line: bytes) -> BatchItem:
    try:
        # As text first: what is not read yet is not looked at for bytes that are no text.
        return _item_decoder.decode(line.decode())
    except msgspec.ValidationError as error:
        raise BadRequest(f"An item needs an index and a task: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"Invalid JSON in an item: {error}") from error


def _failure(task_id: str, refusal: Refusal) -> ItemFailure:
    too_large = isinstance(refusal, TooLarge)
    plain = ErrorCode.PAYLOAD_TOO_LARGE if too_large else ErrorCode.BATCH_ITEM_COULD_NOT_TRIGGER
    return ItemFailure(task_id, refusal.code or plain.value, refusal.message)
