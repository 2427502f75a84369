import os
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.edge import Edge, Reply, Request
from trigger_lite import ApiError, ConnectionFailed, NotConfigured, RateLimited
from trigger_lite.sdk.transport import Sender


class Pause:
    """Stands in for sleep: keeps how long it was asked to."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def pause() -> Pause:
    return Pause()


@pytest.fixture
def sender(edge: Edge, pause: Pause) -> Iterator[Sender]:
    made = Sender(edge.url + "/", "tr_dev_test", attempts=5, timeout=5, sleep=pause)
    yield made
    made.close()


def test_a_request_says_who_it_is_from(edge: Edge, sender: Sender) -> None:
    edge.on("POST", "/x", Reply(body={"ok": True}))
    assert sender.send("POST", "/x?a=1", b"{}") == b'{"ok": true}'
    (request,) = edge.requests
    assert request.headers["authorization"] == "Bearer tr_dev_test"
    assert request.headers["x-trigger-api-version"] == "2025-07-16"
    assert re.fullmatch("[0-9a-f]{32}", request.headers["x-trigger-request-idempotency-key"])
    assert (request.query, request.body) == ({"a": "1"}, {})


def test_a_path_in_the_address_is_kept(edge: Edge, pause: Pause) -> None:
    edge.on("GET", "/jobs/x", Reply())
    sender = Sender(f"{edge.url}/jobs/", "k", attempts=1, timeout=5, sleep=pause)
    sender.send("GET", "/x")
    sender.close()


def test_connections_are_kept(edge: Edge, sender: Sender) -> None:
    edge.on("GET", "/x", Reply())
    for _ in range(3):
        sender.send("GET", "/x")
    assert len({request.connection for request in edge.requests}) == 1


def test_a_kept_connection_that_the_server_closed_is_replaced_at_once(
    edge: Edge, sender: Sender, pause: Pause
) -> None:
    edge.on("GET", "/x", Reply(), Reply(hang_up=True), Reply())
    sender.send("GET", "/x")
    sender.send("GET", "/x")
    assert len({request.connection for request in edge.requests}) == 2
    assert pause.seconds == []


def test_a_connection_that_is_to_be_closed_is_not_used_again(edge: Edge, sender: Sender) -> None:
    edge.on("GET", "/x", Reply(headers={"connection": "close"}))
    sender.send("GET", "/x")
    sender.send("GET", "/x")
    assert len({request.connection for request in edge.requests}) == 2


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_retried_with_one_key(
    edge: Edge, sender: Sender, pause: Pause, status: int
) -> None:
    edge.on("POST", "/x", Reply(status), Reply(status), Reply(body=3))
    assert sender.send("POST", "/x", b"{}") == b"3"
    assert pause.seconds == [0.25, 0.5]
    keys = {request.headers["x-trigger-request-idempotency-key"] for request in edge.requests}
    assert (len(keys), len(edge.requests)) == (1, 3)


def test_two_requests_have_two_keys(edge: Edge, sender: Sender) -> None:
    edge.on("POST", "/x", Reply())
    sender.send("POST", "/x")
    sender.send("POST", "/x")
    assert len({request.headers["x-trigger-request-idempotency-key"] for request in edge.requests}) == 2


def test_an_answer_that_is_lost_is_asked_for_again_with_the_same_key(
    edge: Edge, sender: Sender, pause: Pause
) -> None:
    edge.on("POST", "/x", Reply(hang_up=True), Reply(body=3))
    assert sender.send("POST", "/x", b"{}") == b"3"
    first, second = edge.requests
    key = "x-trigger-request-idempotency-key"
    assert first.headers[key] == second.headers[key]
    assert pause.seconds == [0.25]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_a_refusal_is_not_retried(edge: Edge, sender: Sender, status: int) -> None:
    edge.on("GET", "/x", Reply(status, {"error": "Because"}))
    with pytest.raises(ApiError, match=rf"Because \(HTTP {status}\)") as caught:
        sender.send("GET", "/x")
    assert (caught.value.status, caught.value.message, len(edge.requests)) == (status, "Because", 1)


def test_the_server_may_say_whether_to_retry(edge: Edge, sender: Sender) -> None:
    edge.on("GET", "/yes", Reply(404, headers={"x-should-retry": "true"}), Reply())
    edge.on("GET", "/no", Reply(503, headers={"x-should-retry": "false"}))
    sender.send("GET", "/yes")
    with pytest.raises(ApiError):
        sender.send("GET", "/no")
    assert [request.path for request in edge.requests] == ["/yes", "/yes", "/no"]


def test_it_gives_up_after_the_attempts(edge: Edge, sender: Sender, pause: Pause) -> None:
    edge.on("GET", "/x", Reply(503, {"error": "busy"}))
    with pytest.raises(ApiError, match="busy"):
        sender.send("GET", "/x")
    assert pause.seconds == [0.25, 0.5, 1, 2]
    assert len(edge.requests) == 5


def test_retry_after_is_waited_for(edge: Edge, sender: Sender, pause: Pause) -> None:
    edge.on("GET", "/x", Reply(503, headers={"retry-after": "7"}), Reply())
    sender.send("GET", "/x")
    assert pause.seconds == [7]


def test_a_rate_limit_is_waited_for_until_its_reset(edge: Edge, sender: Sender, pause: Pause) -> None:
    reset = {"x-ratelimit-reset": str(round((time.time() + 20) * 1000))}
    edge.on("GET", "/x", Reply(429, headers=reset), Reply())
    sender.send("GET", "/x")
    assert pause.seconds == [pytest.approx(20, abs=2)]


def test_a_rate_limit_far_away_is_told_instead_of_waited_for(
    edge: Edge, sender: Sender, pause: Pause
) -> None:
    reset = {"x-ratelimit-reset": str(round((time.time() + 600) * 1000))}
    edge.on("GET", "/x", Reply(429, {"error": "Rate limit exceeded"}, reset))
    with pytest.raises(RateLimited) as caught:
        sender.send("GET", "/x")
    assert caught.value.retry_after == pytest.approx(600, abs=2)
    assert pause.seconds == []


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(400, {"error": {"message": "nested"}}), "nested"),
        (Reply(400, b"plain words"), "plain words"),
        (Reply(400, b""), "the server gave no reason"),
        (Reply(400, [1]), r"\[1\]"),
        (Reply(429, {"error": "x"}, {"retry-after": "Wed, 21 Oct 2030 07:28:00 GMT"}), "x"),
    ],
)
def test_any_refusal_gives_a_message(edge: Edge, sender: Sender, reply: Reply, message: str) -> None:
    edge.on("GET", "/x", reply)
    with pytest.raises(ApiError, match=message):
        sender.send("GET", "/x")


def test_a_server_that_is_not_there_is_named(pause: Pause) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    sender = Sender(f"http://127.0.0.1:{port}", "k", attempts=3, timeout=5, sleep=pause)
    with pytest.raises(ConnectionFailed, match=f"http://127.0.0.1:{port} does not answer: .*refused"):
        sender.send("GET", "/x")
    assert pause.seconds == [0.25, 0.5]


def test_a_server_that_stays_silent_is_given_up_on(edge: Edge, pause: Pause) -> None:
    answer = threading.Event()

    def silent(request: Request) -> Reply:
        answer.wait(10)
        return Reply()

    edge.on("GET", "/x", silent)
    sender = Sender(edge.url, "k", attempts=1, timeout=0.05, sleep=pause)
    with pytest.raises(ConnectionFailed, match="timed out"):
        sender.send("GET", "/x")
    answer.set()


@pytest.mark.parametrize(
    "url", ["", "localhost:3040", "ftp://x", "http://", "http://x:abc", "http://x:99999", "http://[::1"]
)
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(NotConfigured, match="is no server address"):
        Sender(url, "k", attempts=1, timeout=1)


@pytest.mark.parametrize("key", ["", " ", "tr_prod_…", "a\nb"])
def test_what_is_no_key_is_refused_at_once(key: str) -> None:
    with pytest.raises(NotConfigured, match="the key is empty or holds characters that no key has"):
        Sender("http://127.0.0.1:3040", key, attempts=1, timeout=1)


def test_a_forked_child_uses_no_connection_of_its_parent(edge: Edge, sender: Sender) -> None:
    edge.on("GET", "/x", Reply())
    sender.send("GET", "/x")
    child = os.fork()
    if child == 0:
        try:
            sender.send("GET", "/x")
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    sender.send("GET", "/x")
    ports = [request.connection for request in edge.requests]
    assert ports[0] == ports[2] != ports[1]


def test_many_threads_may_send_at_once(edge: Edge, sender: Sender) -> None:
    edge.on("GET", "/.*", lambda request: Reply(body=request.path))
    got: list[bytes] = []
    threads = [
        threading.Thread(target=lambda n=n: got.append(sender.send("GET", f"/{n}"))) for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(f'"/{n}"'.encode() for n in range(20))


def test_whoever_waits_goes_on_asking_until_told_not_to(edge: Edge, sender: Sender) -> None:
    edge.on("POST", "/x", *[Reply(503)] * 9, Reply(body={"id": 1}, headers={"x-trigger-jwt": "public"}))
    pauses: list[float] = []

    def go_on(seconds: float) -> bool:
        pauses.append(seconds)
        return True

    answer = sender.exchange("POST", "/x", b"{}", go_on=go_on)
    assert (answer.status, answer.headers["x-trigger-jwt"]) == (200, "public")
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 8, 8, 8]
    edge.on("POST", "/x", Reply(503, {"error": "restarting"}))
    with pytest.raises(ApiError, match="restarting"):
        sender.exchange("POST", "/x", b"{}", go_on=lambda seconds: False)
    edge.on("POST", "/x", Reply(404, {"error": "no such run"}))
    with pytest.raises(ApiError, match="no such run"):
        sender.exchange("POST", "/x", b"{}", go_on=lambda seconds: True)
