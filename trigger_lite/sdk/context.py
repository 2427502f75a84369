"""The run that this code belongs to."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import msgspec

from trigger_lite.protocol.tasks import MAX_TAGS
from trigger_lite.sdk.errors import ConcurrentWait, OutsideRun
from trigger_lite.sdk.locals import Locals
from trigger_lite.sdk.metadata import MetadataBuffer, RunMetadata

if TYPE_CHECKING:
    from trigger_lite.protocol.execution import (
        AttemptInfo,
        BatchInfo,
        EnvironmentInfo,
        Execution,
        QueueInfo,
        RunInfo,
        TaskInfo,
    )
    from trigger_lite.protocol.machines import Machine
    from trigger_lite.sdk.channel import RunChannel
    from trigger_lite.sdk.lifecycle import Lifecycle

_MAX_TAG: Final = 128


def check_tags(tags: str | list[str] | tuple[str, ...]) -> list[str]:
    """Return tags without blank and repeated ones; raises ValueError for more than 10 or a too long one."""
    given = [tags] if isinstance(tags, str) else list(tags)
    kept = list(dict.fromkeys(tag for tag in given if tag.strip()))
    if len(kept) > MAX_TAGS:
        raise ValueError(f"a run has at most {MAX_TAGS} tags, not {len(kept)}")
    for tag in kept:
        if len(tag) > _MAX_TAG:
            raise ValueError(f"a tag has at most {_MAX_TAG} characters: {tag[:20]}…")
    return kept


class RunTags:
    """Tags of the current run: words to find it by, at most 10.

    >>> tags.add("org_42", "import")
    """

    def __init__(self, context: "Ctx | None" = None) -> None:
        self._context = context

    def add(self, *names: str) -> None:
        """Add tags to the run; outside a run nothing happens.

        Raises ValueError when the run would have more than 10, or one has more than 128 characters.

        >>> tags.add("org_42")
        """
        check_tags(names)
        context = self._context or find_context()
        if context is not None:
            context._add_tags(names)

    def _names(self) -> list[str]:
        context = self._context or find_context()
        return context._tags if context is not None else []

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __len__(self) -> int:
        return len(self._names())

    def __repr__(self) -> str:
        return f"RunTags({self._names()})"


class RunWaits:
    """The waits of one attempt: one at a time, and how long all of them took."""

    def __init__(self) -> None:
        self._one = threading.Lock()
        self.seconds = 0.0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait in here; raises ConcurrentWait while another wait goes on (WP-11)."""
        if not self._one.acquire(blocking=False):
            raise ConcurrentWait("this run waits already: wait for one thing after the other")
        try:
            yield
        finally:
            self._one.release()


class RunUsage(msgspec.Struct, frozen=True):
    """How long code of a run has worked, waits and the time between attempts aside.

    >>> ctx.usage().run_seconds < 3600
    True
    """

    attempt_seconds: float
    run_seconds: float


