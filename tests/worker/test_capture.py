"""Records of `logging` in a run."""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from trigger_lite.worker.capture import capture_logging, log_level


@contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """The root logger without handlers, pytest's among them, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


class Sink(list[tuple[str, str, dict[str, Any] | None]]):
    """Keeps level, message and attributes."""

    def take(self, level: str, at: int, message: str, attributes: dict[str, Any] | None) -> None:
        self.append((level, message, attributes))


def test_without_any_set_up_info_is_shown() -> None:
    with bare_root():
        sink = Sink()
        capture_logging(sink.take)
        logging.getLogger("shop").info("sold %d", 3, extra={"order": 7})
        logging.getLogger("shop").debug("no")
        assert sink == [("INFO", "sold 3", {"order": 7})]


def test_a_console_handler_gives_way_so_that_nothing_shows_twice() -> None:
    with bare_root() as root:
        sink = Sink()
        root.addHandler(logging.StreamHandler(sys.stderr))
        alone = logging.getLogger("capture.alone")
        alone.propagate = False
        alone.addHandler(logging.StreamHandler(sys.stdout))
        elsewhere = io.StringIO()
        root.addHandler(logging.StreamHandler(elsewhere))
        capture_logging(sink.take)
        logging.getLogger("capture.child").warning("one")
        alone.error("two")
        assert sink == [("WARN", "one", None), ("ERROR", "two", None)]
        assert elsewhere.getvalue() == "one\n"


def test_an_exception_keeps_its_traceback() -> None:
    with bare_root():
        sink = Sink()
        capture_logging(sink.take)
        try:
            raise ValueError("oh")
        except ValueError:
            logging.exception("failed")
        (level, message, _) = sink[0]
        assert level == "ERROR"
        assert message.startswith("failed\nTraceback") and message.endswith("ValueError: oh")


@pytest.mark.parametrize(
    ("number", "word"),
    [(50, "ERROR"), (40, "ERROR"), (35, "WARN"), (30, "WARN"), (20, "INFO"), (10, "DEBUG"), (5, "TRACE")],
)
def test_levels_have_the_words_of_the_wire(number: int, word: str) -> None:
    assert log_level(number) == word
