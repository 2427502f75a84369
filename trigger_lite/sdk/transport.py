"""Requests over the standard library's HTTP client, with kept connections and retries."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from trigger_lite.protocol.tasks import QUEUE_FULL
from trigger_lite.sdk.errors import ApiError, ConnectionFailed, NotConfigured, QueueFull, RateLimited
from trigger_lite.sdk.payload import JSON

if TYPE_CHECKING:
    from http.client import HTTPConnection

API_VERSION: Final = "2025-07-16"
Body = bytes | Iterable[bytes] | None
"""What is sent; pieces are sent as they come, and gone through again for another attempt."""
_FIRST_DELAY: Final = 0.25
_LONGEST_DELAY: Final = 8.0
_DOUBLINGS: Final = 5
_LONGEST_RESET: Final = 60.0
_MAX_IDLE: Final = 16

KeepTrying = Callable[[float], bool]
"""Waits so many seconds, and tells whether to make another attempt."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (lower-case names) and body of one HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class ConnectionPool:
    """Idle connections to one server. A forked child starts with none of its parent's."""

    def __init__(self, url: SplitResult) -> None:
        self._url = url
        self._idle: list[HTTPConnection] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def take(self) -> "HTTPConnection | None":
        """Return an idle connection, the one used last, or None."""
        with self._lock:
            if self._pid != os.getpid():
                self._idle, self._pid = [], os.getpid()
            return self._idle.pop() if self._idle else None

    def connect(self) -> "HTTPConnection":
        """Return a new connection, not yet open."""
        from http.client import HTTPConnection, HTTPSConnection

        kind = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        return kind(self._url.hostname or "", self._url.port)

    def give_back(self, connection: "HTTPConnection") -> None:
        """Keep a connection for the next request."""
        with self._lock:
            if self._pid == os.getpid() and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class Sender:
    """Sends requests to one server with one key; safe to use from several threads."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        attempts: int,
        timeout: float,
        source: str = "sdk",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url: Final = url.rstrip("/")
        parts = _address(self.url)
        if not (key.isascii() and key.isprintable() and key.strip()):
            raise NotConfigured("the key is empty or holds characters that no key has; copy it again")
        self._path = parts.path
        self._key = key
        self._attempts = attempts
        self._timeout = timeout
        self._source = source
        self._sleep = sleep
        self._pool = ConnectionPool(parts)

    def send(self, method: str, path: str, body: Body = None, *, wait: float = 0.0) -> bytes:
        """Return the body of a 2xx answer; raises like `exchange`."""
        return self.exchange(method, path, body, wait=wait).body

    def exchange(
        self,
        method: str,
        path: str,
        body: Body = None,
        *,
        content_type: str = JSON,
        wait: float = 0.0,
        go_on: KeepTrying | None = None,
    ) -> Answer:
        """Return a 2xx answer; `wait` is how many seconds the server may take beside the usual.

        Network errors, 408, 429 and 5xx are retried, as often as this sender was told or as `go_on` says.
        Raises ConnectionFailed, RateLimited or ApiError.
        """
        headers = self._headers(content_type)
        attempt = 0
        while True:
            attempt += 1
            answer, delay = self._attempt(method, path, body, headers, wait)
            if isinstance(answer, Answer):
                return answer
            if delay is None or (go_on is None and attempt >= self._attempts):
                raise answer
            pause = max(delay, min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(attempt - 1, _DOUBLINGS)))
            if go_on is None:
                self._sleep(pause)
            elif not go_on(pause):
                raise answer

    def _attempt(
        self, method: str, path: str, body: Body, headers: dict[str, str], wait: float
    ) -> tuple[Answer | Exception, float | None]:
        """Return the answer, or the error and after how many seconds another attempt makes sense."""
        from http.client import HTTPException

        try:
            answer = self._try(method, path, body, headers, self._timeout + wait)
        except (OSError, HTTPException) as error:
            return ConnectionFailed(f"{self.url} does not answer: {str(error) or type(error).__name__}"), 0.0
        if 200 <= answer.status < 300:
            return answer, None
        return _refusal(answer)

    def _headers(self, content_type: str) -> dict[str, str]:
        return {
            "authorization": f"Bearer {self._key}",
            "content-type": content_type,
            "x-trigger-api-version": API_VERSION,
            "x-trigger-source": self._source,
            # The same over all attempts, so that a trigger whose answer was lost is not made twice.
            "x-trigger-request-idempotency-key": os.urandom(16).hex(),
        }

    def _try(self, method: str, path: str, body: Body, headers: dict[str, str], timeout: float) -> Answer:
        from http.client import HTTPException

        kept = self._pool.take()
        if kept is not None:
            try:
                return self._over(kept, method, path, body, headers, timeout)
            except TimeoutError:
                raise
            except (OSError, HTTPException):
                self._pool.close()  # the server closed it while idle, and the others with it
        return self._over(self._pool.connect(), method, path, body, headers, timeout)

    def _over(
        self,
        connection: "HTTPConnection",
        method: str,
        path: str,
        body: Body,
        headers: dict[str, str],
        timeout: float,
    ) -> Answer:
        try:
            connection.timeout = timeout
            if connection.sock is not None:
                connection.sock.settimeout(timeout)
            connection.request(method, self._path + path, body=body, headers=headers)
            response = connection.getresponse()
            answer = Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._pool.give_back(connection)
        return answer

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()


def _address(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise NotConfigured(f"{url!r} is no server address; write for example http://127.0.0.1:3040")
    return parts


def _refusal(answer: Answer) -> tuple[ApiError, float | None]:
    body = _body(answer)
    message = _message(answer, body)
    delay = _retry_after(answer.headers)
    should = answer.headers.get("x-should-retry")
    again = should == "true" or (should != "false" and (answer.status in (408, 429) or answer.status >= 500))
    if answer.status == 429:
        error: ApiError = RateLimited(answer.status, message, delay)
        return error, delay if again and delay <= _LONGEST_RESET else None
    kind = QueueFull if body.get("code") == QUEUE_FULL else ApiError
    return kind(answer.status, message), delay if again and delay <= _LONGEST_RESET else None


def _retry_after(headers: dict[str, str]) -> float:
    """Return seconds the server asks to wait; 0 when it does not say."""
    try:
        if "x-ratelimit-reset" in headers:
            return max(0.0, float(headers["x-ratelimit-reset"]) / 1000 - time.time())
        return max(0.0, float(headers.get("retry-after", "0")))
    except ValueError:
        return 0.0  # a date, or nonsense: the usual delays do


def _body(answer: Answer) -> dict[str, Any]:
    try:
        body: Any = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeError):
        return {}
    return body if isinstance(body, dict) else {}


def _message(answer: Answer, body: dict[str, Any]) -> str:
    error = body.get("error")
    if isinstance(error, dict):
        error = error.get("message")
    if isinstance(error, str) and error:
        return error
    return answer.body[:200].decode(errors="replace").strip() or "the server gave no reason"