class Ctx:
    """What a task may know of its run. Ask for it by a parameter `ctx: Ctx`, the first or the last one.

    >>> @task
    ... def report(ctx: Ctx, month: str) -> str:
    ...     ctx.metadata.set("month", month)
    ...     return f"{month}, attempt {ctx.attempt.number}"
    >>> run_inline(report, "2030-01").unwrap()
    '2030-01, attempt 1'
    """

    def __init__(self, execution: "Execution", channel: "RunChannel", waits: RunWaits | None = None) -> None:
        self._execution = execution
        self.channel: Final = channel
        self.waits: Final = waits or RunWaits()
        self._tags = list(execution.run.tags)
        self.metadata_buffer: Final = MetadataBuffer(channel, execution.run.metadata or {})
        self._metadata = RunMetadata(lambda: self.metadata_buffer)
        self._locals = Locals()
        self._began = time.monotonic()
        self.lifecycle: Lifecycle | None = None

    @property
    def run(self) -> "RunInfo":
        """The run: `id`, `tags`, `created_at`, `is_test`, `idempotency_key`, ….

        >>> ctx.run.id
        'run_06fd3v'
        """
        return self._execution.run

    @property
    def task(self) -> "TaskInfo":
        """The task: `id` and `file_path`.

        >>> ctx.task.id
        'report'
        """
        return self._execution.task

    @property
    def attempt(self) -> "AttemptInfo":
        """This attempt: `number`, from 1, and `started_at`.

        >>> ctx.attempt.number
        1
        """
        return self._execution.attempt

    @property
    def queue(self) -> "QueueInfo":
        """The queue that the run came from: `id` and `name`.

        >>> ctx.queue.name
        'task/report'
        """
        return self._execution.queue

    @property
    def batch(self) -> "BatchInfo | None":
        """The batch that the run was triggered in, with its `id`; None for one that was triggered alone.

        >>> ctx.batch is None
        True
        """
        return self._execution.batch

    @property
    def env(self) -> "EnvironmentInfo":
        """The environment: `id`, `slug` ("dev", "prod") and `type`.

        >>> ctx.env.slug
        'dev'
        """
        return self._execution.environment

    @property
    def machine(self) -> "Machine":
        """What the run may use: `name` ("small-1x"), `cpu` cores and `memory` in GB.

        >>> ctx.machine.name
        'small-1x'
        """
        return self._execution.machine

    def usage(self) -> RunUsage:
        """Return how long this attempt, and all attempts of the run, have worked up to now.

        >>> ctx.usage().attempt_seconds < 60
        True
        """
        attempt = time.monotonic() - self._began - self.waits.seconds
        return RunUsage(attempt, self._execution.run.duration_ms / 1000 + attempt)

    @property
    def metadata(self) -> RunMetadata:
        """The run's metadata.

        >>> ctx.metadata.set("progress", 0.5)
        """
        return self._metadata

    @property
    def tags(self) -> RunTags:
        """The run's tags.

        >>> ctx.tags.add("org_42")
        """
        return RunTags(self)

    @property
    def locals(self) -> Locals:
        """What middleware has laid down for this attempt, by key.

        >>> ctx.locals["tenant"] = "org_42"
        >>> ctx.locals["tenant"]
        'org_42'
        """
        return self._locals

    def heartbeat(self) -> None:
        """Show a sign of life in the middle of long work: raises RunCanceled once the run was asked to stop.

        For native or unbroken code that nothing else can stop. Without it the run is as alive: the process
        beside it that talks to the server sends the heartbeats.

        >>> for part in range(3):
        ...     ctx.heartbeat()
        """
        if self.canceled:
            from trigger_lite.sdk.lifecycle import cancel_error

            raise cancel_error(self)

    @property
    def canceled(self) -> bool:
        """Whether somebody asked this run to stop; a long loop looks here and returns.

        >>> ctx.canceled
        False
        """
        return self.channel.canceled.is_set()

    def log(self, level: str, message: str, attributes: dict[str, object] | None) -> None:
        """Pass on one log line of the run; `get_logger()` is the pleasant way."""
        self.channel.log(level, message, attributes)

    def _add_tags(self, names: tuple[str, ...]) -> None:
        new = [name for name in check_tags(names) if name not in self._tags]
        self._tags = check_tags([*self._tags, *new])
        if new:
            self.channel.tags(new)


class ActiveAttempts:
    """The attempts going on in this process, one as a rule."""

    def __init__(self) -> None:
        self._own: ContextVar[Ctx | None] = ContextVar("trigger_lite_run", default=None)
        self._all: list[Ctx] = []
        self._lock = threading.Lock()

    @contextmanager
    def enter(self, context: Ctx) -> Iterator[None]:
        """Make `context` the current one."""
        token = self._own.set(context)
        with self._lock:
            self._all.append(context)
        try:
            yield
        finally:
            with self._lock:
                self._all.remove(context)
            self._own.reset(token)

    def find(self) -> Ctx | None:
        """Return the current context.

        A thread that user code started has none of its own: it belongs to the only attempt there is.
        """
        own = self._own.get()
        if own is not None:
            return own
        everything = self._all
        return everything[0] if len(everything) == 1 else None


_active: Final = ActiveAttempts()
enter_context: Final = _active.enter
find_context: Final = _active.find


def current() -> Ctx:
    """Return the context of the run that this code belongs to, however deep it was called.

    Raises OutsideRun elsewhere.

    >>> def note(text: str) -> None:
    ...     current().metadata.append("notes", text)
    """
    context = find_context()
    if context is None:
        raise OutsideRun("current() works only inside a run")
    return context


def _find_buffer() -> MetadataBuffer | None:
    context = find_context()
    return context.metadata_buffer if context is not None else None


metadata: Final = RunMetadata(_find_buffer)
tags: Final = RunTags()
