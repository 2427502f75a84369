"""The whole server in this process, and workers played frame by frame over its real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect

from trigger_lite.config import Settings
from trigger_lite.protocol import worker
from trigger_lite.server import address_of, listen, platform, serve_http
from trigger_lite.web.services import Services

M = TypeVar("M", bound=worker.Message)
SECONDS: Final = 10.0
WORKER: Final = "worker_played"
_decoder: Final = msgspec.json.Decoder(list[worker.ServerMessage])


@dataclass(frozen=True)
class Serving:
    """A server that answers at `url` until `stop` is set."""

    services: Services
    url: str
    stop: asyncio.Event

    def key(self, environment: str = "prod") -> str:
        row = self.services.keys.by_slug(environment)
        assert row is not None
        return self.services.keys.key_of(row)

    def client(self, environment: str = "prod") -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self.key(environment)}", "x-trigger-api-version": "2025-07-16"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30)

    async def call(self, method: str, path: str, *, environment: str = "prod", **request: Any) -> Any:
        """Return what a request is answered with."""
        async with self.client(environment) as client:
            answer = await client.request(method, path, **request)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def register(self, *tasks: str, environment: str = "prod") -> str:
        """Register a version with these tasks, each tried three times; returns its id."""
        ref = (await self.call("GET", "/api/v1/whoami"))["project"]["externalRef"]
        manifest = {"contentHash": "one", "tasks": [{"id": t, "retry": {"maxAttempts": 3}} for t in tasks]}
        path = f"/api/v1/projects/{ref}/background-workers"
        answer = await self.call("POST", path, json={"metadata": manifest}, environment=environment)
        return str(answer["id"])

    async def trigger(self, task: str, payload: Any = None, *, environment: str = "prod") -> str:
        body = {"payload": payload}
        answer = await self.call("POST", f"/api/v1/tasks/{task}/trigger", json=body, environment=environment)
        return str(answer["id"])

    async def run(self, run_id: str) -> Any:
        return await self.call("GET", f"/api/v3/runs/{run_id}")

    def socket(self, environment: str = "prod") -> connect:
        """Open a worker's connection that has not said hello yet."""
        address = self.url.replace("http", "ws", 1) + worker.WORKER_PATH
        headers = {"authorization": f"Bearer {self.key(environment)}"}
        return connect(address, additional_headers=headers, max_size=None)

    @asynccontextmanager
    async def worker(
        self, version: str, *, runs: list[worker.HeldRun] | None = None, environment: str = "prod"
    ) -> AsyncIterator["WireWorker"]:
        """A worker that has been welcomed."""
        async with self.socket(environment) as socket:
            played = WireWorker(socket)
            await played.send(worker.Hello(worker.PROTOCOL_VERSION, WORKER, "played", version, runs or []))
            await played.receive(worker.Welcome)
            yield played


class WireWorker:
    """The far end of a worker's connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.received: list[worker.ServerMessage] = []

    async def send(self, *messages: worker.Message) -> None:
        """Send messages in one frame."""
        await self.socket.send(msgspec.json.encode(messages).decode())

    async def receive(self, kind: type[M]) -> M:
        """Return the next message of a kind; others before it are kept in `received`."""
        async with asyncio.timeout(SECONDS):
            while True:
                for place, message in enumerate(self.received):
                    if isinstance(message, kind):
                        del self.received[place]
                        return message
                self.received += _decoder.decode(await self.socket.recv(decode=False))

    async def closed(self) -> int:
        """Return the code with which the server closes the connection."""
        async with asyncio.timeout(SECONDS):
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[Serving]:
    """Serve an installation in this folder on a free port."""
    chosen = Settings(data=folder / "data", port=0, **settings)
    stop, answers = asyncio.Event(), asyncio.Event()
    with closing(listen(chosen)) as listener:
        url = address_of(chosen, listener)
        async with platform(chosen, url, stop) as (_, services):
            http = serve_http(services, listener, stop=stop, worker=None, ready=answers.set)
            running = asyncio.create_task(http)
            try:
                async with asyncio.timeout(SECONDS):
                    await answers.wait()
                yield Serving(services, url, stop)
            finally:
                stop.set()
                async with asyncio.timeout(SECONDS):
                    await running
