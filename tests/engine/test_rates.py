"""Rates of queues and of their keys, in the claim's own transaction."""

import random
from typing import Any

import pytest

from tests.support.builders import (
    WORKER,
    a_run,
    a_started_run,
    a_task,
    a_version,
    claim,
    claim_one,
    fail,
    newest,
    start,
    succeed,
)
from tests.support.harness import NOW, Harness
from tests.support.recovering import recover
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.deliveries import hand_back, time_out
from trigger_lite.engine.queues import Claims, Offer, claim_runs
from trigger_lite.protocol.errors import BadRequest
from trigger_lite.protocol.rates import RateConfig, parse_rate
from trigger_lite.store.runs import RunRow
from trigger_lite.store.versions import find_current_version


def _rated(engine: Harness, *, content: str = "one", **queue: Any) -> None:
    """Register the task `resize` with this queue; its environment may hold more than any test starts."""
    engine.change("UPDATE environment SET concurrency_limit = 1000")
    a_version(engine, a_task(queue={"concurrencyLimit": 1_000, **queue}), content=content)


def _rate(count: int, period_ms: int, burst: int = 1) -> dict[str, int]:
    return {"count": count, "periodMs": period_ms, "burst": burst}


def _runs(engine: Harness, count: int, **options: Any) -> list[RunRow]:
    return [a_run(engine, **options) for _ in range(count)]


def _claims(engine: Harness, count: int = 100) -> Claims:
    version = engine.do(find_current_version, engine.prod.id)
    assert version is not None
    return engine.do(claim_runs, engine.prod.id, [Offer(WORKER, version.id, count)])


def _lanes(engine: Harness) -> list[str]:
    return engine.ask("SELECT lane_key FROM lane ORDER BY lane_key")


# ---- a queue ----------------------------------------------------------------------------------------


def test_a_queue_starts_its_burst_at_once_and_then_what_its_rate_lets(engine: Harness) -> None:
    _rated(engine, rate=_rate(10, 1_000, burst=3))
    _runs(engine, 20)
    assert len(claim(engine, 20)) == 3
    assert claim(engine, 20) == []
    engine.pass_time(0.099)
    assert claim(engine, 20) == []
    engine.pass_time(0.001)
    assert len(claim(engine, 20)) == 1
    engine.pass_time(0.25)
    assert len(claim(engine, 20)) == 2


def test_a_claim_says_when_the_next_token_comes(engine: Harness) -> None:
    """So that the dispatcher looks again in the very millisecond."""
    _rated(engine, rate=_rate(3, 1_000))
    _runs(engine, 3)
    assert _claims(engine).next_due == NOW + 334
    engine.pass_time(0.334)
    assert len(_claims(engine).runs) == 1


def test_the_tokens_are_shared_by_all_keys_and_the_oldest_goes_first(engine: Harness) -> None:
    """Q-12: lanes are served by their oldest head, also when tokens come one by one."""
    _rated(engine, rate=_rate(1, 1_000))
    made = []
    for key in ("a", "b", "c", "a", "b", None):
        engine.pass_time(0.001)
        made.append(a_run(engine, concurrency_key=key))
    started = []
    for _ in made:
        started += [run.id for run in claim(engine, 10)]
        engine.pass_time(1)
    assert started == [run.id for run in made]


def test_a_queue_without_tokens_holds_up_no_other(engine: Harness) -> None:
    """Q-03: the free queue starts all it has, though its runs are younger."""
    _rated(engine, rate=_rate(1, 60_000))
    a_version(engine, a_task(queue={"rate": _rate(1, 60_000)}), a_task("mail"), content="two")
    _runs(engine, 5)
    _runs(engine, 2, concurrency_key="a")
    engine.pass_time(0.001)
    mails = [a_run(engine, "mail") for _ in range(4)]
    assert [run.task_id for run in claim(engine, 10)] == ["resize", *["mail"] * 4]
    assert engine.run(mails[3]).status == "DEQUEUED"


def test_queues_with_rates_are_served_by_their_oldest_head(engine: Harness) -> None:
    """Q-03: among each other and with those that have none, however few are asked for at once."""
    rate = _rate(10, 1_000, burst=10)
    names = ("a", "b", "c", "free")
    a_version(engine, *(a_task(name, queue={} if name == "free" else {"rate": rate}) for name in names))
    made = []
    for name in ("c", "free", "a", "b", "free", "a", "c", "b"):
        made.append(a_run(engine, name))
        engine.pass_time(0.001)
    started = [run.id for count in (1, 3, 2, 2) for run in claim(engine, count)]
    assert started == [run.id for run in made]


