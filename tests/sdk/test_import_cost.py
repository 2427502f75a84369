"""Importing the SDK costs little beside the one library it stands on.

A ratio of processor times within one run: how slow the machine is right now is in both. The milliseconds are
what `python -m bench import` measures.
"""

import os
import sys
from typing import Final

import pytest

_YARDSTICK: Final = "import dataclasses, msgspec"
# Seen: 1.1 to 1.9, and up to 3.4 beside others. An HTTP client too many adds two yardsticks and more.
_MOST: Final = 3.6
_TRIES: Final = 8
# What else the machine does makes an import dearer, never cheaper.
_ROUNDS: Final = 6


def processor_seconds(code: str) -> float:
    """Return user and system time of an interpreter that runs the code, the best of several."""
    return min(_once(code) for _ in range(_TRIES))


def _once(code: str) -> float:
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", code], dict(os.environ))
    _, status, usage = os.wait4(child, 0)
    assert status == 0, code
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize(
    "code",
    [
        "import trigger_lite",
        "from trigger_lite import task",
        "from trigger_lite import Ctx, Retry, AbortTaskRun, get_logger, metadata, queue, tags, task",
        "from trigger_lite import task, tokens, wait",
        "from trigger_lite import Hooks, hooks, local, middleware, retry, task",
    ],
)
def test_an_import_keeps_its_budget(code: str) -> None:
    ratios = []
    for _ in range(_ROUNDS):
        bare = processor_seconds("pass")
        ratios.append((processor_seconds(code) - bare) / (processor_seconds(_YARDSTICK) - bare))
        if ratios[-1] < _MOST:
            return
    raise AssertionError(f"{code!r} costs {ratios} times {_YARDSTICK!r}")
