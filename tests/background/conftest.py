"""A store with its events joined to a dispatcher, as the server joins them; the workers are played."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import TASK, a_task
from tests.support.harness import database_at
from trigger_lite.background.dispatcher import Dispatcher
from trigger_lite.engine.attempts import complete_attempt, start_attempt
from trigger_lite.engine.bus import Bus
from trigger_lite.engine.events import MoreParked, QueueChanged, RunMoved, VersionRegistered
from trigger_lite.engine.installation import prepare_installation
from trigger_lite.engine.queues import Claim
from trigger_lite.engine.requests import check_trigger
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.engine.workers import register_version
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.manifest import TaskManifest, WorkerManifest
from trigger_lite.protocol.tasks import TriggerOptions, TriggerTask
from trigger_lite.protocol.worker import Moved
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.runs import RunRow, find_run
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Reader

SECONDS = 10.0


class PlayedWorker:
    """The far end of a connection: remembers what it was sent."""

    def __init__(self, worker_id: str, environment_id: str, version_id: str, *, credits: int) -> None:
        self.worker_id = worker_id
        self.environment_id = environment_id
        self.version_id = version_id
        self.credits = credits
        self.pushed: list[str] = []
        self.cancelled: list[tuple[str, str]] = []
        self.left: list[str] = []
        self.steps: list[Moved] = []
        self._stepped: asyncio.Queue[Moved] = asyncio.Queue()
        self._arrived: asyncio.Queue[Claim] = asyncio.Queue()

    def push(self, claim: Claim) -> None:
        self.pushed.append(claim.run.id)
        self._arrived.put_nowait(claim)

    def cancel(self, run_id: str, snapshot: str) -> None:
        self.cancelled.append((run_id, snapshot))

    def leave(self, run_id: str) -> None:
        self.left.append(run_id)

    def moved(self, step: Moved) -> None:
        self.steps.append(step)
        self._stepped.put_nowait(step)

    async def sent(self) -> None:
        return None

    async def step(self) -> Moved:
        """Return the next step of a wait that is told."""
        async with asyncio.timeout(SECONDS):
            return await self._stepped.get()

    async def receive(self) -> RunRow:
        """Return the next run that is pushed."""
        async with asyncio.timeout(SECONDS):
            return (await self._arrived.get()).run


class RememberedWakes:
    """In place of the clock: who was to be woken, and when."""

    def __init__(self) -> None:
        self.wakes: list[tuple[str, int | None]] = []

    def wake(self, name: str, at_ms: int | None = None) -> None:
        self.wakes.append((name, at_ms))


class Room:
    """Everything between the store and the connections."""

    def __init__(self, store: Store, bus: Bus, environments: list[EnvironmentRow]) -> None:
        self.store = store
        self.clock = RememberedWakes()
        self.dispatcher = Dispatcher(store, self.clock)
        self.dev, self.prod = environments
        self._numbers = 0
        bus.subscribe(RunMoved, self.dispatcher.run_moved)
        bus.subscribe(QueueChanged, self.dispatcher.queue_changed)
        bus.subscribe(VersionRegistered, self.dispatcher.version_registered)
        bus.subscribe(MoreParked, self.dispatcher.more_parked)

    async def register(
        self, *tasks: TaskManifest, content: str = "one", environment: EnvironmentRow | None = None
    ) -> str:
        manifest = WorkerManifest(content_hash=content, tasks=list(tasks) or [a_task()])
        return (await self.store.write(register_version, (environment or self.prod).id, manifest)).id

    def connect(
        self, version_id: str, *, credits: int = 1, environment: EnvironmentRow | None = None
    ) -> PlayedWorker:
        self._numbers += 1
        place = environment or self.prod
        worker = PlayedWorker(f"worker_{self._numbers}", place.id, version_id, credits=credits)
        self.dispatcher.add(worker)
        return worker

    async def trigger(
        self, task: str = TASK, *, environment: EnvironmentRow | None = None, **options: Any
    ) -> str:
        body = TriggerTask(payload=None, options=TriggerOptions(**options))
        now = time.time_ns() // 1_000_000
        request = check_trigger(task, body, now=now, source="api", request_key=None)
        return (await self.store.write(trigger_run, environment or self.prod, request)).run_id

    async def run(self, run_id: str) -> RunRow:
        found = await self.store.read(find_run, run_id)
        assert found is not None
        return found

    async def start(self, run: RunRow) -> RunRow:
        name = snapshot_id(run.id, run.snapshot_seq)
        started = await self.store.write(start_attempt, run.environment_id, run.id, name, run.worker_id or "")
        return started.run

    async def finish(self, run: RunRow) -> None:
        started = await self.start(run)
        name = snapshot_id(run.id, started.snapshot_seq)
        completion = Completion(ok=True, id=run.id)
        await self.store.write(complete_attempt, run.environment_id, run.id, name, completion)

    async def settle(self) -> None:
        """Return when everything that events set off so far has been written and delivered."""
        for _ in range(8):
            await self.store.write(_nothing)


def _nothing(_tx: Reader) -> None:
    return None


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    bus = Bus()
    store = await Store.open(database_at(database_url, tmp_path), "state", publish=bus.publish)
    made = Room(store, bus, await store.write(prepare_installation, b"secret", 10))
    yield made
    await made.dispatcher.stop()
    await store.close()
