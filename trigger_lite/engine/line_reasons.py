"""Why a run that waits in line does not start yet: the widest cause, and its place."""

from typing import Final

import msgspec

from trigger_lite.engine.rates import bucket, key_rate_of, rate_of
from trigger_lite.protocol.rates import RateConfig
from trigger_lite.protocol.waiting import WaitReason
from trigger_lite.store import environments, queues, rates
from trigger_lite.store.queues import LaneRow, QueueRow
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Reader

MOST_AHEAD: Final = 1_000
"""Runs ahead in line are counted up to here."""


class Reason(msgspec.Struct, frozen=True):
    """`text`, then the time left until `until` (Unix ms) when time alone changes the state, then `more`.

    `kind` says to programs what a run waits for, None when it does not; `position` is its place in line, from
    1, up to one more than is counted.
    """

    text: str
    until: int | None = None
    more: str = ""
    kind: WaitReason | None = None
    position: int | None = None


def explain_line(tx: Reader, run: RunRow, connected: int) -> Reason:
    """Return why a run in line has not started; `connected` counts the workers of its environment."""
    cause = _environment_cause(tx, run, connected) or _queue_cause(tx, run)
    ahead = queues.count_ahead(tx, lane_id=run.lane_id, score=run.score, run_id=run.id, most=MOST_AHEAD + 1)
    return msgspec.structs.replace(cause, more=f", {_place(ahead)}", position=ahead + 1)


def _place(ahead: int) -> str:
    if ahead == 0:
        return "next in line"
    return f"{MOST_AHEAD:,}+ ahead" if ahead > MOST_AHEAD else f"{ahead:,} ahead"


def _environment_cause(tx: Reader, run: RunRow, connected: int) -> Reason | None:
    load = environments.get_load(tx, run.environment_id)
    slug = environments.get_environment(tx, run.environment_id).slug
    queue = queues.get_queue(tx, run.queue_id)
    if load.paused:
        return Reason(f"queued: {slug} is paused", kind=WaitReason.ENVIRONMENT_PAUSED)
    if queue.paused:
        return Reason(f"queued: {queue.name} is paused", kind=WaitReason.QUEUE_PAUSED)
    if connected == 0:
        return Reason("waiting for a worker: none is connected", kind=WaitReason.NO_WORKER)
    if load.held >= load.slots:
        text = f"queued: {slug} is at its limit {load.held}/{load.slots}"
        return Reason(text, kind=WaitReason.ENVIRONMENT_LIMIT)
    return None


def _queue_cause(tx: Reader, run: RunRow) -> Reason:
    queue = queues.get_queue(tx, run.queue_id)
    lane = queues.find_lane(tx, run.lane_id)
    if lane is not None:
        named = queue.name if run.concurrency_key is None else f"{queue.name} (key {run.concurrency_key})"
        if lane.held >= lane.capacity:
            kind = WaitReason.QUEUE_LIMIT if run.concurrency_key is None else WaitReason.KEY_LIMIT
            return Reason(f"queued: {named} is at its limit {lane.held}/{lane.capacity}", kind=kind)
        rated = _rate_cause(tx, queue, lane, named)
        if rated is not None:
            return rated
    return Reason("queued: starts as soon as a worker is free", kind=WaitReason.WORKER_BUSY)


def _rate_cause(tx: Reader, queue: QueueRow, lane: LaneRow, named: str) -> Reason | None:
    """Name the rate that lets nothing start now, and when it lets something."""
    key_rate, rate = key_rate_of(queue.code), rate_of(queue.code)
    if key_rate is not None:
        at = bucket(key_rate, lane.rate_at, tx.now).next_token_at
        if at > tx.now:
            return _rated(named, key_rate, at, WaitReason.KEY_RATE)
    if rate is not None:
        at = bucket(rate, rates.get_rate_at(tx, queue.id), tx.now).next_token_at
        if at > tx.now:
            return _rated(queue.name, rate, at, WaitReason.QUEUE_RATE)
    return None


def _rated(named: str, rate: RateConfig, at: int, kind: WaitReason) -> Reason:
    return Reason(f"queued: {named} starts {rate.text()}, the next in", until=at, kind=kind)
