"""A loopback HTTP server that answers what a test tells it to, and remembers what it was asked."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY = "tr_prod_0123456789abcdefghijklmn"
DEV_KEY = "tr_dev_0123456789abcdefghijklmn"
RUN_ID = "run_06fd3vk2m8q1s0t9u4abcdef"


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    key: str
    body: Any


@dataclass
class FakeServer:
    """Answers by method and path; of several answers to one, each is given once and the last for ever."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    _answers: dict[tuple[str, str], list[tuple[int, bytes]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def answer(self, method: str, path: str, body: Any, *, status: int = 200) -> None:
        """Answer this request with JSON, after the answers it was given before."""
        self._answers[method, path].append((status, json.dumps(body).encode()))

    def next_answer(self, method: str, path: str) -> tuple[int, bytes]:
        answers = self._answers.get((method, path))
        if not answers:
            return 404, json.dumps({"error": f"nothing prepared for {method} {path}"}).encode()
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def bodies(self, method: str, path: str) -> list[Any]:
        """Return what was sent to this path."""
        return [asked.body for asked in self.asked if (asked.method, asked.path) == (method, path)]


@contextmanager
def fake_server() -> Iterator[FakeServer]:
    """Run a fake server on a free loopback port."""
    fake = FakeServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("content-length") or 0))
            key = (self.headers.get("authorization") or "").removeprefix("Bearer ")
            body = json.loads(sent) if sent else None
            fake.asked.append(Asked(self.command, parts.path, dict(parse_qsl(parts.query)), key, body))
            status, answer = fake.next_answer(self.command, parts.path)
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_DELETE = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def a_run(**changes: Any) -> dict[str, Any]:
    """Return a run as the server shows it: completed, unless the changes say otherwise."""
    status = changes.get("status", "COMPLETED")
    run = {
        "id": RUN_ID,
        "taskIdentifier": "resize",
        "status": status,
        "isQueued": status == "QUEUED",
        "isExecuting": status == "EXECUTING",
        "isWaiting": False,
        "isCompleted": status not in ("QUEUED", "EXECUTING", "DELAYED", "PENDING_VERSION"),
        "isSuccess": status == "COMPLETED",
        "isFailed": status in ("FAILED", "CRASHED", "TIMED_OUT", "EXPIRED", "SYSTEM_FAILURE"),
        "isCancelled": status == "CANCELED",
        "isTest": False,
        "createdAt": "2026-11-23T00:00:00.000Z",
        "updatedAt": "2026-11-23T00:00:02.000Z",
        "startedAt": "2026-11-23T00:00:01.000Z",
        "finishedAt": "2026-11-23T00:00:02.200Z",
        "tags": ["org_42"],
        "costInCents": 0,
        "baseCostInCents": 0,
        "durationMs": 1200,
        "depth": 0,
        "triggerFunction": "trigger",
        "attemptCount": 1,
        "relatedRuns": {},
        "attempts": [],
    }
    return {name: value for name, value in {**run, **changes}.items() if value is not None}
