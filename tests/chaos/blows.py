"""Carries out the plan: kills or freezes what it names at its time, and starts it again."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tests.chaos.plan import Blow, Plan
from tests.chaos.records import Records
from tests.chaos.stage import Stage
from tests.support.processes import Process

_STEP: Final = 0.1


class Striker:
    """Kills as planned, on the caller's thread. What a dead server left in its database is looked at."""

    def __init__(self, stage: Stage, plan: Plan, tell: Callable[[Counter[str], float], None]) -> None:
        """`tell` is called often, with what was killed and the seconds left."""
        self._stage = stage
        self._plan = plan
        self._tell = tell
        self._ended: dict[str, str] = {}
        self._absent: list[tuple[float, int]] = []
        self._frozen: list[tuple[float, Process]] = []
        self._end = 0.0
        self.kills: Counter[str] = Counter()
        self.faults: list[str] = []

    def play(self) -> None:
        """Strike until the plan is done, and leave everything running."""
        began = time.monotonic()
        self._end = began + self._plan.seconds
        for blow in self._plan.blows:
            self._wait_until(began + blow.at)
            self._strike(blow)
        self._wait_until(self._end)
        self._bring_back(float("inf"))
        self._stage.wait_until_serving()

    def _wait_until(self, moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            self._bring_back(time.monotonic())
            self._tell(self.kills, self._end - time.monotonic())
            time.sleep(min(left, _STEP))
        self._bring_back(time.monotonic())

    def _strike(self, blow: Blow) -> None:
        match blow.target:
            case "server":
                self._kill_server(blow)
            case "worker":
                self._kill_worker(blow)
            case "child":
                self._kill_child(blow)
            case "frozen server":
                self._stage.wait_until_serving()
                self._freeze(self._stage.server.process, blow)
            case "frozen worker":
                self._freeze(self._worker(blow), blow)

    def _kill_server(self, blow: Blow) -> None:
        if not blow.while_starting:
            self._stage.wait_until_serving()
        self._stage.server.process.kill()
        self.kills["server while starting" if blow.while_starting else "server"] += 1
        back_at = time.monotonic() + blow.away
        self._look_at_what_is_left()
        time.sleep(max(0.0, back_at - time.monotonic()))
        self._stage.start_server()

    def _look_at_what_is_left(self) -> None:
        """Check what every commit must leave: counters that are right, and ends that stay."""
        with Records(self._stage) as records:
            self.faults += records.wrong_counters()
            now = records.ended()
        for run_id, status in self._ended.items():
            if now.get(run_id) != status:
                self.faults.append(f"{run_id} had ended {status}, and is {now.get(run_id)} later")
        self._ended = now

    def _worker(self, blow: Blow) -> Process:
        return self._stage.workers[int(blow.pick * len(self._stage.workers))]

    def _freeze(self, process: Process, blow: Blow) -> None:
        """Stop a process in the middle of whatever it does; it goes on later as if nothing had been."""
        if process.is_running:
            process.send(signal.SIGSTOP)
            self.kills[blow.target] += 1
            self._frozen.append((time.monotonic() + blow.away, process))

    def _kill_worker(self, blow: Blow) -> None:
        number = int(blow.pick * len(self._stage.workers))
        worker = self._stage.workers[number]
        if worker.is_running:
            worker.kill()
            self.kills["worker"] += 1
        self._absent.append((time.monotonic() + blow.away, number))

    def _bring_back(self, now: float) -> None:
        """Start the workers that were killed, and let go on who was frozen, as far as it is time to."""
        for moment, process in [frozen for frozen in self._frozen if frozen[0] <= now]:
            self._frozen.remove((moment, process))
            process.send(signal.SIGCONT)
        for moment, number in [absent for absent in self._absent if absent[0] <= now]:
            self._absent.remove((moment, number))
            if not self._stage.workers[number].is_running:
                self._stage.workers[number] = self._stage.begin_worker()

    def _kill_child(self, blow: Blow) -> None:
        children = self._stage.children()
        if children:
            with suppress(ProcessLookupError):
                os.kill(children[int(blow.pick * len(children))], signal.SIGKILL)
                self.kills["child"] += 1
