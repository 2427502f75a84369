"""Queues: how many runs go on at once, shared by the tasks that name the same one."""

import re
from dataclasses import KW_ONLY, dataclass
from typing import Final

from trigger_lite.protocol.manifest import QueueManifest
from trigger_lite.protocol.tasks import MAX_QUEUE_NAME
from trigger_lite.sdk.errors import DefinitionError

_NAME: Final = re.compile(rf"[A-Za-z0-9_/-]{{1,{MAX_QUEUE_NAME}}}")


@dataclass(frozen=True, slots=True)
class Queue:
    """A named queue. Make one with `queue()`.

    >>> Queue("crm", concurrency=5).name
    'crm'
    """

    name: str
    _: KW_ONLY
    concurrency: int | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DefinitionError(
                f"queue name {self.name!r}: write 1 to {MAX_QUEUE_NAME} of the letters a-z and A-Z, "
                f"digits, '_', '-' and '/'"
            )
        if self.concurrency is not None and self.concurrency < 0:
            raise DefinitionError(f"queue {self.name!r}: concurrency must be 0 or more")

    def manifest(self) -> QueueManifest:
        """Return what a worker registers for this queue."""
        return QueueManifest(name=self.name, concurrency_limit=self.concurrency)


def queue(name: str, *, concurrency: int | None = None) -> Queue:
    """Return a queue that several tasks may share; at most `concurrency` of their runs go on at once.

    >>> crm = queue("crm", concurrency=5)
    >>> @task(queue=crm)
    ... def sync_contacts(org: str) -> None: ...
    """
    return Queue(name, concurrency=concurrency)
