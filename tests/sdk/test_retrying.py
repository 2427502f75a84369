"""Trying again inside an attempt: calls, functions, HTTP requests."""

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.attempts import RecordingChannel, an_execution
from tests.support.edge import Edge, Reply
from trigger_lite import (
    AbortTaskRun,
    ApiError,
    BlockingCall,
    Ctx,
    DefinitionError,
    RateLimited,
    Retry,
    RetryAfter,
    retry,
    run_inline,
    task,
)
from trigger_lite.protocol.run_errors import ErrorCode, InternalError
from trigger_lite.sdk.attempt import run_attempt
from trigger_lite.sdk.status_rules import ByStatus

NOW = Retry(3, min=0)


class Failing:
    """Raises these errors in turn, then returns its calls so far."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls

    async def later(self) -> int:
        await asyncio.sleep(0)
        return self()


Call = Callable[..., int]


def blocking(fn: Failing, *given: Any, **options: Any) -> int:
    return retry.call(fn, *given, **options)


def in_a_loop(fn: Failing, *given: Any, **options: Any) -> int:
    async def work() -> int:
        return await retry.aio.call(fn.later, *given, **options)

    return asyncio.run(work())


both = pytest.mark.parametrize("call", [blocking, in_a_loop])


@both
def test_a_call_is_made_again_until_it_succeeds_or_tries_are_used_up(call: Call) -> None:
    assert call(Failing(ValueError(), ValueError()), NOW) == 3
    failing = Failing(*[ValueError(number) for number in range(5)])
    with pytest.raises(ValueError, match="2"):
        call(failing, NOW)
    assert failing.calls == 3


@both
def test_only_errors_that_are_named_are_tried_again(call: Call) -> None:
    failing = Failing(TimeoutError(), KeyError("x"))
    with pytest.raises(KeyError):
        call(failing, NOW, on=(ConnectionError, TimeoutError))
    assert failing.calls == 2


@pytest.mark.parametrize("error", [AbortTaskRun("no"), RetryAfter("1s"), ApiError(404, "gone")])
@both
def test_what_says_itself_what_is_next_is_raised_at_once(call: Call, error: Exception) -> None:
    """AT-22: an API error that asking again cannot change, too."""
    failing = Failing(error)
    with pytest.raises(type(error)):
        call(failing, NOW)
    assert failing.calls == 1


def test_pauses_are_those_of_the_policy_and_pass_on_the_clock_of_a_test() -> None:
    """AT-20, AT-22: a rate limit is waited for as long as the server says."""

    @task
    def patient() -> int:
        failing = Failing(ConnectionError(), RateLimited(429, "slow down", 12.5), ConnectionError())
        return retry.call(failing, Retry(4, min="1h", max="1d"))

    outcome = run_inline(patient)
    assert outcome.unwrap() == 4
    assert outcome.run is not None
    assert outcome.run.waited_seconds == pytest.approx(3600 + 12.5 + 4 * 3600)
    level, message, said = outcome.run.logs[0]
    assert (level, message) == ("WARN", "trying again")
    assert said == {"after": 1, "seconds": 3600.0, "reason": "ConnectionError: "}


def test_async_pauses_pass_on_the_clock_of_a_test() -> None:
    @task
    async def patient() -> int:
        return await retry.aio.call(Failing(ConnectionError()).later, Retry(2, min="1h", max="1h"))

    outcome = run_inline(patient)
    assert outcome.unwrap() == 2
    assert outcome.run is not None
    assert outcome.run.waited_seconds == pytest.approx(3600)


def test_a_pause_ends_when_the_run_is_cancelled() -> None:
    channel = RecordingChannel()

    @task
    def patient(ctx: Ctx) -> None:
        def fail() -> None:
            channel.canceled.set()
            raise ConnectionError("down")

        retry.call(fail, Retry(3, min="1h", max="1h"))

    completion = run_attempt(patient, an_execution(), channel)
    assert isinstance(completion.error, InternalError)
    assert completion.error.code is ErrorCode.TASK_RUN_CANCELLED


async def test_a_blocking_form_inside_an_event_loop_names_the_way_out() -> None:
    with pytest.raises(BlockingCall, match=r"write `await retry.aio.call\(…\)`"):
        retry.call(Failing(), NOW)
    with pytest.raises(BlockingCall, match=r"write `await retry.aio.http\(…\)`"):
        retry.http("http://127.0.0.1:9")

    @retry.on(ConnectionError)
    def read() -> None: ...

    with pytest.raises(BlockingCall, match=r"write `await asyncio.to_thread\(read, …\)`"):
        read()


# ---- functions -------------------------------------------------------------------------------------------


def test_a_function_is_called_again_with_its_arguments() -> None:
    seen = []

    @retry.on(ConnectionError, TimeoutError, attempts=4, min=0)
    def read(item: str, *, currency: str) -> str:
        """Read a price."""
        seen.append((item, currency))
        if len(seen) < 3:
            raise TimeoutError
        return item

    assert read("apple", currency="JPY") == "apple"
    assert seen == [("apple", "JPY")] * 3
    assert (read.__name__, read.__doc__) == ("read", "Read a price.")


async def test_an_async_function_stays_one() -> None:
    calls = []

    @retry.on(ConnectionError, attempts=2, min=0)
    async def read(item: str) -> str:
        calls.append(item)
        if len(calls) < 2:
            raise ConnectionError
        return item

    assert asyncio.iscoroutinefunction(read)
    assert await read("apple") == "apple"
    with pytest.raises(ZeroDivisionError):
        await retry.on(ConnectionError)(_divide)()


async def _divide() -> float:
    return 1 / 0


def test_a_decorator_without_errors_is_refused() -> None:
    for given in ((), (lambda: None,)):
        with pytest.raises(DefinitionError, match="needs the errors to try again after"):
            retry.on(*given)
    with pytest.raises(DefinitionError, match="attempts must be 1 to 250"):
        retry.on(ConnectionError, attempts=0)


# ---- HTTP ------------------------------------------------------------------------------------------------

QUICK: ByStatus = {429: "headers", "5xx": NOW}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_request_is_made_again_by_the_status_of_its_answer(edge: Edge, is_async: bool) -> None:
    edge.on("GET", "/page", Reply(503), Reply(429, headers={"retry-after": "0"}), Reply(body=b"up"))

    async def in_loop() -> bytes:
        with await retry.aio.http(f"{edge.url}/page", by_status=QUICK) as page:
            return page.read()

    if is_async:
        assert asyncio.run(in_loop()) == b"up"
    else:
        request = urllib.request.Request(f"{edge.url}/page", headers={"x-tenant": "org_42"})
        with retry.http(request, by_status=QUICK) as page:
            assert (page.status, page.read()) == (200, b"up")
        assert {request.headers["x-tenant"] for request in edge.requests} == {"org_42"}
    assert len(edge.requests) == 3


def test_an_answer_without_a_rule_or_beyond_its_tries_is_raised_as_it_came(edge: Edge) -> None:
    edge.on("GET", "/gone", Reply(404))
    edge.on("GET", "/down", Reply(500))
    for path, status, requests in (("/gone", 404, 1), ("/down", 500, 4)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            retry.http(edge.url + path, by_status=QUICK)
        caught.value.close()
        assert caught.value.code == status
        assert len(edge.requests) == requests


def test_a_connection_that_fails_is_tried_again(edge: Edge) -> None:
    edge.on("GET", "/page", Reply(hang_up=True), Reply(body=b"up"))

    @task
    def fetch() -> int:
        with retry.http(f"{edge.url}/page", timeout="5s") as page:
            return page.status

    outcome = run_inline(fetch)
    assert outcome.unwrap() == 200
    assert outcome.run is not None
    assert outcome.run.waited_seconds == 1
    assert len(edge.requests) == 2


@dataclass
class Response:
    """What httpx and requests answer with, as far as this is concerned."""

    status_code: int
    headers: dict[str, str] = field(default_factory=dict)


class StatusError(Exception):
    """What `raise_for_status` of httpx and requests raises."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"status {response.status_code}")
        self.response = response


