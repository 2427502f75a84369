"""When a failed attempt, or a run never started, is tried again (AT-20, Q-31): pure functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigger_lite.engine.retry import SOON_MS, Retry, delivery_delay_ms, retry_delay_ms
from trigger_lite.protocol.manifest import RetryConfig

STEADY = RetryConfig(randomize=False)


def test_the_delays_double_from_one_second_to_one_minute() -> None:
    """AT-20: factor 2, at least 1 s, at most 60 s, when nobody says."""
    assert [retry_delay_ms(STEADY, "run_1", n) for n in range(1, 9)] == [
        1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
    ]  # fmt: skip


def test_the_settings_of_the_task_are_followed() -> None:
    """AT-20: min(max, min x factor^(k-1))."""
    settings = RetryConfig(factor=3, min_timeout_in_ms=10, max_timeout_in_ms=200, randomize=False)
    assert [retry_delay_ms(settings, "run_1", n) for n in range(1, 5)] == [10, 30, 90, 200]


@given(st.text(max_size=30), st.integers(1, 300))
def test_delays_are_spread_between_one_and_two_times(run_id: str, attempt: int) -> None:
    """AT-20: r in 1…2, never over the maximum; the same run and attempt give the same delay."""
    steady, spread = retry_delay_ms(STEADY, run_id, attempt), retry_delay_ms(None, run_id, attempt)
    assert min(steady, 60_000) <= spread <= min(2 * steady, 60_000)
    assert spread == retry_delay_ms(RetryConfig(), run_id, attempt)


def test_runs_that_failed_together_are_not_tried_again_together() -> None:
    """AT-20: randomised by default."""
    assert len({retry_delay_ms(None, f"run_{n}", 1) for n in range(100)}) > 50


def test_an_enormous_factor_ends_at_the_maximum() -> None:
    """AT-20: no number of attempts overflows."""
    settings = RetryConfig(factor=10.0, randomize=False)
    assert retry_delay_ms(settings, "run_1", 250) == 60_000


@pytest.mark.parametrize(("factor", "shortest"), [(1e300, 1.0), (2.0, 1e308), (1e308, 1e308)])
def test_settings_beyond_every_float_end_at_the_maximum(factor: float, shortest: float) -> None:
    """AT-20: what a manifest may say breaks nothing."""
    settings = RetryConfig(factor=factor, min_timeout_in_ms=shortest)
    assert retry_delay_ms(settings, "run_1", 65) == 60_000


def test_failed_deliveries_wait_from_a_second_to_an_hour() -> None:
    """Q-31: factor 2, randomised."""
    for deliveries in range(1, 30):
        exact = min(3_600_000, 1_000 * 2 ** (deliveries - 1))
        assert exact <= delivery_delay_ms("run_1", deliveries) <= min(2 * exact, 3_600_000)


def test_a_retry_is_soon_below_thirty_seconds_unless_it_must_queue() -> None:
    """AT-18: from 30 s on it waits in line."""
    assert Retry(SOON_MS - 1).is_soon and not Retry(SOON_MS).is_soon
    assert not Retry(0, must_queue=True).is_soon
