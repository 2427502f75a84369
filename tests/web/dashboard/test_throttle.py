"""Guessing passwords gets slower and slower."""

from trigger_lite.web.dashboard.throttle import FORGET_AFTER, FREE_TRIES, LONGEST_WAIT, MAX_KEYS, Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_few_tries_are_free_then_each_waits_twice_as_long() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    waits = []
    for _ in range(FREE_TRIES + 3):
        throttle.failed(["address"])
        waits.append(throttle.wait_seconds(["address"]))
        clock.now += waits[-1]
    assert waits == [0.0] * (FREE_TRIES - 1) + [1.0, 2.0, 4.0, 8.0]


def test_the_wait_has_an_end() -> None:
    throttle = Throttle(Clock())
    for _ in range(100):
        throttle.failed(["address"])
    assert throttle.wait_seconds(["address"]) == LONGEST_WAIT


def test_others_do_not_wait() -> None:
    throttle = Throttle(Clock())
    for _ in range(20):
        throttle.failed(["one"])
    assert throttle.wait_seconds(["other"]) == 0
    assert throttle.wait_seconds(["other", "one"]) > 0


def test_being_right_and_an_hour_of_peace_are_forgiven() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for key in ("right", "peaceful"):
        for _ in range(20):
            throttle.failed([key])
    throttle.succeeded(["right"])
    assert throttle.wait_seconds(["right"]) == 0
    clock.now += FORGET_AFTER + 1
    assert throttle.wait_seconds(["peaceful"]) == 0


def test_a_flood_of_addresses_takes_no_more_memory() -> None:
    throttle = Throttle(Clock())
    for number in range(MAX_KEYS + 500):
        throttle.failed([str(number)])
    assert len(throttle._failures) == MAX_KEYS
