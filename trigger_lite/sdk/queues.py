"""Queues: how many runs go on at once, shared by the tasks that name the same one."""

import re
from typing import TYPE_CHECKING, Final

import msgspec

from trigger_lite.protocol.tasks import MAX_QUEUE_NAME
from trigger_lite.sdk.errors import DefinitionError

if TYPE_CHECKING:
    from trigger_lite.protocol.manifest import QueueManifest

_NAME: Final = re.compile(rf"[A-Za-z0-9_/-]{{1,{MAX_QUEUE_NAME}}}")


class _Named(msgspec.Struct, frozen=True):
    name: str


class Queue(_Named, frozen=True, kw_only=True):
    """A named queue. Make one with `queue()`.

    >>> Queue("crm", concurrency=5).name
    'crm'
    """

    concurrency: int | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DefinitionError(
                f"queue name {self.name!r}: write 1 to {MAX_QUEUE_NAME} of the letters a-z and A-Z, "
                f"digits, '_', '-' and '/'"
            )
        if self.concurrency is not None and self.concurrency < 0:
            raise DefinitionError(f"queue {self.name!r}: concurrency must be 0 or more")

    def manifest(self) -> "QueueManifest":
        """Return what a worker registers for this queue.

        >>> Queue("crm", concurrency=5).manifest().concurrency_limit
        5
        """
        from trigger_lite.protocol.manifest import QueueManifest

        return QueueManifest(name=self.name, concurrency_limit=self.concurrency)


def queue(name: str, *, concurrency: int | None = None) -> Queue:
    """Return a queue that several tasks may share; at most `concurrency` of their runs go on at once.

    >>> crm = queue("crm", concurrency=5)
    >>> @task(queue=crm)
    ... def sync_contacts(org: str) -> None: ...
    """
    return Queue(name, concurrency=concurrency)
