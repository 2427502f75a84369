"""Exact rates: a token bucket for a queue, and one for each of its concurrency keys.

What counts is each time a run is handed to a worker through the queue: first attempts, retries that waited in
line, deliveries after one that failed. Not so a retry within its worker, and a run that goes on after a wait.
A token is not given back: in no span of time does a queue start more than burst + rate x span.

A bucket is one number, the time at which it is full again (the generic cell rate algorithm): a start moves
it by the time a token takes. It is kept in nanoseconds and rounded against the queue, never for it.
"""

from typing import Final, NamedTuple

from trigger_lite.protocol.rates import RateConfig
from trigger_lite.store import rates
from trigger_lite.store.environments import Load
from trigger_lite.store.queues import CodeLimits, LaneRow
from trigger_lite.store.rates import MeterRow
from trigger_lite.store.transaction import Tx

_NS: Final = 1_000_000
"""Nanoseconds in a millisecond."""
MOST_TOKENS: Final = 1_000_000
"""What a queue without a rate of its own, but with one for its keys, may start at once."""
RELEASED_AT_ONCE: Final = 500
"""Parked lanes let go on in one claim; the next goes on with the rest."""


class Bucket(NamedTuple):
    """A bucket at one moment. `now` in Unix ms, `full_at` in Unix ns, `interval` is the ns a token takes."""

    interval: int
    burst: int
    full_at: int
    now: int

    @property
    def tokens(self) -> int:
        """How many runs may start now."""
        return (self.now * _NS + self.burst * self.interval - self._level) // self.interval

    @property
    def next_token_at(self) -> int:
        """When a run may start (Unix ms): now, when one may."""
        return max(self.now, -(-(self._level - (self.burst - 1) * self.interval) // _NS))

    @property
    def is_full(self) -> bool:
        return self._level <= self.now * _NS

    def spend(self, count: int) -> "Bucket":
        return self._replace(full_at=self._level + count * self.interval)

    @property
    def _level(self) -> int:
        """`full_at`, brought into what it can be: a clock that was set back stops a queue for one token."""
        now = self.now * _NS
        return min(max(self.full_at, now), now + self.burst * self.interval)


def bucket(rate: RateConfig, full_at: int, now: int) -> Bucket:
    interval = -(-rate.period_ms * _NS // rate.count)
    return Bucket(interval, rate.burst, full_at, now)


def rate_of(code: CodeLimits | MeterRow) -> RateConfig | None:
    """Return a queue's rate, if it has one."""
    if code.rate_count is None:
        return None
    return RateConfig(code.rate_count, code.rate_period_ms or 0, code.rate_burst or 1)


def key_rate_of(code: CodeLimits | MeterRow) -> RateConfig | None:
    """Return the rate that holds for each of a queue's concurrency keys, if there is one."""
    if code.key_rate_count is None:
        return None
    return RateConfig(code.key_rate_count, code.key_rate_period_ms or 0, code.key_rate_burst or 1)


def empty_bucket_full_at(rate: RateConfig | None, now: int) -> int:
    """Return when a bucket that is empty now will be full (Unix ns), 0 without a rate."""
    return 0 if rate is None else bucket(rate, 0, now).spend(rate.burst).full_at


# ---- during a claim -----------------------------------------------------------------------------------


def open_meters(tx: Tx, environment_id: str, load: Load) -> "Meters":
    """Return the rates that hold in an environment now; lanes whose token has come are let go on."""
    if not load.is_rated:
        return Meters(tx, environment_id, [])
    rows = rates.list_meters(tx, environment_id)
    changed = [_bring_back(tx, row) or _release(tx, row) for row in rows]
    if any(changed):
        rows = rates.list_meters(tx, environment_id)
    return Meters(tx, environment_id, rows)


def _bring_back(tx: Tx, row: MeterRow) -> bool:
    """Bring back times that are later than any can be: the clock was set back. Tell if there were some."""
    fullest = empty_bucket_full_at(rate_of(row), tx.now)
    latest = empty_bucket_full_at(key_rate_of(row), tx.now) // _NS + 1
    is_queue_late = row.rate_at > fullest > 0
    is_key_late = (row.last_parked or 0) > latest
    if is_queue_late:
        rates.bound_rate_at(tx, row.queue_id, fullest)
    if is_key_late:
        rates.bring_back(tx, row.queue_id, latest=latest)
    return is_queue_late or is_key_late


def _release(tx: Tx, row: MeterRow) -> bool:
    """Let parked lanes of a queue go on whose token has come; tell whether there were any."""
    if row.first_parked is None or row.first_parked > tx.now:
        return False
    rates.release_parked(tx, row.queue_id, count=RELEASED_AT_ONCE)
    return True


class _Meter:
    """One queue: its bucket and the rate of its keys, None without one."""

    def __init__(self, row: MeterRow, now: int) -> None:
        rate = rate_of(row)
        self.row = row
        self.bucket = None if rate is None else bucket(rate, row.rate_at, now)
        self.key_rate = key_rate_of(row)
        self.is_spent = False

    @property
    def tokens(self) -> int:
        return MOST_TOKENS if self.bucket is None else self.bucket.tokens


class Meters:
    """What the queues with a rate may still start in this claim."""

    def __init__(self, tx: Tx, environment_id: str, rows: list[MeterRow]) -> None:
        self._tx = tx
        self._environment_id = environment_id
        self._meters = {row.queue_id: _Meter(row, tx.now) for row in rows}

    def due_lanes(self, count: int, *, passed_over: int) -> list[LaneRow]:
        """List the first `count` lanes that may start a run now, of each queue no more than it has tokens.

        `passed_over` of them may be looked at in vain.
        """
        if not self._meters:
            return []
        lanes: list[LaneRow] = []
        ready = [
            (meter.row.head_score or 0, meter) for meter in self._meters.values() if self._is_ready(meter)
        ]
        for head, meter in sorted(ready, key=lambda pair: pair[0]):
            if len(lanes) >= count and (lanes[count - 1].head_score or 0) <= head:
                break  # what other queues have stands behind these
            most = min(count, meter.tokens + passed_over)
            lanes += rates.list_rated_lanes(self._tx, meter.row.queue_id, count=most)
            lanes.sort(key=lambda lane: lane.head_score or 0)
        return lanes

    def _is_ready(self, meter: _Meter) -> bool:
        head = meter.row.head_score
        return head is not None and head <= self._tx.now and meter.tokens > 0

    def allowed(self, lane: LaneRow) -> int:
        """How many runs of a lane its queue's rate and its key's let start now."""
        meter = self._meters[lane.queue_id]
        if meter.key_rate is None:
            return meter.tokens
        return min(meter.tokens, bucket(meter.key_rate, lane.rate_at, self._tx.now).tokens)

    def take(self, lane: LaneRow, count: int) -> None:
        """Take slots and tokens for runs of a lane; one whose bucket is empty is parked until the next."""
        meter = self._meters[lane.queue_id]
        if meter.bucket is not None and count:
            meter.bucket = meter.bucket.spend(count)
            meter.is_spent = True
        if meter.key_rate is None:
            rates.take_rated_slots(self._tx, lane.id, count, rate_at=0, full_at=0, not_before=0)
            return
        left = bucket(meter.key_rate, lane.rate_at, self._tx.now).spend(count)
        rates.take_rated_slots(
            self._tx,
            lane.id,
            count,
            rate_at=0 if left.is_full else left.full_at,
            full_at=0 if left.is_full else left.full_at // _NS + 1,
            not_before=0 if left.tokens else left.next_token_at,
        )

    def close(self) -> int | None:
        """Keep what is left in the buckets; return when time lets the next run start (Unix ms), if known."""
        if not self._meters:
            return None
        for meter in self._meters.values():
            if meter.is_spent and meter.bucket is not None:
                rates.update_rate_at(self._tx, meter.row.queue_id, meter.bucket.full_at)
        rows = rates.list_meters(self._tx, self._environment_id)
        return min((at for row in rows for at in _next_looks(row, self._tx.now)), default=None)


def _next_looks(row: MeterRow, now: int) -> list[int]:
    """When time alone may let a run of the queue start (Unix ms)."""
    looks = [] if row.first_parked is None else [row.first_parked]
    rate = rate_of(row)
    if row.head_score is not None and row.head_score > now:
        looks.append(row.head_score)
    elif row.head_score is not None and rate is not None:
        left = bucket(rate, row.rate_at, now)
        looks += [] if left.tokens else [left.next_token_at]
    return looks
