"""The real application in memory over a real database; workers are played by the engine's own functions."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from tests.support.site import HOST, Links, NoDeadlines
from trigger_lite.config import Settings
from trigger_lite.engine.attempts import complete_attempt, start_attempt
from trigger_lite.engine.bus import Bus
from trigger_lite.engine.installation import prepare_installation
from trigger_lite.engine.queues import Offer, claim_runs
from trigger_lite.engine.workers import register_version
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.manifest import TaskManifest, WorkerManifest
from trigger_lite.protocol.run_errors import BuiltInError
from trigger_lite.store.database import SqliteDatabase
from trigger_lite.store.runs import RunRow
from trigger_lite.store.store import Store
from trigger_lite.telemetry.logs import LogBook
from trigger_lite.web.app import build_app
from trigger_lite.web.auth import Keyring
from trigger_lite.web.services import Services
from trigger_lite.web.watch import RunWatch

NEW_CLIENT: Final = {"x-trigger-api-version": "2025-07-16"}
_SECRET: Final = b"secret"
_WORKER: Final = "worker_1"
# Where a value may be null: what users gave or returned, and the limits of queues, which official clients
# want so. Everywhere else what is not there is left out.
_MAY_BE_NULL: Final = frozenset(
    {"payload", "output", "metadata", "concurrencyLimit", "current", "base", "override"}
    | {"overriddenAt", "overriddenBy"}
)


class Api:
    """Calls the application as clients do, and makes attempts as workers do."""

    def __init__(self, app: Starlette, services: Services) -> None:
        self.app = app
        self.services = services
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url=HOST)

    def headers(self, environment: str = "prod") -> dict[str, str]:
        row = self.services.keys.by_slug(environment)
        assert row is not None
        return {"authorization": f"Bearer {self.services.keys.key_of(row)}", **NEW_CLIENT}

    async def call(
        self, method: str, path: str, *, environment: str = "prod", headers: Any = None, **request: Any
    ) -> httpx.Response:
        """Send a request with an environment's key; an answer of JSON is searched for stray nulls."""
        everything = {**self.headers(environment), **(headers or {})}
        answer = await self.client.request(method, path, headers=everything, **request)
        if answer.headers.get("content-type") == "application/json":
            assert not _nulls(answer.json()), answer.text
        return answer

    async def get(self, path: str, **request: Any) -> Any:
        answer = await self.call("GET", path, **request)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def trigger(
        self, task: str = "resize", payload: Any = None, *, environment: str = "prod", **options: Any
    ) -> str:
        """Trigger a run and return its id."""
        body = {"payload": payload, "options": options}
        answer = await self.call("POST", f"/api/v1/tasks/{task}/trigger", json=body, environment=environment)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    async def run(self, run_id: str, **request: Any) -> Any:
        return await self.get(f"/api/v3/runs/{run_id}", **request)

    # ---- what workers do -----------------------------------------------------------------------------

    async def register(self, *tasks: str, content: str = "one", environment: str = "prod") -> str:
        """Register a version with these tasks, each with one attempt; returns its number."""
        manifest = WorkerManifest(
            content_hash=content,
            tasks=[
                msgspec.convert({"id": task, "retry": {"maxAttempts": 1}}, TaskManifest) for task in tasks
            ],
        )
        return (await self.services.store.write(register_version, self._id(environment), manifest)).version

    async def claim(self, *, environment: str = "prod") -> RunRow:
        """Hand the next run to a worker of the current version."""
        version = await self.services.store.read(_current_version, self._id(environment))
        offers = [Offer(_WORKER, version, 1)]
        (claimed,) = (await self.services.store.write(claim_runs, self._id(environment), offers)).runs
        return claimed.run

    async def start(self, *, environment: str = "prod") -> RunRow:
        """Claim the next run and begin its attempt."""
        run = await self.claim(environment=environment)
        started = await self.services.store.write(
            start_attempt, run.environment_id, run.id, snapshot_id(run.id, run.snapshot_seq), _WORKER
        )
        return started.run

    async def finish(self, *, output: str | None = None, output_type: str = "application/json") -> str:
        """Run the next run to its success; returns its id."""
        run = await self.start()
        await self._complete(run, Completion(ok=True, id=run.id, output=output, output_type=output_type))
        return run.id

    async def fail(self) -> str:
        """Run the next run to its failure; returns its id."""
        run = await self.start()
        error = BuiltInError("ValueError", "no such file", "Traceback …")
        await self._complete(run, Completion(ok=False, id=run.id, error=error))
        return run.id

    async def _complete(self, run: RunRow, completion: Completion) -> None:
        snapshot = snapshot_id(run.id, run.snapshot_seq)
        await self.services.store.write(complete_attempt, run.environment_id, run.id, snapshot, completion)

    def _id(self, environment: str) -> str:
        row = self.services.keys.by_slug(environment)
        assert row is not None
        return row.id


def _current_version(tx: Any, environment_id: str) -> str:
    from trigger_lite.store.versions import find_current_version

    version = find_current_version(tx, environment_id)
    assert version is not None, "register a version first"
    return version.id


def _nulls(value: Any, path: str = "$") -> list[str]:
    """Return the places where an answer holds a null that is not a user's own."""
    if value is None:
        return [path]
    if isinstance(value, dict):
        return [
            p for key, item in value.items() if key not in _MAY_BE_NULL for p in _nulls(item, f"{path}.{key}")
        ]
    if isinstance(value, list):
        return [p for place, item in enumerate(value) for p in _nulls(item, f"{path}[{place}]")]
    return []


@pytest.fixture
def inbox_limit() -> int:
    """How many writes may wait."""
    return 2_000


@pytest.fixture
async def api(tmp_path: Path, inbox_limit: int) -> AsyncIterator[Api]:
    """A new installation."""
    bus = Bus()
    state = SqliteDatabase(tmp_path / "trigger.db", synchronous="OFF")
    store = await Store.open(state, "state", publish=bus.publish, inbox_limit=inbox_limit)
    lines = SqliteDatabase(tmp_path / "telemetry.db", synchronous="OFF")
    telemetry = await Store.open(lines, "telemetry", publish=bus.publish)
    try:
        services = Services(
            settings=Settings(inbox=inbox_limit),
            store=store,
            telemetry=telemetry,
            logs=await LogBook.open(telemetry, bus),
            bus=bus,
            keys=Keyring(_SECRET, await store.write(prepare_installation, _SECRET, 100)),
            watch=RunWatch(bus),
            dispatcher=Links(),
            deadlines=NoDeadlines(),
            secret=_SECRET,
            public_url=HOST,
            trouble=_no_trouble,
        )
        opened = Api(build_app(services), services)
        async with opened.client:
            yield opened
    finally:
        await store.close()
        await telemetry.close()


async def _no_trouble() -> str | None:
    return None
