"""One batch on its way to the server: announced, filled, and given up when it cannot be filled."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trigger_lite.protocol.batches import NDJSON, BatchView, CreateBatch, CreatedBatch, ItemError, TakenItems
from trigger_lite.protocol.tasks import QUEUE_FULL
from trigger_lite.sdk.batch_items import Chunk, Lines
from trigger_lite.sdk.errors import ApiError, BatchError, ConnectionFailed, QueueFull, TriggerLiteError
from trigger_lite.sdk.handle import RunHandle

if TYPE_CHECKING:
    from trigger_lite.sdk.transport import KeepTrying

FILL_TRIES: Final = 3
"""How often all items are sent when the server says that some are missing."""
FILL_SECONDS: Final = 60.0
"""What the server may take beside the usual to make runs of the last items."""


class Sending:
    """One batch on its way. `phase` is "create" until it is announced, then "send"."""

    def __init__(self, chunk: Chunk, *, go_on: "KeepTrying | None" = None) -> None:
        self._chunk = chunk
        self._go_on = go_on
        self.phase = "create"
        self.batch_id = ""

    def announce(self, parent_id: str | None, *, resume: bool) -> None:
        """Tell the server how many items will come, and whether the parent waits from now on."""
        from trigger_lite.sdk.target import default_client

        wanted = CreateBatch(
            len(self._chunk.items),
            task_identifiers=sorted({item.task.id for item in self._chunk.items}),
            parent_run_id=parent_id,
            resume_parent_on_completion=True if resume else None,
        )
        body = msgspec.json.encode(wanted)
        made = default_client().request("POST", "/api/v3/batches", CreatedBatch, body, go_on=self._go_on)
        self.batch_id = made.id
        self.phase = "send"

    def fill(self) -> None:
        """Send the items; sent again, those that came already count once."""
        from trigger_lite.sdk.target import default_client

        path = f"/api/v3/batches/{self.batch_id}/items"
        taken: TakenItems | None = None
        for _ in range(FILL_TRIES):
            taken = default_client().request(
                "POST",
                path,
                TakenItems,
                Lines(self._chunk.items),
                content_type=NDJSON[0],
                wait=FILL_SECONDS,
                go_on=self._go_on,
            )
            if taken.sealed:
                return
        raise ApiError(200, f"{self.batch_id} has not all of its items, though they were sent: {taken}")

    def give_up(self) -> None:
        """Let the server end a batch that will not be filled, so that nobody waits for it."""
        from trigger_lite.sdk.target import default_client

        # A server that does not hear of it does so itself, half an hour after the announcement.
        with suppress(ApiError, ConnectionFailed):
            default_client().request("POST", f"/api/v1/batches/{self.batch_id}/abort", dict[str, Any], b"{}")


def send_chunk(chunk: Chunk, parent_id: str | None) -> tuple[str, BatchView]:
    """Trigger a run for each item; returns the batch and how making runs of its items went."""
    from trigger_lite.sdk.target import default_client

    sending = Sending(chunk)
    try:
        sending.announce(parent_id, resume=False)
        sending.fill()
        view = default_client().request("GET", f"/api/v2/batches/{sending.batch_id}", BatchView)
    except TriggerLiteError as error:
        raise BatchError(sending.phase, chunk.all_failed(error), [None] * len(chunk.items)) from error
    return sending.batch_id, view


class Sent:
    """What was sent so far of items that may be more than one batch holds."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.handles: list[RunHandle[Any] | None] = []
        self.failed: dict[int, Exception] = {}

    def send(self, chunks: Iterable[Chunk], parent_id: str | None) -> None:
        """Send batch after batch. Raises BatchError when some items do not fit or were not taken."""
        for chunk in chunks:
            if chunk.failed:
                nothing = [None] * (len(chunk.items) + len(chunk.failed))
                raise BatchError("payload", {**self.failed, **chunk.failed}, [*self.handles, *nothing])
            try:
                batch_id, view = send_chunk(chunk, parent_id)
            except BatchError as error:
                failed, handles = {**self.failed, **error.failed}, [*self.handles, *error.handles]
                raise BatchError(error.phase, failed, handles) from error.__cause__
            self.ids.append(batch_id)
            self._note(chunk, view)
        if self.failed:
            raise BatchError("send", self.failed, self.handles)

    def _note(self, chunk: Chunk, view: BatchView) -> None:
        """Take note of the run of each item, or of why it has none."""
        refused = {error.index: _refusal(error) for error in view.processing.errors}
        self.failed |= {chunk.start + index: error for index, error in refused.items()}
        runs, cached = iter(view.runs), set(view.cached_indexes)
        for index, item in enumerate(chunk.items):
            run_id = None if index in refused else next(runs, None)
            self.handles.append(None if run_id is None else _handle(item.task, run_id, index in cached))


def _refusal(error: ItemError) -> ApiError:
    """Return what triggering the item by itself would have raised."""
    kind = QueueFull if error.error_code == QUEUE_FULL else ApiError
    return kind(422, error.error)


def _handle(task: Any, run_id: str, is_cached: bool) -> RunHandle[Any]:
    from trigger_lite.sdk.target import default_client

    return RunHandle(run_id, default_client, task=task.id, is_cached=is_cached, returns=lambda: task.returns)
