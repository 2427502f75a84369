"""Options of a task and of one trigger: names, checks and their form on the wire."""

import math
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypedDict

from trigger_lite.protocol.durations import Duration, duration_seconds, format_duration
from trigger_lite.protocol.machines import PRESETS
from trigger_lite.protocol.tasks import (
    MAX_ATTEMPTS,
    DebounceOption,
    QueueOption,
    TriggerOptions,
)
from trigger_lite.protocol.times import iso
from trigger_lite.sdk.codec import plain
from trigger_lite.sdk.context import check_tags, find_context
from trigger_lite.sdk.debounce import Debounce
from trigger_lite.sdk.errors import DefinitionError, UnknownOption, suggest
from trigger_lite.sdk.idempotency import IdempotencyKey, hashed_key
from trigger_lite.sdk.queue import Queue
from trigger_lite.sdk.retry import Retry

if TYPE_CHECKING:
    from trigger_lite.sdk.hooks import Hooks


class TaskOptions(TypedDict, total=False):
    """What `@task(...)` takes.

    >>> @task(retry=Retry(5, min="1s", max="2m"), max_duration="10m", tags=["crm"])
    ... def sync_contacts(org: str) -> int:
    ...     return len(org)
    """

    id: str
    """The task's public name; the function's name when not given."""
    description: str
    """One line for the dashboard."""
    retry: Retry
    """When a failed attempt is made again; `Retry(3)` when not given."""
    queue: "Queue | str"
    """Where its runs wait; a queue of its own when not given."""
    concurrency: int
    """How many of its runs go on at once; for a shared limit give a queue instead."""
    max_duration: Duration
    """How long one attempt may take, at least 5 seconds."""
    machine: str
    """A machine preset such as "small-1x" or "medium-2x"."""
    ttl: Duration
    """A run that has not started within this time expires."""
    priority: Duration
    """Its runs go this much earlier than their time says."""
    tags: "str | list[str]"
    """Tags of each of its runs."""
    debounce: Debounce
    """Triggers that follow each other soon become one run."""
    hooks: "Hooks"
    """Functions called at the turns of its runs, and middleware around their attempts."""


class ReplayOptions(TypedDict, total=False):
    """What `runs.replay(...)` takes beside a payload.

    >>> again = runs.replay("run_06fd3v", machine="large-1x", version="20300101.1")
    """

    delay: "Duration | datetime"
    """Start after this long, or at this aware time."""
    ttl: Duration
    """Expire when not started within this time; 0 switches the task's own ttl off."""
    tags: "str | list[str]"
    """Tags of the run, at most 10; a trigger adds those of its task."""
    key: "str | int | float"
    """Runs of one key have a concurrency limit of their own in the queue."""
    idempotency_key: "str | IdempotencyKey"
    """A second trigger with the same key returns the first run; inside a run, once per that run."""
    idempotency_key_ttl: Duration
    """How long the key is remembered; 30 days when not given."""
    queue: "Queue | str"
    """Another queue than the task's."""
    priority: Duration
    """Go this much earlier than the time of the trigger says."""
    max_attempts: int
    """Attempts in all, instead of the task's retry setting."""
    max_duration: Duration
    """How long one attempt may take, at least 5 seconds."""
    machine: str
    """A machine preset such as "small-1x"."""
    metadata: dict[str, Any]
    """What the run's metadata begins with."""
    version: str
    """Run on this deployed version, such as "20300101.1", and on no other."""


class RunOptions(ReplayOptions, total=False):
    """What `task.with_(...)` takes, for the runs triggered through it.

    >>> later = resize.with_(delay="1h", ttl="2h", tags=["cat"], key="user_7")
    >>> handle = later.trigger("https://example.com/cat.png", 100)
    """

    debounce: "Debounce | None"
    """Triggers that follow each other soon become one run; None switches the task's own debounce off."""
    test: bool
    """Mark the run as a test."""


def check_options(
    subject: str, given: Mapping[str, Any], known: type[Any], *, beside: tuple[str, ...] = ()
) -> None:
    """Raise UnknownOption for a name that `known`, a TypedDict, does not have.

    `beside` are options that are parameters of their own: the message may mean them.
    """
    for name in given:
        if name not in known.__annotations__:
            raise UnknownOption(subject, name, [*known.__annotations__, *beside])


def option_seconds(subject: str, name: str, value: Duration) -> float:
    """Return seconds of a duration option; raises DefinitionError naming the option."""
    try:
        return duration_seconds(value)
    except (ValueError, TypeError) as error:
        raise DefinitionError(f"{subject}: {name}: {error}") from None


def option_machine(subject: str, name: str) -> str:
    """Return the preset's name; raises DefinitionError naming the nearest one."""
    if name not in PRESETS:
        raise DefinitionError(f"{subject}: there is no machine {name!r}; {suggest(name, PRESETS)}")
    return name


def option_tags(subject: str, tags: str | list[str]) -> list[str]:
    """Return tags fit to be sent; raises DefinitionError for too many or too long ones."""
    try:
        return check_tags(tags)
    except ValueError as error:
        raise DefinitionError(f"{subject}: {error}") from None


