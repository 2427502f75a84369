"""What a queue may hold: its code's limits, an override that wins over one, its length (Q-19, Q-35…37)."""

from typing import Final, NamedTuple

import msgspec

from trigger_lite.engine import rates, slots
from trigger_lite.engine.events import QueueChanged
from trigger_lite.protocol.errors import BadRequest, NotFound, QueueFull
from trigger_lite.store import environments, queue_lists, queues
from trigger_lite.store import rates as rate_rows
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.queue_lists import QueueLoad
from trigger_lite.store.queues import CodeLimits, QueueRow
from trigger_lite.store.transaction import Reader, Tx

_TASK: Final = "task/"


class QueueRef(NamedTuple):
    """Which queue is meant: `kind` is `id`, `task` or `custom`, `value` its id or name (Q-39)."""

    kind: str
    value: str


class Override(msgspec.Struct, frozen=True):
    """A limit that is to win over the code's, absolute or in percent of the environment's.

    `by` says who wants it, `ends_at` (Unix ms) until when; None is until it is reset.
    """

    limit: int | None = None
    percent: float | None = None
    by: str | None = None
    ends_at: int | None = None


class QueueState(NamedTuple):
    """A queue with what it holds now; `most` is what its environment lets one queue run at once."""

    load: QueueLoad
    most: int

    def bounded(self, limit: int | None) -> int | None:
        """Return a limit as it counts: never above the environment's (Q-38)."""
        return None if limit is None else min(limit, self.most)


def state_of(tx: Reader, queue: QueueRow) -> QueueState:
    """Look at a queue."""
    most = environments.get_load(tx, queue.environment_id).concurrency_limit
    return QueueState(queue_lists.get_load(tx, queue.id), most)


def list_states(tx: Reader, environment_id: str, *, count: int, skip: int) -> list[QueueState]:
    """Look at a page of an environment's queues, by name."""
    most = environments.get_load(tx, environment_id).concurrency_limit
    loads = queue_lists.list_loads(tx, environment_id, count=count, skip=skip)
    return [QueueState(load, most) for load in loads]


def find_queue(tx: Reader, environment_id: str, ref: QueueRef) -> QueueRow:
    """Return the queue that is meant. Raises NotFound."""
    if ref.kind == "id":
        found = queues.find_queue_in(tx, environment_id, ref.value)
    else:
        name = _TASK + ref.value.removeprefix(_TASK) if ref.kind == "task" else ref.value
        found = queues.find_queue(tx, environment_id, name)
    if found is None:
        raise NotFound("queue-not-found")
    return found


# ---- length -----------------------------------------------------------------------------------------


def refuse_if_full(tx: Tx, environment: EnvironmentRow, queue: QueueRow) -> None:
    """Refuse a run more when as many wait in line as may (Q-19); delayed runs do not count.

    Raises QueueFull.
    """
    most = environment.max_queue_length if queue.max_length is None else queue.max_length
    if most is not None and queues.count_waiting(tx, queue.id, most=most) >= most:
        raise QueueFull(queue.name, most)


# ---- what the code says -------------------------------------------------------------------------------


def register_queue(tx: Tx, environment_id: str, *, name: str, kind: str, code: CodeLimits) -> None:
    """Create a queue, or take over what its code says now; pause and override stay (Q-33, Q-36)."""
    queue = queues.find_queue(tx, environment_id, name)
    if queue is None:
        queues.insert_queue(tx, environment_id, name=name, kind=kind, code=code)
        return
    if queue.code == code:
        return
    queues.update_queue_code(tx, queue.id, code)
    if queue.code[2:] != code[2:]:
        rate_rows.bound_rate_at(tx, queue.id, rates.empty_bucket_full_at(rates.rate_of(code), tx.now))
        fullest = rates.empty_bucket_full_at(rates.key_rate_of(code), tx.now)
        rate_rows.refresh_rates(tx, queue.id, is_rated=code.is_rated, fullest=fullest)
    _changed(tx, queue._replace(**code._asdict()))


# ---- overrides ----------------------------------------------------------------------------------------


def override_limit(tx: Tx, environment_id: str, ref: QueueRef, override: Override) -> QueueRow:
    """Let a limit win over the code's until it is reset, or until its time ends (Q-35, Q-36).

    Raises NotFound, or BadRequest for a limit outside of what the environment allows; nothing is stored then.
    """
    queue = find_queue(tx, environment_id, ref)
    most = environments.get_load(tx, environment_id).concurrency_limit
    limit, hundredths = _checked(override, most)
    if override.ends_at is not None and override.ends_at <= tx.now:
        raise BadRequest("until is in the past; an override ends later than now")
    queues.update_queue_override(
        tx, queue.id, limit, percent=hundredths, by=override.by, at=tx.now, ends_at=override.ends_at
    )
    return _changed(tx, queues.get_queue(tx, queue.id))


def _checked(override: Override, most: int) -> tuple[int, int | None]:
    """Return the limit that is meant, and the percentage in hundredths that it is made of."""
    if (override.limit is None) == (override.percent is None):
        raise BadRequest("Give either concurrencyLimit or percent")
    if override.percent is not None:
        if not 0.01 <= override.percent <= 100:
            raise BadRequest(f"percent is {override.percent:g}, but must be more than 0 and at most 100")
        hundredths = round(override.percent * 100)
        return _part(hundredths, most), hundredths
    assert override.limit is not None
    if not 0 <= override.limit <= most:
        raise BadRequest(
            f"concurrencyLimit is {override.limit}, but must be 0 to {most}, the limit of the environment"
        )
    return override.limit, None


def _part(hundredths: int, most: int) -> int:
    """Return a percentage of the environment's limit: rounded down, at least one, at most all of it."""
    return min(most, max(1, most * hundredths // 10_000))


def reset_limit(tx: Tx, environment_id: str, ref: QueueRef) -> QueueRow:
    """Go back to the code's limit (Q-36). Raises NotFound, or BadRequest when nothing is overridden."""
    queue = find_queue(tx, environment_id, ref)
    if queue.overridden_at is None:
        raise BadRequest(f"The limit of {queue.name} is not overridden")
    return _reset(tx, queue)


def end_overrides(tx: Tx, count: int) -> int:
    """Reset up to `count` overrides whose time is over; returns how many."""
    ended = queues.list_ended_overrides(tx, count=count)
    for queue in ended:
        _reset(tx, queue)
    return len(ended)


def _reset(tx: Tx, queue: QueueRow) -> QueueRow:
    queues.delete_queue_override(tx, queue.id)
    return _changed(tx, queues.get_queue(tx, queue.id))


def follow_environment(tx: Tx, queue: QueueRow, most: int) -> QueueRow:
    """Compute an override in percent anew from the environment's limit; another one stays (Q-37)."""
    if queue.override_percent is None or queue.overridden_at is None:
        return queue
    limit = _part(queue.override_percent, most)
    queues.update_queue_override(
        tx,
        queue.id,
        limit,
        percent=queue.override_percent,
        by=queue.overridden_by,
        at=queue.overridden_at,
        ends_at=queue.override_ends_at,
    )
    return queue._replace(limit_override=limit)


def _changed(tx: Tx, queue: QueueRow) -> QueueRow:
    slots.refresh_queue(tx, queue)
    tx.emit(QueueChanged(queue.environment_id, queue.id))
    return queue
