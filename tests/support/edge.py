"""A real, small HTTP server on loopback that answers as a test tells it to."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """One request as it arrived; `body` is JSON, or a list of lines of it; `connection` the client's port."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    connection: int


@dataclass(frozen=True)
class Reply:
    """What to answer; `body` is sent as JSON, or as it is when it is bytes. `hang_up`: close, no answer."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False


Answer = Reply | Callable[[Request], Reply]


class Edge:
    """Answers by method and path; the last of several answers repeats."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self._answers: list[tuple[str, re.Pattern[str], list[Answer]]] = []
        self._lock = threading.Lock()

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Answer requests of this method and path (a regular expression) with these, in turn."""
        with self._lock:
            self._answers.insert(0, (method, re.compile(path), list(answers)))

    def answer(self, request: Request) -> Reply:
        """Record the request and find its answer."""
        with self._lock:
            self.requests.append(request)
            for method, path, answers in self._answers:
                if method == request.method and path.fullmatch(request.path):
                    chosen = answers.pop(0) if len(answers) > 1 else answers[0]
                    break
            else:
                chosen = Reply(404, {"error": f"no answer for {request.method} {request.path}"})
        return chosen(request) if callable(chosen) else chosen


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    edge: Edge

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.open_sockets: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open_sockets.add(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no fault of the test's server."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes
    server: _Server

    def _serve(self) -> None:
        url = urlsplit(self.path)
        raw = self._read()
        request = Request(
            method=self.command,
            path=url.path,
            query={name: values[0] for name, values in parse_qs(url.query).items()},
            headers={name.lower(): value for name, value in self.headers.items()},
            body=_decoded(raw, self.headers.get("content-type") or ""),
            connection=self.client_address[1],
        )
        reply = self.server.edge.answer(request)
        if reply.hang_up:
            self.close_connection = True
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _read(self) -> bytes:
        """Return the body, be it sent whole or in pieces."""
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        raw = b""
        while size := int(self.rfile.readline(), 16):
            raw += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return raw

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _decoded(raw: bytes, content_type: str) -> Any:
    if content_type.endswith("ndjson"):
        return [json.loads(line) for line in raw.splitlines()]
    return json.loads(raw) if raw else None


@contextmanager
def running_edge() -> Iterator[Edge]:
    """Serve on a free loopback port until the block ends."""
    server = _Server()
    server.edge = Edge(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.edge
    finally:
        server.shutdown()
        thread.join()
        for connection in server.open_sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed already
        server.server_close()
