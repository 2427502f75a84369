"""The waiting side of the played server: it blocks runs over HTTP and lets them go on when a test says so."""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tests.support.fake_server import FakeServer
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.statuses import ExecutionStatus
from trigger_lite.protocol.waitpoints import CompletedByRun, CompletedWaitpoint, WaitpointKind
from trigger_lite.protocol.worker import Moved, Run

_DURATION: Final = re.compile(r"/engine/v1/runs/([^/]+)/wait/duration")
_TOKEN: Final = re.compile(r"/engine/v1/runs/([^/]+)/waitpoints/tokens/([^/]+)/wait")
_TRIGGER: Final = re.compile(r"/api/v1/tasks/([^/]+)/trigger")


class FakeWaits:
    """Answers requests for waits: `blocked` are the runs that wait, in order, with what for."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self.blocked: list[tuple[str, CompletedWaitpoint]] = []
        self.bodies: list[Any] = []
        self.answer: Callable[[str, Any], tuple[int, Any] | None] = lambda path, body: None
        """What to answer instead of blocking, by path and body; None to block."""
        self.before_answer: Callable[[], None] = lambda: None
        """Called when a run is blocked, before its request is answered."""
        server.routes = self._route

    async def waits(self, count: int) -> None:
        """Wait until so many waits were asked for."""
        await self._server.until(lambda: len(self.blocked) >= count)

    def waitpoint_of(self, run: Run, number: int = 0) -> CompletedWaitpoint:
        """Return what a run waits for, as it ends."""
        return [waitpoint for run_id, waitpoint in self.blocked if run_id == run.execution.run.id][number]

    def block(self, run: Run, *, seq: int = 4) -> Moved:
        """Return the step by which a run begins to wait."""
        return _moved(run, seq, ExecutionStatus.EXECUTING_WITH_WAITPOINTS)

    def queued(self, run: Run, *, seq: int) -> Moved:
        """Return the step by which a run that waited has no slot yet."""
        return _moved(run, seq, ExecutionStatus.QUEUED_EXECUTING)

    def go_on(self, run: Run, *ended: CompletedWaitpoint, seq: int = 5, **changes: Any) -> Moved:
        """Return the step by which a run goes on: all it waits for is over, or `ended` is."""
        waitpoints = ended or (msgspec.structs.replace(self.waitpoint_of(run, -1), **changes),)
        return _moved(run, seq, ExecutionStatus.EXECUTING, *waitpoints)

    def _route(self, method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        if not (_DURATION.fullmatch(path) or _TOKEN.fullmatch(path) or _TRIGGER.fullmatch(path)):
            return None
        decoded: Any = msgspec.json.decode(body) if body else None
        answer = self.answer(path, decoded)
        if answer is not None:
            return answer
        if match := _DURATION.fullmatch(path):
            self.bodies.append(decoded)
            waitpoint = f"waitpoint_{decoded['idempotencyKey'][:24]}"
            self._block(match[1], a_waitpoint(waitpoint, WaitpointKind.DATETIME))
            return 200, {"waitUntil": decoded["date"], "waitpoint": {"id": waitpoint}}
        if match := _TOKEN.fullmatch(path):
            self._block(match[1], a_waitpoint(match[2], WaitpointKind.MANUAL))
            return 200, {"success": True}
        if match := _TRIGGER.fullmatch(path):
            self.bodies.append(decoded)
            child = f"run_child{len(self.blocked)}"
            ended = a_waitpoint(f"waitpoint_{child}", WaitpointKind.RUN, child=child)
            self._block(decoded["options"]["parentRunId"], ended)
            return 200, {"id": child}
        return None

    def _block(self, run_id: str, waitpoint: CompletedWaitpoint) -> None:
        self.blocked.append((run_id, waitpoint))
        self.before_answer()
        self._server.heard()


def a_waitpoint(
    waitpoint_id: str, kind: WaitpointKind, *, child: str | None = None, **fields: Any
) -> CompletedWaitpoint:
    """Return a waitpoint that ended well, without an output unless `fields` say so."""
    ended = CompletedWaitpoint(
        id=waitpoint_id,
        friendly_id=waitpoint_id,
        type=kind,
        completed_at="2030-01-01T00:00:00.000Z",
        output_is_error=False,
        completed_by_task_run=None if child is None else CompletedByRun(child, child),
    )
    return msgspec.structs.replace(ended, **fields)


def _moved(run: Run, seq: int, status: ExecutionStatus, *ended: CompletedWaitpoint) -> Moved:
    run_id = run.execution.run.id
    return Moved(run_id, snapshot_id(run_id, seq), status, list(ended))