def option_ttl(subject: str, value: Duration) -> int:
    """Return whole seconds, rounded up."""
    return math.ceil(option_seconds(subject, "ttl", value))


def option_queue(value: Queue | str) -> Queue:
    """Return the queue that is named or given."""
    return value if isinstance(value, Queue) else Queue(value)


def trigger_options(subject: str, options: RunOptions) -> TriggerOptions:
    """Return what is sent for the options of one trigger, with what the running task adds to it.

    Raises UnknownOption or DefinitionError naming the option that is wrong.
    """
    check_options(subject, options, RunOptions)
    wire = _on_the_wire(subject, options)
    version = os.environ.get("TRIGGER_LITE_VERSION")
    if version and "lock_to_version" not in wire:
        wire["lock_to_version"] = version
    context = find_context()
    if context is not None:
        wire["parent_run_id"] = context.run.id
    return TriggerOptions(**wire)


def replay_options(subject: str, options: ReplayOptions) -> dict[str, Any]:
    """Return the fields of a replay's body; raises like `trigger_options`."""
    check_options(subject, options, ReplayOptions, beside=("payload",))
    wire = _on_the_wire(subject, options)
    wire.pop("idempotency_key_options", None)
    for name, field in (("lock_to_version", "version"), ("queue", "queue")):
        if name in wire:
            value = wire.pop(name)
            wire[field] = value.name if isinstance(value, QueueOption) else value
    return wire


def _on_the_wire(subject: str, options: Mapping[str, Any]) -> dict[str, Any]:
    wire: dict[str, Any] = {}
    for name, value in options.items():
        field, write = _WIRE[name]
        try:
            wire[field] = write(subject, value)
        except (TypeError, ValueError) as error:
            if isinstance(error, DefinitionError):
                raise
            raise DefinitionError(f"{subject}: {name}: {error}") from error
    key = wire.get("idempotency_key")
    if key is not None:
        wire["idempotency_key"], wire["idempotency_key_options"] = hashed_key(key)
    return wire


def option_moment(subject: str, name: str, value: Duration | datetime) -> str:
    """Return a moment as the wire has it: a duration from now, or a date."""
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise DefinitionError(f"{subject}: {name}: {value!r} has no time zone; use datetime.now(UTC)")
        return iso(round(value.timestamp() * 1000))
    seconds = option_seconds(subject, name, value)
    if seconds == int(seconds):
        return format_duration(int(seconds))
    return iso(round((time.time() + seconds) * 1000))  # the wire's durations know no fractions


def option_key_life(subject: str, value: Duration) -> str:
    """Return how long an idempotency key is remembered, in whole seconds as the wire has them."""
    return f"{math.ceil(option_seconds(subject, 'idempotency_key_ttl', value))}s"


def _priority(subject: str, value: Duration) -> float:
    if isinstance(value, str | timedelta):
        return option_seconds(subject, "priority", value)
    return float(value)  # a negative number pushes back


def _attempts(subject: str, value: int) -> int:
    if not 1 <= value <= MAX_ATTEMPTS:
        raise DefinitionError(f"{subject}: max_attempts must be 1 to {MAX_ATTEMPTS}, not {value}")
    return value


def _metadata(subject: str, value: dict[str, Any]) -> Any:
    if not isinstance(value, Mapping):
        raise DefinitionError(f"{subject}: metadata must be a dict, not {type(value).__name__}")
    return plain(value)


def option_debounce(subject: str, value: Debounce | None) -> DebounceOption | None:
    """Return a debounce as it is sent; raises DefinitionError for what is none."""
    if value is not None and not isinstance(value, Debounce):
        raise DefinitionError(f'{subject}: debounce must be Debounce("key", "5s"), not {value!r}')
    return None if value is None else value.option()


def _key(subject: str, value: str | IdempotencyKey) -> str | IdempotencyKey:
    if not isinstance(value, str | IdempotencyKey):
        raise DefinitionError(f"{subject}: idempotency_key must be a text, not {type(value).__name__}")
    return value


_WIRE: Final[dict[str, tuple[str, Callable[[str, Any], Any]]]] = {
    "delay": ("delay", lambda who, value: option_moment(who, "delay", value)),
    "ttl": ("ttl", option_ttl),
    "tags": ("tags", option_tags),
    "key": ("concurrency_key", lambda _, value: value),
    "idempotency_key": ("idempotency_key", _key),
    "idempotency_key_ttl": ("idempotency_key_ttl", option_key_life),
    "queue": ("queue", lambda _, value: QueueOption(name=option_queue(value).name)),
    "priority": ("priority", _priority),
    "max_attempts": ("max_attempts", _attempts),
    "max_duration": ("max_duration", lambda who, value: option_seconds(who, "max_duration", value)),
    "machine": ("machine", option_machine),
    "metadata": ("metadata", _metadata),
    "version": ("lock_to_version", lambda _, value: str(value)),
    "debounce": ("debounce", option_debounce),
    "test": ("test", lambda _, value: bool(value)),
}
