"""HTTP without ceremony: requests are bytes made once, answers are cut at their length."""

import json
import selectors
import socket
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

_CHUNK: Final = 65_536
_TIMEOUT: Final = 60.0


class UnexpectedAnswer(Exception):
    """The server answered something other than 200; the message holds what."""


@dataclass(frozen=True)
class Target:
    """A request, and where it goes."""

    url: str
    path: str
    key: str
    body: bytes | None = None

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    def request(self) -> bytes:
        """Return the request as it goes over the wire; a body makes it a POST."""
        method = "GET" if self.body is None else "POST"
        head = f"{method} {self.path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self.key}\r\n"
        if self.body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n"
        return head.encode() + b"\r\n" + (self.body or b"")


class Connection:
    """One kept-alive connection that carries one request at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def exchange(self, request: bytes) -> bytes:
        """Send a request and return the body of its answer."""
        self.socket.sendall(request)
        while (body := self.receive()) is None:
            pass
        return body

    def receive(self) -> bytes | None:
        """Read once; return the body when the answer is whole. Raises UnexpectedAnswer."""
        chunk = self.socket.recv(_CHUNK)
        if not chunk:
            raise UnexpectedAnswer("the server closed the connection")
        self._received += chunk
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return None
        self._received = b""
        if not head.startswith(b"HTTP/1.1 200"):
            raise UnexpectedAnswer(f"{head.splitlines()[0].decode()}: {body.decode(errors='replace')}")
        return body


def _content_length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])


def call(target: Target) -> Any:
    """Make one request on a connection of its own and return the decoded JSON."""
    connection = Connection(target.address)
    with connection.socket:
        return json.loads(connection.exchange(target.request()))


def send_many(target: Target, *, clients: int, count: int) -> float:
    """Send a request `count` times over `clients` connections; return the seconds it took."""
    began = time.perf_counter()
    _exchange(target, clients=clients, count=count, deadline=float("inf"))
    return time.perf_counter() - began


def send_for(target: Target, *, clients: int, seconds: float) -> float:
    """Send a request over `clients` connections for so long; return the answers per second."""
    began = time.perf_counter()
    answered = _exchange(target, clients=clients, count=2**62, deadline=began + seconds)
    return answered / (time.perf_counter() - began)


def _exchange(target: Target, *, clients: int, count: int, deadline: float) -> int:
    """Keep every connection busy until so many requests were sent or the deadline passed."""
    request = target.request()
    connections = [Connection(target.address) for _ in range(min(clients, count))]
    sent = answered = 0
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.socket.sendall(request)
            sent += 1
        while answered < sent:
            for key, _ in selector.select(_TIMEOUT):
                if key.data.receive() is None:
                    continue
                answered += 1
                if sent < count and time.perf_counter() < deadline:
                    key.data.socket.sendall(request)
                    sent += 1
    for connection in connections:
        connection.socket.close()
    return answered
