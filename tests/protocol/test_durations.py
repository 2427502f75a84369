"""Durations in Trigger.dev's grammar, and what Python code may write for one (TR-09, TR-11, ID-02)."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigger_lite.protocol.durations import (
    Duration,
    duration_seconds,
    format_duration,
    parse_duration_ms,
    parse_key_ttl_ms,
)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("1s", 1_000), ("1w2d3h4m5s", 788_645_000), ("5s1h", 3_605_000), ("2hr", 7_200_000), ("1s2s", 1_000)],
)
def test_units_may_stand_in_any_order(text: str, milliseconds: int) -> None:
    """TR-09: a repeated one counts once."""
    assert parse_duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "1", "s", "1.5s", "-1s", "1 s", "1S", "1s ", "1ms", "0" * 100 + "s"])
def test_anything_else_is_no_duration(text: str) -> None:
    """TR-09: no decimals, no negatives, at most 100 characters."""
    assert parse_duration_ms(text) is None


@given(st.integers(0, 10**9))
def test_what_is_written_can_be_read(seconds: int) -> None:
    """Q-40: a TTL is named in the grammar in which it was given."""
    assert parse_duration_ms(format_duration(seconds)) == seconds * 1_000


@pytest.mark.parametrize(
    ("text", "life"), [("30s", 30_000), ("7d", 604_800_000), ("1w", None), ("1h1m", None)]
)
def test_the_life_of_a_key_is_one_number_and_one_unit(text: str, life: int | None) -> None:
    """ID-02: s, m, h or d."""
    assert parse_key_ttl_ms(text) == life


@pytest.mark.parametrize(("value", "seconds"), [("90s", 90), (1.5, 1.5), (timedelta(minutes=2), 120), (0, 0)])
def test_python_code_writes_text_numbers_or_timedeltas(value: Duration, seconds: float) -> None:
    assert duration_seconds(value) == seconds


@pytest.mark.parametrize("value", ["soon", -1, timedelta(seconds=-1), float("inf"), float("nan")])
def test_what_is_no_duration_is_said(value: Duration) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration_seconds(value)