def test_a_limit_and_a_rate_hold_both(engine: Harness) -> None:
    """Q-10: tokens that no slot was free for are there when one is."""
    _rated(engine, concurrencyLimit=1, rate=_rate(2, 1_000, burst=2))
    _runs(engine, 5)
    first = claim(engine, 10)
    assert len(first) == 1
    assert claim(engine, 10) == []
    succeed(engine, start(engine, first[0]))
    assert len(claim(engine, 10)) == 1


# ---- keys -------------------------------------------------------------------------------------------


def test_each_key_has_a_bucket_of_its_own(engine: Harness) -> None:
    """Q-11: and those without a key have one together."""
    _rated(engine, keyRate=_rate(2, 1_000, burst=2))
    for key in ("a", "b", None):
        _runs(engine, 5, concurrency_key=key)
    assert sorted(run.concurrency_key or "" for run in claim(engine, 100)) == ["", "", "a", "a", "b", "b"]
    assert _claims(engine).next_due == NOW + 500
    engine.pass_time(0.5)
    assert sorted(run.concurrency_key or "" for run in claim(engine, 100)) == ["", "a", "b"]


def test_a_key_takes_its_token_only_when_the_queue_has_one(engine: Harness) -> None:
    """Both buckets hold: what the queue's refuses costs a key nothing."""
    _rated(engine, rate=_rate(1, 1_000), keyRate=_rate(1, 10_000))
    for key in ("a", "b"):
        _runs(engine, 2, concurrency_key=key)
    assert [run.concurrency_key for run in claim(engine, 10)] == ["a"]
    engine.pass_time(1)
    assert [run.concurrency_key for run in claim(engine, 10)] == ["b"]
    engine.pass_time(1)
    claims = _claims(engine)
    assert (claims.runs, claims.next_due) == ([], NOW + 10_000)
    engine.pass_time(8)
    assert [run.concurrency_key for run in claim(engine, 10)] == ["a"]


def test_a_key_that_comes_back_finds_its_bucket_as_it_left_it(engine: Harness) -> None:
    """Q-13: the lane is empty and nobody runs from it, but its tokens are spent."""
    _rated(engine, keyRate=_rate(1, 10_000))
    a_run(engine, concurrency_key="a")
    succeed(engine, start(engine, claim_one(engine)))
    assert _lanes(engine) == ["=a"]
    a_run(engine, concurrency_key="a")
    assert claim(engine) == []
    engine.pass_time(9.999)
    assert claim(engine) == []
    engine.pass_time(0.001)
    assert len(claim(engine)) == 1


def test_a_key_that_comes_back_gets_the_tokens_that_are_left(engine: Harness) -> None:
    """Q-13: it does not wait until the bucket is full."""
    _rated(engine, keyRate=_rate(1, 10_000, burst=3))
    a_run(engine, concurrency_key="a")
    succeed(engine, start(engine, claim_one(engine)))
    _runs(engine, 4, concurrency_key="a")
    assert len(claim(engine, 10)) == 2
    assert _claims(engine).next_due == NOW + 10_000


@pytest.mark.parametrize("burst", [1, 3])
def test_the_lane_of_a_key_disappears_when_its_bucket_is_full(engine: Harness, burst: int) -> None:
    """Q-13: whether its runs ended, or were cancelled in line."""
    _rated(engine, keyRate=_rate(1, 10_000, burst=burst))
    for key in ("done", "canceled"):
        a_run(engine, concurrency_key=key)
        succeed(engine, start(engine, claim_one(engine)))
    engine.do(cancel_run, engine.prod.id, a_run(engine, concurrency_key="canceled").id)
    assert _lanes(engine) == ["=canceled", "=done"]
    engine.pass_time(9.999)
    claim(engine)
    assert _lanes(engine) == ["=canceled", "=done"]
    engine.pass_time(0.002)
    claim(engine)
    assert _lanes(engine) == []


