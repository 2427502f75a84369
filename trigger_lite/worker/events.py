"""What a worker tells whoever watches it, such as the command that started it."""

from typing import Protocol

import msgspec

from trigger_lite.protocol.worker import LogLevel, LogSource


class ImportFailed(msgspec.Struct, frozen=True, tag=True):
    """A task file could not be imported; `message` is one line."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class DuplicateTask(msgspec.Struct, frozen=True, tag=True):
    """Two tasks have one id; the worker offers neither."""

    task: str
    first: str
    second: str

    def __str__(self) -> str:
        return (
            f"Two tasks have the id {self.task!r}: {self.first} and {self.second}; "
            "give one of them another id"
        )


class Registered(msgspec.Struct, frozen=True, tag=True):
    """The server knows this version; `tasks` are the ids it offers."""

    version: str
    tasks: tuple[str, ...]


class Reloaded(msgspec.Struct, frozen=True, tag=True):
    """Files changed and a new version took over."""

    version: str
    tasks: tuple[str, ...]


class ReloadFailed(msgspec.Struct, frozen=True, tag=True):
    """Files changed, but did not import or were refused; the version before them stays."""

    reason: str


class Connected(msgspec.Struct, frozen=True, tag=True):
    """The worker takes runs."""


class Reconnected(msgspec.Struct, frozen=True, tag=True):
    """The connection is back; `resent` messages were sent again."""

    resent: int


class Disconnected(msgspec.Struct, frozen=True, tag=True):
    """No connection; the next attempt comes in `retry_seconds`."""

    reason: str
    retry_seconds: float


class RunStarted(msgspec.Struct, frozen=True, tag=True):
    run: str
    task: str
    attempt: int


class RunFinished(msgspec.Struct, frozen=True, tag=True):
    """An attempt ended; `error` is one line when it failed."""

    run: str
    task: str
    attempt: int
    seconds: float
    error: str | None = None


class LogPrinted(msgspec.Struct, frozen=True, tag=True):
    """A run printed or logged one line."""

    run: str
    task: str
    level: LogLevel
    source: LogSource
    message: str


class Stopping(msgspec.Struct, frozen=True, tag=True):
    """The worker takes no more runs and waits for `running` of them."""

    running: int
    grace: float


class Problem(msgspec.Struct, frozen=True, tag=True):
    """Something went wrong that no other event names; one line."""

    message: str


WorkerEvent = (
    ImportFailed
    | DuplicateTask
    | Registered
    | Reloaded
    | ReloadFailed
    | Connected
    | Reconnected
    | Disconnected
    | RunStarted
    | RunFinished
    | LogPrinted
    | Stopping
    | Problem
)


class WorkerObserver(Protocol):
    """Gets every event as it happens, in the worker's own process. Must return at once."""

    def notice(self, event: WorkerEvent) -> None:
        """Take note of one event."""
