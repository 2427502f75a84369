"""Workers written out message by message, against a real server."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.support.real_server import RealServer, running_server
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.worker import (
    MAX_FRAME_BYTES,
    PROTOCOL_VERSION,
    WORKER_PATH,
    Ack,
    Complete,
    Credits,
    HeldRun,
    Hello,
    Message,
    Refused,
    Run,
    ServerMessage,
    Start,
    Welcome,
)

M = TypeVar("M", bound=Message)
_SECONDS: Final = 10.0
_decoder: Final = msgspec.json.Decoder(list[ServerMessage])


class RawWorker:
    """One connection; a context manager. `task` is what its version can run."""

    def __init__(
        self,
        server: RealServer,
        *,
        task: str,
        worker_id: str,
        environment: str = "prod",
        version_id: str | None = None,
    ) -> None:
        self.server = server
        self.task = task
        self.worker_id = worker_id
        self.environment = environment
        self.version_id = version_id or register(server, task, environment=environment)
        self._numbers = itertools.count(1)
        self._read: list[Message] = []
        self._open = ExitStack()
        self.socket = self._open.enter_context(open_socket(server, server.key(environment)))

    def hello(self, *held: HeldRun) -> Welcome:
        """Introduce this worker as one that holds these runs."""
        self.send(Hello(PROTOCOL_VERSION, self.worker_id, "raw", self.version_id, list(held)))
        return self.next(Welcome)

    def send(self, *messages: Message) -> None:
        self.socket.send(msgspec.json.encode(list(messages)).decode())

    def next(self, kind: type[M]) -> M:
        """Return the next message of a kind; others stay for later."""
        while True:
            for message in self._read:
                if isinstance(message, kind):
                    self._read.remove(message)
                    return message
            self._read += _decoder.decode(self.socket.recv(_SECONDS))

    def ask(self, make: Callable[[int], Message]) -> Ack | Refused:
        """Send a message that is answered, and return the answer."""
        seq = next(self._numbers)
        self.send(make(seq))
        while True:
            for message in self._read:
                if isinstance(message, Ack | Refused) and message.seq == seq:
                    self._read.remove(message)
                    return message
            self._read += _decoder.decode(self.socket.recv(_SECONDS))

    def trigger(self, **options: Any) -> str:
        return self.server.trigger(self.task, {}, environment=self.environment, **options)

    def run(self, run_id: str) -> dict[str, Any]:
        return self.server.run(run_id, environment=self.environment)

    def take(self, count: int = 1) -> Run:
        """Ask for work and return the run that comes."""
        self.send(Credits(count))
        return self.next(Run)

    def start(self, run: Run) -> Ack | Refused:
        return self.ask(lambda seq: Start(seq, run.execution.run.id, run.snapshot))

    def succeed(self, run: Run, output: str = '"done"') -> Ack | Refused:
        completion = Completion(ok=True, id=run.execution.run.id, output=output)
        return self.complete(run, completion)

    def complete(self, run: Run, completion: Completion) -> Ack | Refused:
        return self.ask(lambda seq: Complete(seq, run.execution.run.id, run.started_snapshot, completion))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._open.close()


def open_socket(server: RealServer, key: str | None) -> AbstractContextManager[ClientConnection]:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    url = server.url.replace("http://", "ws://") + WORKER_PATH
    return connect(url, additional_headers=headers, compression=None, proxy=None, max_size=MAX_FRAME_BYTES)


def register(server: RealServer, task: str, *, environment: str = "prod") -> str:
    """Register a version with one task that has three attempts; returns the version's id."""
    retry = {"maxAttempts": 3, "minTimeoutInMs": 1000}
    metadata = {"contentHash": f"of {task}", "tasks": [{"id": task, "filePath": "raw.py", "retry": retry}]}
    with server.client(environment) as client:
        ref = client.get("/api/v1/whoami").json()["project"]["externalRef"]
        path = f"/api/v1/projects/{ref}/background-workers"
        answer = client.post(path, json={"localOnly": True, "metadata": metadata})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])


def held(run: Run) -> HeldRun:
    """Return a started run as a reconnecting worker names it."""
    return HeldRun(run.execution.run.id, run.started_snapshot)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, _ports: Iterator[int]) -> Iterator[RealServer]:
    """A server for all tests of a module; each has tasks of its own."""
    with running_server(tmp_path_factory.mktemp("server"), next(_ports)) as running:
        yield running


Connect = Callable[..., RawWorker]


@pytest.fixture
def connect_worker(server: RealServer, request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Open the connection of a worker for this test's own task."""
    opened: list[RawWorker] = []
    own = "".join(c if c.isalnum() else "-" for c in request.node.name)

    def open_worker(worker: str = "one", **options: Any) -> RawWorker:
        opened.append(RawWorker(server, task=own, worker_id=f"{worker}-{own[-40:]}", **options))
        return opened[-1]

    yield open_worker
    for worker in opened:
        worker.close()
