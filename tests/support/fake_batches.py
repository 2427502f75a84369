"""Batches of the played server: it takes them over HTTP and tells how they end when a test says so."""

import re
from typing import Any, Final

import msgspec

from tests.support.fake_waits import FakeWaits, a_waitpoint
from trigger_lite.protocol.waitpoints import CompletedByRun, CompletedWaitpoint, Named, WaitpointKind

_ITEMS: Final = re.compile(r"/api/v3/batches/([^/]+)/items")
_ABORT: Final = re.compile(r"/api/v1/batches/([^/]+)/abort")


class FakeBatches(FakeWaits):
    """Answers requests for batches beside those for waits: `announced` bodies, `items` and `aborted` ones."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.announced: list[dict[str, Any]] = []
        self.items: list[dict[str, Any]] = []
        self.aborted: list[str] = []
        self.refusal: tuple[int, Any] | None = None
        """What items are answered with, instead of being taken."""

    def _route(self, method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        if path == "/api/v3/batches":
            self.announced.append(msgspec.json.decode(body))
            count = self.announced[-1]["runCount"]
            return 202, {"id": f"batch_{len(self.announced)}", "runCount": count, "isCached": False}
        if match := _ITEMS.fullmatch(path):
            if self.refusal is not None:
                return self.refusal
            self.items += [msgspec.json.decode(line) for line in body.splitlines()]
            self._block(self.announced[-1]["parentRunId"], self.ended(match[1]))
            return 200, {"id": match[1], "itemsAccepted": 1, "itemsDeduplicated": 0, "sealed": True}
        if match := _ABORT.fullmatch(path):
            self.aborted.append(match[1])
            return 200, {"id": match[1], "status": "ABORTED"}
        return super()._route(method, path, body)

    def ended(self, batch: str, **changes: Any) -> CompletedWaitpoint:
        """Return what tells that a batch is complete."""
        whole = a_waitpoint(f"waitpoint_{batch}", WaitpointKind.BATCH)
        return msgspec.structs.replace(whole, completed_by_batch=Named(batch, batch), **changes)

    def result(self, batch: str, index: int, **changes: Any) -> CompletedWaitpoint:
        """Return how the run of an item ended."""
        child = f"run_{index}"
        one = a_waitpoint(f"waitpoint_{child}", WaitpointKind.RUN, child=child)
        by_run = CompletedByRun(child, child, Named(batch, batch))
        changes = {"output_type": "application/json", **changes}
        return msgspec.structs.replace(one, completed_by_task_run=by_run, index=index, **changes)
