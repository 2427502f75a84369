"""The server's side of the worker protocol, played by a test: it answers, pushes runs and remembers."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from trigger_lite.protocol.execution import (
    AttemptInfo,
    EnvironmentInfo,
    Execution,
    OrganizationInfo,
    ProjectInfo,
    QueueInfo,
    RunInfo,
    TaskInfo,
)
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.machines import PRESETS
from trigger_lite.protocol.manifest import RegisteredWorker, RegisterWorker
from trigger_lite.protocol.statuses import ExecutionStatus
from trigger_lite.protocol.worker import (
    Ack,
    Cancel,
    Complete,
    Credits,
    CurrentRun,
    Hello,
    LogLine,
    Logs,
    Message,
    Refused,
    Run,
    Welcome,
    WorkerMessage,
)

M = TypeVar("M", bound=Message)

KEY: Final = "tr_prod_test"
PATIENCE_SECONDS: Final = 20.0


class FakeServer:
    """Start with `async with`; `received` holds every message of every connection, in order."""

    def __init__(self, *, heartbeat_seconds: float = 30.0) -> None:
        self.heartbeat_seconds = heartbeat_seconds
        self.received: list[WorkerMessage] = []
        self.registered: list[RegisterWorker] = []
        self.hellos: list[Hello] = []
        self.credits = 0
        self.answers = True
        """Whether messages with a number are acknowledged as they come."""
        self.answer: Callable[[Any], Ack | Refused] = lambda message: Ack(message.seq)
        self.current: Callable[[Hello], list[CurrentRun]] = _all_current
        self.routes: Callable[[str, str, bytes], tuple[int, Any] | None] = lambda method, path, body: None
        """Answers a request, or None for those of every worker."""
        self.register_status = 200
        self.known_versions: set[str] | None = None
        """Versions that may say Hello; None for all."""
        self._pushing: deque[Run] = deque()
        self._numbers = itertools.count(1)
        self._news = asyncio.Event()
        self._connection: _Door | None = None
        self._decoder: msgspec.json.Decoder[list[WorkerMessage]] = msgspec.json.Decoder(list[WorkerMessage])
        self._port = 0

    async def __aenter__(self) -> "FakeServer":
        await self.listen()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def listen(self) -> None:
        """Accept connections, on the same port as before if there was one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Door(self), "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Accept no more, and drop the connection there is."""
        self._server.close()
        self.drop()
        await self._server.wait_closed()

    def drop(self) -> None:
        """Cut the worker's connection without a goodbye."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    def push(self, task: str, payload: Any = None, **options: Any) -> Run:
        """Give a run of `task` to the worker as soon as it has credit; returns the message."""
        run = a_run(f"run_{next(self._numbers):024d}", task, payload, **options)
        self._pushing.append(run)
        self.spend_credit()
        return run

    def cancel(self, run: Run) -> str:
        """Ask for the run's end; returns the snapshot the worker has to name."""
        snapshot = snapshot_id(run.execution.run.id, 7)
        self.send(Cancel(run.execution.run.id, snapshot))
        return snapshot

    def send(self, *messages: Message) -> None:
        """Send one frame."""
        self.send_text(msgspec.json.encode(messages))

    def send_text(self, data: bytes) -> None:
        """Send any text."""
        assert self._connection is not None, "no worker is connected"
        self._connection.send(data)

    async def expect(self, kind: type[M], where: Callable[[M], bool] = lambda message: True) -> M:
        """Wait for the first message of this kind, and return it."""
        return (await self.expect_all(kind, 1, where))[0]

    async def expect_all(
        self, kind: type[M], count: int, where: Callable[[M], bool] = lambda message: True
    ) -> list[M]:
        """Wait for so many messages of this kind, and return all there are."""
        await self.until(lambda: len(self.all_of(kind, where)) >= count)
        return self.all_of(kind, where)

    def all_of(self, kind: type[M], where: Callable[[M], bool] = lambda message: True) -> list[M]:
        """Return the messages of this kind so far."""
        return [message for message in self.received if isinstance(message, kind) and where(message)]

    async def until(self, condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until something that came made the condition true."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def heard(self) -> None:
        """Have whoever waits for something look again."""
        self._news.set()

    async def completion_of(self, run: Run) -> Complete:
        """Wait for the run's end."""
        return await self.expect(Complete, lambda message: message.run == run.execution.run.id)

    def lines_of(self, run: Run) -> list[LogLine]:
        """Return the run's log lines so far."""
        lines = itertools.chain.from_iterable(message.lines for message in self.all_of(Logs))
        return [line for line in lines if line.run == run.execution.run.id]

    # ---- what the door calls ----

    def http(self, method: str, path: str, key: str, body: bytes) -> tuple[int, Any]:
        """Answer one plain request."""
        if key != KEY:
            return 401, {"error": "Invalid or Missing API key"}
        answer = self.routes(method, path, body)
        if answer is not None:
            return answer
        if path.endswith("/whoami"):
            return 200, {
                "id": "env_1",
                "slug": "prod",
                "type": "PRODUCTION",
                "name": "Prod",
                "project": {"id": "project_1", "externalRef": "proj_1", "slug": "p", "name": "P"},
                "organization": {"id": "org_1", "slug": "o", "title": "O"},
            }
        if self.register_status != 200:
            return self.register_status, {"error": "this version is refused"}
        assert path == "/api/v1/projects/proj_1/background-workers", path
        registration = msgspec.json.decode(body, type=RegisterWorker)
        self.registered.append(registration)
        self._news.set()
        number = len(self.registered)
        return 200, RegisteredWorker(
            f"worker_{number}", f"20300101.{number}", registration.metadata.content_hash
        )

    def connected(self, door: "_Door") -> None:
        """A worker opened its WebSocket."""
        self._connection = door
        self.credits = 0

    def disconnected(self, door: "_Door") -> None:
        """A worker's WebSocket is gone."""
        if self._connection is door:
            self._connection = None
        self._news.set()

    def frame(self, door: "_Door", data: bytes) -> None:
        """Take all messages of a frame and answer."""
        answers: list[Message] = []
        for message in self._decoder.decode(data):
            self.received.append(message)
            if isinstance(message, Hello):
                self.hellos.append(message)
                if self.known_versions is not None and message.version_id not in self.known_versions:
                    door.close(1008, "this version is not registered")
                    continue
                answers.append(Welcome(self.heartbeat_seconds, self.current(message)))
            elif isinstance(message, Credits):
                self.credits += message.count
            elif self.answers and hasattr(message, "seq"):
                answers.append(self.answer(message))
        if answers:
            door.send(msgspec.json.encode(answers))
        self.spend_credit()
        self._news.set()

    def spend_credit(self) -> None:
        """Push what waits, as far as the worker has room for it."""
        runs: list[Run] = []
        while self.credits > 0 and self._pushing and self._connection is not None:
            self.credits -= 1
            runs.append(self._pushing.popleft())
        if runs and self._connection is not None:
            self._connection.send(msgspec.json.encode(runs))


def a_run(
    run_id: str,
    task: str,
    payload: Any = None,
    *,
    attempt: int = 1,
    max_attempts: int | None = None,
    max_duration: int | None = None,
    env: dict[str, str] | None = None,
    machine: str = "small-1x",
) -> Run:
    """Return the message that pushes a run."""
    text = "{}" if payload is None else msgspec.json.encode(payload).decode()
    now = "2030-01-01T00:00:00.000Z"
    info = RunInfo(
        run_id, text, "application/json", now, now, max_attempts=max_attempts, max_duration=max_duration
    )
    execution = Execution(
        attempt=AttemptInfo(attempt, now),
        run=info,
        task=TaskInfo(task, "jobs.py"),
        queue=QueueInfo("queue_1", f"task/{task}"),
        environment=EnvironmentInfo("env_1", "prod", "PRODUCTION"),
        organization=OrganizationInfo("org_1", "o", "O"),
        project=ProjectInfo("project_1", "proj_1", "p", "P"),
        machine=PRESETS[machine],
    )
    return Run(snapshot_id(run_id, 2), snapshot_id(run_id, 3), execution, env or {})


def _all_current(hello: Hello) -> list[CurrentRun]:
    return [CurrentRun(held.run, held.snapshot, ExecutionStatus.EXECUTING, 1) for held in hello.runs]


def _joined(body: bytes) -> bytes:
    """Return a body that came in pieces, each with its length in a line before it."""
    whole = b""
    while body:
        length, _, body = body.partition(b"\r\n")
        whole, body = whole + body[: int(length, 16)], body[int(length, 16) + 2 :]
    return whole


class _Door(asyncio.Protocol):
    """One TCP connection: a plain request with its answer, or the WebSocket."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._buffer = b""
        self._socket: ServerProtocol | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._server.disconnected(self)

    def data_received(self, data: bytes) -> None:
        if self._socket is None:
            self._buffer += data
            self._try_request()
        else:
            self._feed(data)

    def send(self, data: bytes) -> None:
        assert self._socket is not None
        self._socket.send_text(data)
        self._write()

    def close(self, code: int, reason: str) -> None:
        assert self._socket is not None
        self._socket.send_close(code, reason)
        self._write()

    def abort(self) -> None:
        self._transport.abort()

    def _try_request(self) -> None:
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.decode().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        if headers.get("upgrade", "").lower() == "websocket":
            self._open(headers.get("authorization", ""))
        elif headers.get("transfer-encoding") == "chunked":
            if body.endswith(b"0\r\n\r\n"):
                self._answer(lines[0], headers.get("authorization", ""), _joined(body))
        elif len(body) >= int(headers.get("content-length", 0)):
            self._answer(lines[0], headers.get("authorization", ""), body)

    def _answer(self, line: str, authorization: str, body: bytes) -> None:
        method, path, _ = line.split(" ")
        status, answer = self._server.http(method, path, authorization.removeprefix("Bearer "), body)
        content = msgspec.json.encode(answer)
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n"
        self._transport.write(head.encode() + content)
        self._transport.close()

    def _open(self, authorization: str) -> None:
        self._socket = ServerProtocol(max_size=None)
        if authorization != f"Bearer {KEY}":
            self._transport.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self._transport.close()
            return
        self._feed(self._buffer)

    def _feed(self, data: bytes) -> None:
        assert self._socket is not None
        self._socket.receive_data(data)
        for event in self._socket.events_received():
            if isinstance(event, Request):
                self._socket.send_response(self._socket.accept(event))
                self._server.connected(self)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._server.frame(self, bytes(event.data))
        self._write()

    def _write(self) -> None:
        assert self._socket is not None
        for data in self._socket.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()
