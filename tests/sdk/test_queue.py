from datetime import timedelta
from typing import Any

import pytest

from trigger_lite import DefinitionError, Queue, Rate, queue, task
from trigger_lite.protocol.manifest import QueueManifest
from trigger_lite.protocol.rates import RateConfig


def test_a_queue_is_registered_with_its_limits() -> None:
    assert queue("crm/eu-1", concurrency=5).manifest() == QueueManifest("crm/eu-1", 5)
    assert queue("crm").manifest() == QueueManifest("crm")
    assert queue("crm", max_length=9).manifest() == QueueManifest("crm", max_length=9)


def test_queues_are_equal_by_value() -> None:
    assert queue("crm", concurrency=5) == Queue("crm", concurrency=5)


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 129])
def test_a_name_the_server_would_change_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="queue name"):
        queue(name)


@pytest.mark.parametrize("option", ["concurrency", "max_length"])
def test_a_negative_limit_is_refused(option: str) -> None:
    limits: dict[str, Any] = {option: -1}
    with pytest.raises(DefinitionError, match=f"{option} must be 0 or more"):
        queue("crm", **limits)


@pytest.mark.parametrize(
    ("rate", "config"),
    [
        ("10/s", RateConfig(10, 1_000, 1)),
        ("1000/h", RateConfig(1_000, 3_600_000, 1)),
        (Rate(10), RateConfig(10, 1_000, 1)),
        (Rate(100), RateConfig(100, 1_000, 10)),
        (Rate(100, burst=1), RateConfig(100, 1_000, 1)),
        (Rate(3, per=timedelta(milliseconds=250), burst=3), RateConfig(3, 250, 3)),
    ],
)
def test_rates_are_registered_for_the_queue_and_for_its_keys(rate: Rate | str, config: RateConfig) -> None:
    """As many as fit into a tenth of a second start at once, unless the code says."""
    assert queue("crm", rate=rate).manifest() == QueueManifest("crm", rate=config)
    assert queue("crm", per_key_rate=rate).manifest() == QueueManifest("crm", key_rate=config)


def test_the_queue_of_a_task_is_registered_with_it() -> None:
    @task(queue=queue("crm", rate="10/s", max_length=5))
    def sync(org: str) -> None: ...

    assert sync.manifest().queue == QueueManifest("crm", max_length=5, rate=RateConfig(10, 1_000, 1))


@pytest.mark.parametrize("rate", ["", "10", "s", "10/x", "1.5/s", "0/s", "10 per second", "10/0s"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    with pytest.raises(DefinitionError, match=r"per_key_rate: .* is not a rate; write for example"):
        queue("crm", per_key_rate=rate)


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": 2_000_000},
        {"count": 1, "per": 0},
        {"count": 1, "per": "soon"},
        {"count": 1, "per": float("inf")},
        {"count": 1, "per": -1},
        {"count": 1, "burst": 0},
        {"count": 1, "per": "1d", "burst": 1_000},
    ],
)
def test_a_rate_whose_numbers_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="Rate"):
        Rate(wrong.pop("count"), **wrong)
