"""Events reach their subscribers, whatever one of them does."""

import logging

import pytest

from trigger_lite.engine.bus import Bus
from trigger_lite.engine.events import Event, QueueChanged, RunChanged

QUEUE = QueueChanged("env_1", "queue_1")
RUN = RunChanged("env_1", "run_1", "resize")


def test_a_subscriber_hears_of_its_class_of_events_in_order() -> None:
    bus, heard = Bus(), list[Event]()
    bus.subscribe(RunChanged, heard.append)
    bus.publish([RUN, QUEUE, RUN])
    assert heard == [RUN, RUN]


def test_a_failing_subscriber_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bus, heard = Bus(), list[Event]()

    def fail(_event: Event) -> None:
        raise ValueError("broken")

    bus.subscribe(RunChanged, fail)
    bus.subscribe(RunChanged, heard.append)
    with caplog.at_level(logging.ERROR):
        bus.publish([RUN])
    assert heard == [RUN]
    assert "a subscriber failed on RunChanged" in caplog.text


def test_who_left_hears_nothing_more_and_may_leave_twice_or_while_hearing() -> None:
    bus, heard = Bus(), list[Event]()

    def once(event: RunChanged) -> None:
        heard.append(event)
        leave()

    leave = bus.subscribe(RunChanged, once)
    bus.publish([RUN, RUN])
    leave()
    assert heard == [RUN]
