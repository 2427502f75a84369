import logging

import pytest

from tests.support.attempts import RecordingChannel, an_execution
from trigger_lite import Ctx, get_logger
from trigger_lite.sdk.context import enter_context

log = get_logger()


def test_lines_of_a_run_go_to_its_channel_with_their_values() -> None:
    channel = RecordingChannel()
    with enter_context(Ctx(an_execution(), channel)):
        log.debug("a")
        log.info("b", rows=3, path="x.csv")
        log.warning("c", message="attribute", level=1)
        log.error("d")
    assert channel.lines == [
        ("DEBUG", "a", None),
        ("INFO", "b", {"rows": 3, "path": "x.csv"}),
        ("WARN", "c", {"message": "attribute", "level": 1}),
        ("ERROR", "d", None),
    ]


def test_an_exception_brings_its_traceback() -> None:
    channel = RecordingChannel()
    with enter_context(Ctx(an_execution(), channel)):
        try:
            int("x")
        except ValueError:
            log.exception("no number", text="x")
    ((level, message, attributes),) = channel.lines
    assert (level, message) == ("ERROR", "no number")
    assert attributes is not None
    assert attributes["text"] == "x"
    assert "ValueError: invalid literal" in attributes["exception"]


def test_a_value_that_json_cannot_hold_is_shown_as_its_repr() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "<odd>"

    loop: list[object] = []
    loop.append(loop)
    channel = RecordingChannel()
    with enter_context(Ctx(an_execution(), channel)):
        log.info("x", odd=Odd(), nested=[Odd()])
        log.info("y", loop=loop)
    assert channel.lines[0][2] == {"odd": "<odd>", "nested": ["<odd>"]}
    assert channel.lines[1][2] == {"loop": "[[...]]"}


def test_outside_a_run_lines_go_to_standard_logging(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        log.info("imported", rows=3)
        get_logger("mine").warning("careful, 100%")
    first, second = caplog.records
    assert (first.name, first.levelno, first.getMessage()) == (__name__, logging.INFO, "imported rows=3")
    assert first.filename == "test_logger.py"
    assert (second.name, second.getMessage()) == ("mine", "careful, 100%")
