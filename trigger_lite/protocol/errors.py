"""Every refusal the server makes, one tree:

    Refusal
    ├── Unauthorized            401  no or unknown credential
    ├── Forbidden               403  a known credential that may not do this
    ├── NotFound                404  RunNotFound, BatchNotFound, WaitpointNotFound, ScheduleNotFound,
    │                                WorkerVersionNotFound
    ├── BadRequest              400  the request itself is malformed
    │   └── StaleSnapshot            a worker names a snapshot that is no longer the newest
    ├── Unprocessable           422  well-formed, but the rules say no
    │   ├── BatchRefused             items for a batch that does not take them
    │   ├── SearchTooSlow            a filter that would look at too much
    │   └── QueueFull                as many runs wait in a queue as may
    ├── LengthRequired          411  a body must say how long it is
    ├── TooLarge                413  a body or a part of it is over its limit
    ├── TooManyAtOnce           429  as many of these go on as may
    ├── UnsupportedMedia        415  a body of another kind than this address takes
    ├── ServerBusy              503  the inbox is full; nothing was accepted
    └── DatabaseFailed          503  the database does not take changes or answer now
        └── DatabaseStalled          it has not answered for seconds; nothing was accepted

`web/errors.py` maps the tree to HTTP. The message is one line: what was wrong, what would be right.
"""

from typing import Final

from trigger_lite.protocol.tasks import QUEUE_FULL

_LONGEST: Final = 400
"""What is kept, in characters, of a message that quotes something long: half from either end."""


class Refusal(Exception):
    """The request is refused and has changed nothing. `code` is for programs, where there is one."""

    code: str | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = _in_one_line(message)


def _in_one_line(message: str) -> str:
    """Return a message without line ends, and without the middle of what it quotes at length."""
    if len(message) > _LONGEST:
        message = f"{message[: _LONGEST // 2]}…{message[-_LONGEST // 2 :]}"
    return " ".join(message.splitlines())


class Unauthorized(Refusal):
    """Invalid or Missing API key"""


class Forbidden(Refusal):
    """The credential is known but may not do this."""


class NotFound(Refusal):
    """There is no such thing in this environment."""


class RunNotFound(NotFound):
    """No run of this id in this environment."""

    def __init__(self) -> None:
        super().__init__("Run not found")


class BatchNotFound(NotFound):
    """No batch of this id in this environment."""

    def __init__(self) -> None:
        super().__init__("Batch not found")


class WaitpointNotFound(NotFound):
    """No waitpoint of this id in this environment."""

    def __init__(self) -> None:
        super().__init__("Waitpoint not found")


class ScheduleNotFound(NotFound):
    """No schedule of this id in this environment."""

    def __init__(self) -> None:
        super().__init__("Schedule not found")


class WorkerVersionNotFound(NotFound):
    """No worker version of this id in this environment."""

    def __init__(self, version: str) -> None:
        super().__init__(f"Worker version {version!r} is not registered in this environment")


class BadRequest(Refusal):
    """The request is malformed."""


class StaleSnapshot(BadRequest):
    """A worker named a snapshot that is no longer the newest of its run (AT-01, AT-06)."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"The snapshot named is not the newest of {run_id}; nothing was changed")


class Unprocessable(Refusal):
    """The request is well-formed, but the rules say no."""


class BatchRefused(Unprocessable):
    """A batch takes no items, or not this one: it is unknown or aborted, or the index is beyond it."""


class SearchTooSlow(Unprocessable):
    """A search was stopped because it took too long."""

    def __init__(self) -> None:
        super().__init__("This search takes too long; narrow it, for example to a shorter time")


class QueueFull(Unprocessable):
    """As many runs wait in a queue as may (Q-19); whoever asks again later may find room."""

    code = QUEUE_FULL

    def __init__(self, queue: str, most: int) -> None:
        super().__init__(f"The queue {queue!r} is full: no more than {most} runs may wait in it")


class LengthRequired(Refusal):
    """A body came without saying how long it is."""

    def __init__(self) -> None:
        super().__init__("Content-Length header is required")


class TooLarge(Refusal):
    """A body, or a part of it, is over its limit."""


class TooManyAtOnce(Refusal):
    """As many of these go on as may at a time; asking again at once will not help."""


class UnsupportedMedia(Refusal):
    """A body is of another content type than the address takes."""


class ServerBusy(Refusal):
    """The server has more work waiting than it accepts; nothing was accepted, try again shortly."""

    def __init__(self) -> None:
        super().__init__("The server is busy; nothing was accepted, try again in a second")


class DatabaseFailed(Refusal):
    """A full disk, a lost connection: nothing is wrong with the request, and it may work when made again.

    What was to be changed is not, but for one case: the connection was lost while it was being committed.
    """

    def __init__(self) -> None:
        super().__init__("The database is out of order; the server's log says why. Try again shortly")


class DatabaseStalled(DatabaseFailed):
    """A change has been under way for too long: a disk or a server that does not answer.

    Nothing was accepted; what was accepted before is done once the database answers.
    """

    def __init__(self) -> None:
        Refusal.__init__(self, "The database does not answer; nothing was accepted. Try again shortly")
