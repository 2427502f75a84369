"""A server that takes batches, for tests of the SDK."""

from collections.abc import Callable
from typing import Any

from tests.support.edge import Edge, Reply, Request

Item = dict[str, Any]


class BatchEdge:
    """Takes batches as a server does, and keeps what came: `created` bodies, and `sent` lines by batch.

    `refuse` says why an item becomes no run, or None; runs are named after their batch and index.
    """

    def __init__(self, edge: Edge, *, refuse: Callable[[Item], str | None] = lambda item: None) -> None:
        self.edge = edge
        self.created: list[dict[str, Any]] = []
        self.sent: dict[str, dict[int, Item]] = {}
        self.aborted: list[str] = []
        self._refuse = refuse
        edge.on("POST", "/api/v3/batches", self.create)
        edge.on("POST", "/api/v3/batches/.*/items", self.take)
        edge.on("GET", "/api/v2/batches/.*", self.show)
        edge.on("POST", "/api/v1/batches/.*/abort", self.abort)

    @property
    def items(self) -> list[Item]:
        """All items, in the order of their batches and indexes."""
        return [item for items in self.sent.values() for _, item in sorted(items.items())]

    @property
    def options(self) -> list[dict[str, Any]]:
        return [item["options"] for item in self.items]

    def create(self, request: Request) -> Reply:
        self.created.append(request.body)
        batch_id = f"batch_{len(self.created)}"
        self.sent[batch_id] = {}
        return Reply(202, {"id": batch_id, "runCount": request.body["runCount"], "isCached": False})

    def take(self, request: Request) -> Reply:
        """Keep the lines, and say whether all have come."""
        batch_id = request.path.split("/")[4]
        known = self.sent[batch_id]
        new = [item for item in request.body if item["index"] not in known]
        known |= {item["index"]: item for item in new}
        count = self.created[int(batch_id.removeprefix("batch_")) - 1]["runCount"]
        taken = {"itemsAccepted": len(new), "itemsDeduplicated": len(request.body) - len(new)}
        return Reply(body={"id": batch_id, **taken, "sealed": len(known) == count})

    def show(self, request: Request) -> Reply:
        batch_id = request.path.split("/")[4]
        refused = {index: self._refuse(item) for index, item in self.sent[batch_id].items()}
        errors = [
            {"index": index, "taskIdentifier": self.sent[batch_id][index]["task"], "error": why}
            for index, why in sorted(refused.items())
            if why is not None
        ]
        runs = [f"run_{batch_id[6:]}_{index}" for index, why in sorted(refused.items()) if why is None]
        return Reply(body=a_batch(batch_id, runs, errors=errors, runCount=len(refused)))

    def abort(self, request: Request) -> Reply:
        self.aborted.append(request.path.split("/")[4])
        return Reply(body={"id": self.aborted[-1], "status": "ABORTED"})


def a_batch(
    batch_id: str, runs: list[str], *, errors: list[dict[str, Any]] | None = None, **fields: Any
) -> dict[str, Any]:
    """Return the JSON of a batch whose runs are all over."""
    failed = len(errors or [])
    return {
        "id": batch_id,
        "status": "COMPLETED",
        "createdAt": "2030-01-01T00:00:00.000Z",
        "updatedAt": "2030-01-01T00:00:01.000Z",
        "runCount": len(runs) + failed,
        "received": len(runs) + failed,
        "failed": failed,
        "finished": len(runs),
        "runs": runs,
        "processing": {"errors": errors or []},
        **fields,
    }
