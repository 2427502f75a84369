"""An attempt as a worker is given it, and a channel that keeps what it is told."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from trigger_lite.protocol.execution import Execution
from trigger_lite.protocol.metadata import Operation
from trigger_lite.protocol.waitpoints import CompletedWaitpoint
from trigger_lite.sdk.cancellation import Cancellation
from trigger_lite.sdk.channel import Awaited
from trigger_lite.sdk.local import LocalChannel, local_execution


class RecordingChannel:
    """Keeps every call of an attempt; `told` is set at the first metadata. A wait ends with `ended`."""

    def __init__(self) -> None:
        self._canceled = Cancellation()
        self.is_ending = False
        self.world = None
        self.told = threading.Event()
        self.lines: list[tuple[str, str, dict[str, Any] | None]] = []
        self.operations: list[tuple[list[Operation], list[Operation], list[Operation]]] = []
        self.names: list[list[str]] = []
        self.ended: list[CompletedWaitpoint] = []

    @property
    def canceled(self) -> Cancellation:
        return self._canceled

    def log(self, level: str, message: str, attributes: Mapping[str, Any] | None) -> None:
        self.lines.append((level, message, dict(attributes) if attributes is not None else None))

    def metadata(
        self,
        operations: Sequence[Operation],
        parent_operations: Sequence[Operation],
        root_operations: Sequence[Operation],
    ) -> None:
        self.operations.append((list(operations), list(parent_operations), list(root_operations)))
        self.told.set()

    def tags(self, tags: Sequence[str]) -> None:
        self.names.append(list(tags))

    def wait(self, awaited: Awaited) -> None:
        awaited.begin()
        for waitpoint in self.ended:
            awaited.accept(waitpoint)


def an_execution(
    payload: str = "{}",
    *,
    payload_type: str = "application/json",
    attempt: int = 1,
    max_attempts: int | None = None,
    environment: str = "PRODUCTION",
    metadata: dict[str, Any] | None = None,
    tags: Sequence[str] = (),
) -> Execution:
    """Return an attempt of the run `run_test`."""
    plain = local_execution(
        "t", "t.py", "task/t", payload=payload, attempt=attempt, now="2030-01-01T00:00:00.000Z",
        channel=LocalChannel(),
    )  # fmt: skip
    replace = msgspec.structs.replace
    run = replace(
        plain.run,
        id="run_test",
        payload_type=payload_type,
        max_attempts=max_attempts,
        metadata=metadata,
        tags=list(tags),
    )
    return replace(plain, run=run, environment=replace(plain.environment, type=environment))
