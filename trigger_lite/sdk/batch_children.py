"""Many runs that a run triggers and waits for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from trigger_lite.protocol.run_errors import RunError, StringError, api_error
from trigger_lite.protocol.waitpoints import CompletedWaitpoint, WaitpointKind
from trigger_lite.sdk.batch_items import Chunk
from trigger_lite.sdk.batch_sending import Sending
from trigger_lite.sdk.children import ChildResult, child_result
from trigger_lite.sdk.context import Ctx
from trigger_lite.sdk.errors import ApiError, BatchError, ConnectionFailed
from trigger_lite.sdk.waiting import until_canceled, wait_in_run

if TYPE_CHECKING:
    from trigger_lite.sdk.local import LocalWorld


class AwaitedBatch:
    """One batch of runs, triggered and waited for. Implements `sdk.channel.Awaited`."""

    longest = None

    def __init__(self, context: Ctx, chunk: Chunk) -> None:
        self._context = context
        self._chunk = chunk
        self._sending = Sending(chunk, go_on=until_canceled(context))
        self._ended: CompletedWaitpoint | None = None
        self._results: dict[int, CompletedWaitpoint] = {}

    @property
    def phase(self) -> str:
        """How far sending came: "create" or "send"."""
        return self._sending.phase

    def begin(self) -> None:
        self._sending.announce(self._context.run.id, resume=True)
        try:
            self._sending.fill()
        except BaseException:
            self._sending.give_up()  # or the run would wait for it at the server, whatever becomes of it here
            raise

    def accept(self, waitpoint: CompletedWaitpoint) -> None:
        batch_id, run = self._sending.batch_id, waitpoint.completed_by_task_run
        if waitpoint.type is WaitpointKind.BATCH:
            batch = waitpoint.completed_by_batch
            self._ended = waitpoint if batch is not None and batch.friendly_id == batch_id else self._ended
        elif run is not None and run.batch is not None and run.batch.friendly_id == batch_id:
            assert waitpoint.index is not None  # what is waited for in a batch has its place in it
            self._results[waitpoint.index] = waitpoint

    @property
    def is_over(self) -> bool:
        """Whether each item has its result, or the batch was given up."""
        if self._ended is not None and self._ended.output_is_error:
            return True
        return len(self._results) == len(self._chunk.items)

    def pretend(self, world: "LocalWorld") -> None:
        for index, item in enumerate(self._chunk.items):
            self._results[index] = world.run_child(item.task, item.payload)

    def results(self) -> list[ChildResult[Any]]:
        """Return how each run ended, in the order of the items. Raises BatchError for a batch given up."""
        if self._ended is not None and self._ended.output_is_error:
            error = ApiError(200, _reason(self._ended.output))
            raise BatchError("send", self._chunk.all_failed(error), [None] * len(self._chunk.items))
        return [child_result(item.task, self._results[index]) for index, item in enumerate(self._chunk.items)]


def wait_for_all(context: Ctx, chunks: Iterable[Chunk]) -> list[ChildResult[Any]]:
    """Trigger a run for each item and return how each ended: batch after batch, when one does not hold all.

    Raises BatchError when items do not fit or the server did not take them; otherwise like `wait_in_run`.
    """
    results: list[ChildResult[Any]] = []
    for chunk in chunks:
        nothing = [None] * (len(results) + len(chunk.items) + len(chunk.failed))
        if chunk.failed:
            raise BatchError("payload", chunk.failed, nothing)
        awaited = AwaitedBatch(context, chunk)
        try:
            wait_in_run(context, awaited)
        except (ApiError, ConnectionFailed) as error:
            raise BatchError(awaited.phase, chunk.all_failed(error), nothing) from error
        results += awaited.results()
    return results


def _reason(text: str | None) -> str:
    error: RunError = StringError("the batch was aborted")
    if text is not None:
        error = msgspec.json.decode(text, type=RunError)
    return api_error(error).message
