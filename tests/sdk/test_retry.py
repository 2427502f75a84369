import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigger_lite import DefinitionError, Retry, task


def test_delays_grow_by_the_factor_up_to_the_longest() -> None:
    """AT-20"""
    retry = Retry(10, min="1s", max="10s", factor=2, randomize=False)
    assert [retry.delay_seconds(attempt) for attempt in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_the_default_is_three_attempts_from_a_second_to_a_minute() -> None:
    """AT-20"""
    config = Retry().config()
    assert (config.max_attempts, config.factor, config.randomize) == (3, 2, True)
    assert (config.min_timeout_in_ms, config.max_timeout_in_ms) == (1000, 60_000)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_chance_at_most_doubles_a_delay_and_never_exceeds_the_longest(attempt: int, jitter: float) -> None:
    """AT-20"""
    retry = Retry(min="1s", max="1h")
    plain = Retry(min="1s", max="1h", randomize=False).delay_seconds(attempt)
    delay = retry.delay_seconds(attempt, jitter)
    assert plain <= delay <= min(3600, 2 * plain)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Retry(0), "attempts must be 1 to 250"),
        (lambda: Retry(251), "attempts must be 1 to 250"),
        (lambda: Retry(factor=0), "factor must be more than 0"),
        (lambda: Retry(min="1x"), "'1x' is not a duration"),
        (lambda: Retry(min="2m"), "min is more than max"),
        (lambda: Retry(out_of_memory_machine="large"), "there is no machine 'large'; did you mean 'large-"),
    ],
)
def test_a_wrong_setting_is_said_at_once(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(DefinitionError, match=message):
        make()


def test_the_machine_for_more_memory_is_announced_with_the_task() -> None:
    """AT-14: the server decides on it, which knows where the run was."""

    @task(retry=Retry(3, out_of_memory_machine="large-1x"))
    def train() -> None: ...

    assert msgspec.to_builtins(train.manifest())["retry"]["outOfMemory"] == {"machine": "large-1x"}
    assert "outOfMemory" not in msgspec.to_builtins(Retry(3).config())
