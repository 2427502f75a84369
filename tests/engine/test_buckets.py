"""The arithmetic of rates: exact, whatever the clock does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigger_lite.engine.rates import Bucket, bucket
from trigger_lite.protocol.rates import RateConfig

NOW = 1_790_000_000_000
RATES = st.builds(
    RateConfig,
    count=st.integers(1, 10_000),
    period_ms=st.integers(1, 86_400_000),
    burst=st.integers(1, 50),
)
STEPS = st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 20)), min_size=1, max_size=60)


def _most_in(rate: RateConfig, span_ms: int) -> int:
    """The starts that a span of time, its ends included, may hold at most."""
    return rate.burst + rate.count * span_ms // rate.period_ms


def _refuse_too_many(rate: RateConfig, starts: list[int]) -> None:
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            assert last - first + 1 <= _most_in(rate, starts[last] - starts[first])


@given(rate=RATES, steps=STEPS)
def test_no_span_of_time_holds_more_than_burst_and_rate(
    rate: RateConfig, steps: list[tuple[int, int]]
) -> None:
    """Whoever asks, whenever and for however many: at most burst + rate x span, to the last start."""
    now, full_at = NOW, 0
    starts: list[int] = []
    for passed, wanted in steps:
        now += passed
        found = bucket(rate, full_at, now)
        taken = min(wanted, found.tokens)
        full_at = found.spend(taken).full_at
        starts += [now] * taken
    _refuse_too_many(rate, starts)


@given(rate=RATES, spent=st.integers(1, 50), passed=st.integers(0, 10_000))
def test_the_next_token_comes_when_it_is_said_and_not_a_millisecond_sooner(
    rate: RateConfig, spent: int, passed: int
) -> None:
    first = bucket(rate, 0, NOW)
    left = first.spend(min(spent, first.tokens))._replace(now=NOW + passed)
    at = left.next_token_at
    assert left._replace(now=at).tokens >= 1
    assert at == left.now or left._replace(now=at - 1).tokens == 0


def _starts_within(rate: RateConfig, periods: int) -> int:
    """How many runs start when each starts as soon as it may."""
    now, full_at, starts = NOW, 0, 0
    while now < NOW + periods * rate.period_ms:
        full_at = bucket(rate, full_at, now).spend(1).full_at
        starts += 1
        now = bucket(rate, full_at, now).next_token_at
    return starts


@pytest.mark.parametrize(("count", "period_ms"), [(3, 1_000), (7, 1_000), (1_000, 3_600_000), (7, 60_000)])
def test_a_rate_does_not_drift(count: int, period_ms: int) -> None:
    """A thousand periods hold a thousand times as many starts, though a token takes no whole milliseconds."""
    starts = _starts_within(RateConfig(count, period_ms, 2), 1_000)
    assert 1_000 * count <= starts <= 1_000 * count + 2


def test_without_a_burst_each_start_waits_for_a_whole_millisecond() -> None:
    """Three a second, one at a time: at 0, 334 and 668 ms, so that two are never 333 ms apart."""
    assert _starts_within(RateConfig(3, 1_000, 1), 1_000) == 2_995


@given(rate=RATES)
def test_a_full_bucket_holds_its_burst_and_an_empty_one_fills_again(rate: RateConfig) -> None:
    full = bucket(rate, 0, NOW)
    assert (full.tokens, full.is_full) == (rate.burst, True)
    empty = full.spend(rate.burst)
    assert empty.tokens == 0
    later = empty._replace(now=empty.full_at // 1_000_000 + 1)
    assert (later.tokens, later.is_full) == (rate.burst, True)


@given(rate=RATES, back=st.integers(1, 10 * 86_400_000))
def test_a_clock_that_is_set_back_costs_one_token_at_most(rate: RateConfig, back: int) -> None:
    """The bucket is empty then, never emptier: the next run starts within the time of one token."""
    empty = bucket(rate, 0, NOW).spend(rate.burst)
    after = empty._replace(now=NOW - back)
    assert after.next_token_at <= after.now + empty.interval // 1_000_000 + 1


def test_a_token_is_rounded_against_the_queue() -> None:
    """Three a second take 333,333,334 ns each, so that three never fit into less than a second."""
    assert bucket(RateConfig(3, 1_000, 1), 0, NOW) == Bucket(333_333_334, 1, 0, NOW)