def test_the_lane_of_a_key_stays_while_a_run_of_it_goes_on(engine: Harness) -> None:
    """Q-13: also beyond the time at which its bucket is full; then it goes with the run."""
    _rated(engine, keyRate=_rate(1, 1_000))
    a_run(engine, concurrency_key="a")
    running = start(engine, claim_one(engine))
    engine.pass_time(5)
    claim(engine)
    assert _lanes(engine) == ["=a"]
    succeed(engine, running)
    assert _lanes(engine) == []


# ---- what counts --------------------------------------------------------------------------------------


def test_a_retry_that_waited_in_line_counts(engine: Harness) -> None:
    _rated(engine, rate=_rate(1, 60_000))
    fail(engine, a_started_run(engine), retry_ms=40_000)
    engine.pass_time(40)
    assert claim(engine) == []
    engine.pass_time(20)
    assert len(claim(engine)) == 1


def test_a_retry_within_its_worker_does_not_count(engine: Harness) -> None:
    """It takes no place in line; one that must count as well asks for a longer delay."""
    _rated(engine, rate=_rate(1, 60_000, burst=2))
    soon = fail(engine, a_started_run(engine), retry_ms=1_000).run
    start(engine, soon)
    a_run(engine)
    assert len(claim(engine)) == 1


def test_a_run_that_is_handed_back_has_used_its_token(engine: Harness) -> None:
    """Giving it back would let two runs start at once, had its bucket filled meanwhile."""
    _rated(engine, rate=_rate(1, 1_000))
    run = a_run(engine)
    engine.do(hand_back, engine.prod.id, run.id, newest(claim_one(engine)), WORKER)
    assert claim(engine) == []
    engine.pass_time(1)
    assert len(claim(engine)) == 1


def test_a_delivery_that_failed_has_used_its_token(engine: Harness) -> None:
    _rated(engine, rate=_rate(1, 600_000))
    claimed = (a_run(engine), claim_one(engine))[1]
    engine.do(time_out, claimed.id, claimed.snapshot_seq)
    engine.pass_time(300)
    assert claim(engine) == []


def test_a_run_that_lapsed_uses_no_token(engine: Harness) -> None:
    """Q-40: it is passed on the way to one that starts."""
    _rated(engine, rate=_rate(1, 60_000))
    a_run(engine, ttl=1)
    engine.pass_time(1)
    good = a_run(engine)
    assert [run.id for run in claim(engine, 10)] == [good.id]


def test_what_waits_for_a_worker_uses_no_token(engine: Harness) -> None:
    _rated(engine, rate=_rate(1, 60_000))
    _runs(engine, 2)
    assert claim(engine, 0) == []
    assert len(claim(engine, 5)) == 1


# ---- changes ----------------------------------------------------------------------------------------


def test_another_rate_holds_at_once(engine: Harness) -> None:
    """Q-18: for the queue and for keys that are parked."""
    _rated(engine, rate=_rate(1, 3_600_000))
    _runs(engine, 10)
    assert len(claim(engine, 10)) == 1
    _rated(engine, rate=_rate(10, 1_000), content="two")
    engine.pass_time(0.1)
    assert len(claim(engine, 10)) == 1
    _rated(engine, keyRate=_rate(1, 3_600_000), content="three")
    assert len(claim(engine, 10)) == 1
    assert claim(engine, 10) == []
    _rated(engine, keyRate=_rate(1, 1_000), content="four")
    engine.pass_time(1)
    assert len(claim(engine, 10)) == 1
    _rated(engine, content="five")
    assert len(claim(engine, 10)) == 6


def test_a_key_rate_that_is_removed_leaves_no_empty_lane(engine: Harness) -> None:
    """Q-13: what its buckets held is forgotten with it."""
    _rated(engine, keyRate=_rate(1, 3_600_000))
    a_run(engine, concurrency_key="a")
    succeed(engine, start(engine, claim_one(engine)))
    _rated(engine, content="two")
    assert _lanes(engine) == []


def test_a_rate_does_not_unpause_and_a_pause_does_not_fill_buckets(engine: Harness) -> None:
    """Q-33: and a restart of the server changes nothing either."""
    _rated(engine, keyRate=_rate(1, 60_000))
    _runs(engine, 3, concurrency_key="a")
    claim_one(engine)
    engine.do(recover)
    assert claim(engine) == []
    _rated(engine, keyRate=_rate(1, 60_000), concurrencyLimit=5, content="two")
    assert claim(engine) == []
    engine.pass_time(60)
    assert len(claim(engine)) == 1


