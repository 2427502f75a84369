"""How many runs are fetched ahead."""

import pytest

from trigger_lite.worker.credits import RunLengths


def test_nothing_is_known_before_the_first_run() -> None:
    assert RunLengths().ahead_per_child() == 0


@pytest.mark.parametrize(
    ("seconds", "ahead"), [(0.0001, 16), (0.003, 16), (0.01, 5), (0.05, 1), (0.051, 0), (60, 0)]
)
def test_short_runs_are_fetched_ahead_of_need(seconds: float, ahead: int) -> None:
    lengths = RunLengths()
    lengths.measured(seconds)
    assert lengths.ahead_per_child() == ahead


def test_one_long_wait_ends_fetching_ahead_and_short_runs_bring_it_back() -> None:
    lengths = RunLengths()
    lengths.measured(0.001)
    lengths.underestimated(0.25)
    assert lengths.ahead_per_child() == 0
    for _ in range(30):
        lengths.measured(0.001)
    assert lengths.ahead_per_child() == 16
