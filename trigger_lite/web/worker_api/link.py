"""A connected worker, seen from the server."""

import asyncio
from typing import Final

import msgspec
from starlette.websockets import WebSocket

from trigger_lite.engine.queues import Claim
from trigger_lite.protocol import worker
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.web.worker_api.messages import place_of, run_message

_encoder: Final = msgspec.json.Encoder()
FULL_FRAME: Final = worker.MAX_FRAME_BYTES // 2
"""More bytes than this do not go into a frame together."""
MAX_REMEMBERED: Final = 10_000
"""Runs remembered as the environment's own before they are looked up again."""


class Link:
    """What the dispatcher holds of a connection: how many runs it takes, and how to reach it."""

    def __init__(
        self, websocket: WebSocket, environment: EnvironmentRow, *, worker_id: str, version_id: str
    ) -> None:
        self.worker_id = worker_id
        self.environment_id = environment.id
        self.version_id = version_id
        self.credits = 0
        # Runs known to be this environment's: those it was given, and those looked up.
        self.runs: set[str] = set()
        self._websocket = websocket
        self._place = place_of(environment)
        self._outbox: list[worker.ServerMessage] = []
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    def push(self, claim: Claim) -> None:
        self.remember({claim.run.id})
        self.send(run_message(claim, self._place))

    def remember(self, run_ids: set[str]) -> None:
        """Note runs as this environment's own."""
        if len(self.runs) > MAX_REMEMBERED:
            self.runs.clear()
        self.runs |= run_ids

    def cancel(self, run_id: str, snapshot: str) -> None:
        self.send(worker.Cancel(run_id, snapshot))

    def leave(self, run_id: str) -> None:
        self.send(worker.Leave(run_id))

    def moved(self, step: worker.Moved) -> None:
        self.send(step)

    def send(self, message: worker.ServerMessage) -> None:
        """Queue a message; all that is queued in one turn of the loop goes out in one frame."""
        self._outbox.append(message)
        self._filled.set()
        self._emptied.clear()

    async def sent(self) -> None:
        """Return when all that was queued is on its way, or the connection is gone."""
        await self._emptied.wait()

    async def send_all(self) -> None:
        """Send what is queued until cancelled; waits while the worker does not read."""
        try:
            while True:
                await self._filled.wait()
                self._filled.clear()
                batch, self._outbox = self._outbox, []
                for frame in frames_of(batch):
                    await self._websocket.send_text(frame)
                if not self._outbox:
                    self._emptied.set()
        finally:
            self._emptied.set()


def frames_of(messages: list[worker.ServerMessage]) -> list[str]:
    """Return the frames of these messages: one, or one for each when they would be too much for one."""
    if not messages:
        return []
    frame = _encoder.encode(messages)
    if len(frame) <= FULL_FRAME or len(messages) == 1:
        return [frame.decode()]
    return [_encoder.encode([message]).decode() for message in messages]