@pytest.mark.parametrize("kind", ["rate", "keyRate"])
def test_a_clock_set_back_an_hour_stops_nothing_for_an_hour(engine: Harness, kind: str) -> None:
    queue: dict[str, Any] = {kind: _rate(10, 1_000)}
    _rated(engine, **queue)
    _runs(engine, 5, concurrency_key="a")
    assert len(claim(engine, 10)) == 1
    engine.pass_time(-3_600)
    engine.change("UPDATE run SET score = :now", now=NOW - 7_200_000)
    engine.change("UPDATE lane SET head_score = :now", now=NOW - 7_200_000)
    claim(engine, 10)
    engine.pass_time(0.101)
    assert len(claim(engine, 10)) == 1


def test_a_clock_set_forward_an_hour_fills_a_bucket_and_no_more(engine: Harness) -> None:
    _rated(engine, rate=_rate(10, 1_000, burst=2))
    _runs(engine, 10)
    claim(engine, 10)
    engine.pass_time(3_600)
    assert len(claim(engine, 10)) == 2


@pytest.mark.parametrize(
    "rate",
    [
        {"count": 0, "periodMs": 1_000},
        {"count": 1, "periodMs": 0},
        {"count": 1, "periodMs": 1_000, "burst": 0},
        {"count": 1_000_001, "periodMs": 1_000},
    ],
)
def test_a_rate_that_is_none_is_refused(engine: Harness, rate: dict[str, int]) -> None:
    with pytest.raises((BadRequest, ValueError)):
        _rated(engine, rate=rate)


def test_a_bucket_that_would_take_years_to_fill_is_refused(engine: Harness) -> None:
    with pytest.raises(BadRequest, match="fit into a year"):
        _rated(engine, rate=_rate(1, 86_400_000, burst=1_000))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/s", RateConfig(10, 1_000, 1)),
        ("100/s", RateConfig(100, 1_000, 10)),
        ("100/m", RateConfig(100, 60_000, 1)),
        ("1000/h", RateConfig(1_000, 3_600_000, 1)),
        ("5/30s", RateConfig(5, 30_000, 1)),
        (" 7 / 1h30m", RateConfig(7, 5_400_000, 1)),
    ],
)
def test_a_rate_is_written_as_starts_per_time(text: str, rate: RateConfig) -> None:
    """As many as fit into a tenth of a second start at once, at least one."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "10", "10/", "/s", "0/s", "-1/s", "1.5/s", "10/0s", "10/x", "9999999/s"]
)
def test_anything_else_is_no_rate(text: str) -> None:
    assert parse_rate(text) is None


# ---- all together -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_no_span_of_time_holds_more_starts_than_rate_and_burst_whatever_happens(
    engine: Harness, seed: int
) -> None:
    """Over the runs' own snapshots: for the queue, and for each key."""
    chance = random.Random(seed)
    rate, key_rate = RateConfig(7, 1_000, 3), RateConfig(2, 1_000, 2)
    _rated(engine, rate=_rate(7, 1_000, 3), keyRate=_rate(2, 1_000, 2), concurrencyLimit=4)
    running: list[RunRow] = []
    for _ in range(250):
        engine.pass_time(chance.choice([0, 0.001, 0.02, 0.1, 0.143, 0.5]))
        for _ in range(chance.randrange(4)):
            a_run(engine, concurrency_key=chance.choice([None, *"abcdef"]))
        running += [start(engine, run) for run in claim(engine, chance.randrange(6))]
        while running and chance.random() < 0.7:
            run = running.pop(chance.randrange(len(running)))
            succeed(engine, run) if chance.random() < 0.7 else fail(engine, run, retry_ms=40_000)
    rows = engine.ask(
        """SELECT snapshot.created_at, run.concurrency_key FROM snapshot JOIN run ON run.id = snapshot.run_id
            WHERE snapshot.execution_status = 'PENDING_EXECUTING' ORDER BY snapshot.created_at"""
    )
    assert len(rows) > 60
    _refuse_too_many(rate, [at for at, _ in rows])
    for key in {key for _, key in rows}:
        _refuse_too_many(key_rate, [at for at, chosen in rows if chosen == key])


def _refuse_too_many(rate: RateConfig, starts: list[int]) -> None:
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            most = rate.burst + rate.count * (starts[last] - starts[first]) // rate.period_ms
            assert last - first + 1 <= most
