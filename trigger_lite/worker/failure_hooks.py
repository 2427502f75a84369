"""Telling a run's hooks that it failed, where its own process could not: after a crash, after a timeout.

Only once the server has said that nothing comes after the failure. The run is over by then, whatever the
hooks do; they get a child of their own, and so much time.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from trigger_lite.protocol.worker import Ack
from trigger_lite.sdk.lifecycle import heard_of_failure
from trigger_lite.worker.child_process import ChildProcess
from trigger_lite.worker.crew import Crew
from trigger_lite.worker.held import HeldRun, Stage
from trigger_lite.worker.messages import Begin

_FINISHED: Final = "RUN_FINISHED"


class FailureHooks:
    """Runs that failed and whose hooks do not know it yet, and those whose hooks are being told.

    `over_time` is called with one whose hooks took too long, before they are ended, `ended` after each.
    """

    def __init__(
        self,
        crew: Crew,
        limit: float,
        *,
        over_time: Callable[[HeldRun], None],
        ended: Callable[[HeldRun], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._crew = crew
        self._limit = limit
        self._over_time = over_time
        self._ended = ended
        self._waiting: deque[HeldRun] = deque()
        self._running: set[HeldRun] = set()
        self._is_stopped = False

    @property
    def waiting(self) -> int:
        """How many wait for a child."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many are being told."""
        return len(self._running)

    def consider(self, held: HeldRun, ack: Ack) -> bool:
        """The server has answered how an attempt ended: return whether hooks have to be told, and will be."""
        completion = held.completion
        if self._is_stopped or completion is None or completion.ok or held.cancel_snapshot is not None:
            return False
        if ack.attempt_status != _FINISHED or heard_of_failure(completion):
            return False
        self._waiting.append(held)
        return True

    def begin(self, child: ChildProcess) -> None:
        """Tell the hooks of the run that has waited longest, in this child."""
        held = self._waiting.popleft()
        assert held.completion is not None
        held.stage = Stage.TELLING
        held.child = child
        held.output = None
        child.run = held
        child.send(Begin(held.execution, held.env, held.completion.error))
        held.timer = self._loop.call_later(self._limit, self._too_long, held)
        self._running.add(held)

    def done(self, held: HeldRun) -> None:
        """The hooks were told, or their process is gone."""
        held.cancel_timer()
        held.child = None
        self._running.discard(held)
        self._ended(held)

    def stop(self) -> None:
        """End what still runs, at once, and begin nothing more."""
        self._is_stopped = True
        self._waiting.clear()
        for held in list(self._running):
            self._kill(held)

    def _too_long(self, held: HeldRun) -> None:
        self._over_time(held)
        self._kill(held)

    def _kill(self, held: HeldRun) -> None:
        if held.child is not None:
            self._crew.discard(held.child)
        self.done(held)
