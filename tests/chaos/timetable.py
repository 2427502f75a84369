"""Schedules that run every minute, whatever dies meanwhile: each time makes one run, neither two nor none."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.records import RunRecord
from trigger_lite import Client

_MINUTE_MS: Final = 60_000
_EVERY_MINUTE: Final = "* * * * *"
_ATTEMPTS: Final = 20
_SETTLED_MS: Final = 10_000
"""What is due may be late by this when everything was started anew just before the end."""


@dataclass
class Timetable:
    """Schedules, and the times (Unix ms) between which all of theirs must have had a run."""

    url: str
    key: str
    complete: list[str] = field(default_factory=list)
    """Schedules whose every time is run."""
    choosy: list[str] = field(default_factory=list)
    """Schedules that may pass over a time while their previous run is going on."""
    first: int = 0
    last: int = 0

    def begin(self) -> None:
        """Make the schedules; their task must be known."""
        client = Client(self.url, self.key, attempts=_ATTEMPTS)
        for _ in range(2):
            self.complete.append(client.schedules.create("tick", _EVERY_MINUTE, catch_up="all").id)
        self.choosy.append(client.schedules.create("tick", _EVERY_MINUTE, overlap="skip").id)
        self.choosy.append(client.schedules.create("tick", _EVERY_MINUTE, overlap="queue").id)
        self.first = time.time_ns() // 1_000_000
        client.close()

    def end(self) -> None:
        """Let nothing more be planned."""
        self.last = time.time_ns() // 1_000_000 - _SETTLED_MS
        client = Client(self.url, self.key, attempts=_ATTEMPTS)
        for schedule_id in (*self.complete, *self.choosy):
            client.schedules.pause(schedule_id)
        client.close()

    def judge(self, runs: Iterable[RunRecord]) -> Iterator[str]:
        """Yield the times that had no run, or two."""
        made = Counter((run.schedule_id, run.scheduled_for) for run in runs if run.scheduled_for is not None)
        for (schedule_id, at), count in made.items():
            if count > 1:
                yield f"{schedule_id} made {count} runs for {at}"
        following = -(-self.first // _MINUTE_MS) * _MINUTE_MS
        for at in range(following, self.last, _MINUTE_MS):
            yield from (
                f"{schedule} made no run for {at}" for schedule in self.complete if (schedule, at) not in made
            )