def client(*answers: Response | Exception) -> Callable[[], Response]:
    """A function that makes a request with some other client."""
    left = list(answers)

    def request() -> Response:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return request


def test_any_client_will_do() -> None:
    last = Response(500)
    assert retry.http(client(Response(502), Response(502), last), by_status={"5xx": NOW}) is last
    done = Response(200)
    raised = StatusError(Response(500))
    assert retry.http(client(raised, done), by_status={"5xx": NOW}) is done
    assert retry.http(client(TimeoutError(), done), on=TimeoutError, by_status={}) is done
    with pytest.raises(LookupError):
        retry.http(client(LookupError(), done))
    nothing: Callable[[], None] = lambda: None  # noqa: E731 - as in a task
    assert retry.http(nothing) is None


async def test_any_async_client_will_do() -> None:
    request = client(Response(502), Response(200))

    async def make() -> Response:
        return request()

    made: Callable[[], Awaitable[Response]] = make
    assert (await retry.aio.http(made, by_status={"500-504": NOW})).status_code == 200


@pytest.mark.parametrize(("asked", "is_waited_for"), [("120", True), ("3600", False)])
def test_what_a_service_asks_for_is_waited_for_up_to_a_limit(asked: str, is_waited_for: bool) -> None:
    @task
    def fetch() -> int:
        return retry.http(client(Response(429, {"Retry-After": asked}), Response(200))).status_code

    outcome = run_inline(fetch)
    assert outcome.unwrap() == (200 if is_waited_for else 429)
    assert outcome.run is not None
    assert outcome.run.waited_seconds == (120 if is_waited_for else 0)


def test_a_limit_without_a_time_is_waited_for_by_the_usual_policy() -> None:
    @task
    def fetch() -> int:
        return retry.http(client(*[Response(429)] * 5)).status_code

    outcome = run_inline(fetch)
    assert outcome.unwrap() == 429
    assert outcome.run is not None
    assert outcome.run.waited_seconds == 1 + 2 + 4 + 8


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"6xx": NOW}, '\'6xx\' is no status; write 429, "5xx" or "500-504"'),
        ({500: 3}, '500: give Retry(…) or "headers", not 3'),
    ],
)
def test_a_wrong_rule_is_said_before_any_request(rules: Any, message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        retry.http(client(), by_status=rules)
    assert message in str(caught.value)


def test_outside_a_run_pauses_are_real(caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    assert retry.call(Failing(ConnectionError("down")), Retry(2, min=0.01, randomize=False)) == 2
    assert time.monotonic() - began >= 0.01
    assert "trying again after=1 seconds=0.01 reason='ConnectionError: down'" in caplog.text


@pytest.mark.parametrize(
    "address", ["file:///etc/hostname", "ftp://127.0.0.1/a", "data:,a", "example.com", ""]
)
async def test_only_addresses_of_the_web_are_opened(address: str) -> None:
    """What a payload names must not read files of the worker."""
    with pytest.raises(DefinitionError, match="begins with http:// or https://"):
        await asyncio.to_thread(retry.http, address)
    with pytest.raises(DefinitionError, match="begins with http:// or https://"):
        await retry.aio.http(address)
