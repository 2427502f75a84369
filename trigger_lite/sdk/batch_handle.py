"""The runs of a batch that was triggered."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar, overload
from urllib.parse import quote

import msgspec

from trigger_lite.protocol.batches import BatchStatus, BatchSummary
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.handle import RunHandle

if TYPE_CHECKING:
    from trigger_lite.sdk.client import Client

R = TypeVar("R")
# The least advanced of several batches says how far they are together.
_ADVANCE: Final = (
    BatchStatus.PROCESSING,
    BatchStatus.PENDING,
    BatchStatus.PARTIAL_FAILED,
    BatchStatus.ABORTED,
    BatchStatus.COMPLETED,
)


class BatchProgress(msgspec.Struct, frozen=True):
    """How far a batch is: of `total` items `finished` have a run that is over, `failed` never became one.

    `status` is "PENDING" or "PARTIAL_FAILED" while runs go on, "COMPLETED" when all are over, and "ABORTED"
    when none became a run.

    >>> double.batch_trigger([1, 2, 3]).status()
    BatchProgress(status='COMPLETED', total=3, finished=3, failed=0)
    """

    status: str
    total: int
    finished: int
    failed: int

    @property
    def is_over(self) -> bool:
        """Whether no run goes on.

        >>> double.batch_trigger([1, 2, 3]).status().is_over
        True
        """
        return self.finished + self.failed == self.total


class BatchHandle(Sequence[RunHandle[R]], Generic[R]):
    """The runs of a batch that was triggered, in the order of its items.

    `id` is the batch's id. Items beyond the 1,000 that a batch holds are in further batches: `ids` are all.

    >>> handles = double.batch_trigger([1, 2, 3])
    >>> handles
    BatchHandle('batch_06fd3v', 3 runs)
    >>> handles[0].result()
    2
    """

    def __init__(
        self, ids: Sequence[str], runs: Sequence[RunHandle[R]], find_client: "Callable[[], Client]"
    ) -> None:
        self.ids = list(ids)
        self.runs = list(runs)
        self._find_client = find_client

    @property
    def id(self) -> str:
        """The id of the batch, or of the first; empty when there were no items.

        >>> double.batch_trigger([1, 2, 3]).id
        'batch_06fd3v'
        """
        return self.ids[0] if self.ids else ""

    @property
    def aio(self) -> "AsyncBatchHandle[R]":
        """The same for async code.

        >>> async def is_over() -> bool:
        ...     handles = await double.aio.batch_trigger([1, 2, 3])
        ...     return (await handles.aio.status()).is_over
        """
        return AsyncBatchHandle(self)

    def status(self) -> BatchProgress:
        """Return how far the batch is now.

        >>> double.batch_trigger([1, 2, 3]).status().finished
        3
        """
        refuse_in_event_loop("batch.status()", "await batch.aio.status()")
        client = self._find_client()
        paths = [f"/api/v2/batches/{quote(id_, safe='')}" for id_ in self.ids]
        found = [client.request("GET", path, BatchSummary) for path in paths]
        least = min((BatchStatus(batch.status) for batch in found), key=_ADVANCE.index, default=_ADVANCE[-1])
        return BatchProgress(
            least.value,
            total=sum(batch.run_count for batch in found),
            finished=sum(batch.finished for batch in found),
            failed=sum(batch.failed for batch in found),
        )

    def __repr__(self) -> str:
        return f"BatchHandle({self.id!r}, {len(self)} {'run' if len(self) == 1 else 'runs'})"

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[RunHandle[R]]:
        return iter(self.runs)

    @overload
    def __getitem__(self, index: int) -> RunHandle[R]: ...
    @overload
    def __getitem__(self, index: slice) -> list[RunHandle[R]]: ...
    def __getitem__(self, index: int | slice) -> RunHandle[R] | list[RunHandle[R]]:
        return self.runs[index]


class AsyncBatchHandle(Generic[R]):
    """A batch for async code. Get one as `handles.aio`.

    >>> async def finished() -> int:
    ...     handles = await double.aio.batch_trigger([1, 2, 3])
    ...     return (await handles.aio.status()).finished
    """

    def __init__(self, handle: BatchHandle[R]) -> None:
        self._handle = handle

    async def status(self) -> BatchProgress:
        """Return how far the batch is now.

        >>> async def finished() -> int:
        ...     handles = await double.aio.batch_trigger([1, 2, 3])
        ...     return (await handles.aio.status()).finished
        """
        return await in_thread(self._handle.status)
