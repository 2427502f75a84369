"""One server, spoken to with one key."""

from functools import cached_property
from typing import Any, Final, TypeVar, Unpack
from urllib.parse import quote

import msgspec

from trigger_lite.protocol.durations import Duration, duration_seconds
from trigger_lite.protocol.tasks import TriggeredRun, TriggerOptions
from trigger_lite.sdk.batches import AsyncBatches, Batches
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.codec import to_json
from trigger_lite.sdk.errors import ApiError, PayloadError
from trigger_lite.sdk.handle import RunHandle
from trigger_lite.sdk.idempotency import AsyncIdempotencyKeys, IdempotencyKeys
from trigger_lite.sdk.options import RunOptions, trigger_options
from trigger_lite.sdk.payload import JSON
from trigger_lite.sdk.queues import AsyncQueues, Queues
from trigger_lite.sdk.runs import AsyncRuns, Runs
from trigger_lite.sdk.schedules import AsyncSchedules, Schedules
from trigger_lite.sdk.tokens import AsyncTokens, Tokens
from trigger_lite.sdk.transport import Body, KeepTrying, Sender

T = TypeVar("T")


class ProjectIdentity(msgspec.Struct, frozen=True, rename="camel"):
    """The project of a key."""

    id: str
    external_ref: str
    slug: str
    name: str


class OrganizationIdentity(msgspec.Struct, frozen=True, rename="camel"):
    """The organization of a key."""

    id: str
    slug: str
    title: str


class Identity(msgspec.Struct, frozen=True, rename="camel"):
    """The environment that a key opens; `type` is "DEVELOPMENT", "PRODUCTION", …."""

    id: str
    slug: str
    type: str
    name: str
    project: ProjectIdentity
    organization: OrganizationIdentity


class Client:
    """One server, spoken to with one key: for several servers, or for tasks whose code is elsewhere.

    A request is made up to `attempts` times, and each time given up after `timeout`. `source` is what runs
    triggered here are said to come from.

    >>> client = Client("https://jobs.example.com", "tr_prod_abc123")
    >>> client.url
    'https://jobs.example.com'
    """

    def __init__(
        self, url: str, key: str, *, attempts: int = 5, timeout: Duration = 30, source: str = "sdk"
    ) -> None:
        self.key: Final = key
        seconds = duration_seconds(timeout)
        self._sender: Final = Sender(url, key, attempts=attempts, timeout=seconds, source=source)

    @property
    def url(self) -> str:
        """The server's address, without a slash at the end.

        >>> Client("http://127.0.0.1:3040/", "tr_dev_abc123").url
        'http://127.0.0.1:3040'
        """
        return self._sender.url

    @cached_property
    def runs(self) -> Runs:
        """Runs of this server.

        >>> client.runs.get("run_06fd3v").status
        'COMPLETED'
        """
        return Runs(lambda: self)

    @cached_property
    def tokens(self) -> Tokens:
        """Wait tokens of this server.

        >>> client.tokens.get("waitpoint_06fd3v").status
        'COMPLETED'
        """
        return Tokens(lambda: self)

    @cached_property
    def batches(self) -> Batches:
        """Batches of this server.

        >>> client.batches.get("batch_06fd3v").status
        'COMPLETED'
        """
        return Batches(lambda: self)

    @cached_property
    def queues(self) -> Queues:
        """Queues of this server.

        >>> client.queues.get("crm").running
        5
        """
        return Queues(lambda: self)

    @cached_property
    def schedules(self) -> Schedules:
        """Schedules of this server.

        >>> client.schedules.get("sched_06fd3v").task
        'nightly'
        """
        return Schedules(lambda: self)

    @cached_property
    def idempotency_keys(self) -> IdempotencyKeys:
        """Idempotency keys of this server.

        >>> client.idempotency_keys.reset("resize", "welcome user_7")
        """
        return IdempotencyKeys(lambda: self)

    @cached_property
    def aio(self) -> "AsyncClient":
        """The same for async code.

        >>> async def ask() -> str:
        ...     return (await client.aio.whoami()).slug
        """
        return AsyncClient(self)

    def trigger(self, task_id: str, payload: Any = None, **options: Unpack[RunOptions]) -> RunHandle[Any]:
        """Trigger a task by its id; `payload` is any value that JSON can hold.

        Raises PayloadError, DefinitionError, ConnectionFailed or ApiError; nothing was triggered then.

        >>> handle = client.trigger("resize", {"url": "https://example.com/cat.png", "width": 9}, delay="1h")
        """
        try:
            text = to_json(payload)
        except TypeError as error:
            raise PayloadError(f"{task_id}: {error}") from error
        return self.trigger_json(task_id, text, trigger_options(task_id, options))

    def trigger_json(
        self, task_id: str, payload: str, options: TriggerOptions, *, go_on: KeepTrying | None = None
    ) -> RunHandle[Any]:
        """Trigger a task with JSON text and options as the protocol has them.

        With `go_on` the request is made until that says no, instead of a few times.

        >>> handle = client.trigger_json("resize", '{"width": 100}', TriggerOptions(tags=["cat"]))
        """
        refuse_in_event_loop(f"triggering {task_id}", "await client.aio.trigger(…)")
        options = msgspec.structs.replace(options, payload_type=JSON)
        body = msgspec.json.encode({"payload": msgspec.Raw(payload.encode()), "options": options})
        path = f"/api/v1/tasks/{quote(task_id, safe='')}/trigger"
        run = self.request("POST", path, TriggeredRun, body, go_on=go_on)
        return RunHandle(run.id, lambda: self, task=task_id, is_cached=run.is_cached)

    def whoami(self) -> Identity:
        """Return the environment, project and organization of the key.

        >>> client.whoami().slug
        'prod'
        """
        refuse_in_event_loop("client.whoami()", "await client.aio.whoami()")
        return self.request("GET", "/api/v1/whoami", Identity)

    def request(
        self,
        method: str,
        path: str,
        kind: type[T],
        body: Body = None,
        *,
        content_type: str = JSON,
        wait: float = 0.0,
        go_on: KeepTrying | None = None,
    ) -> T:
        """Return the decoded answer of one request; for endpoints that have no method of their own.

        `body` may be pieces, sent as they come. `wait` is how many seconds the server may take beside the
        usual. A request that fails is made again a few times, or, with `go_on`, until that says no: it waits
        the seconds it is given.

        >>> client.request("GET", "/api/v1/whoami", Identity).slug
        'prod'
        """
        return self.request_with_headers(
            method, path, kind, body, content_type=content_type, wait=wait, go_on=go_on
        )[0]

    def request_with_headers(
        self,
        method: str,
        path: str,
        kind: type[T],
        body: Body = None,
        *,
        content_type: str = JSON,
        wait: float = 0.0,
        go_on: KeepTrying | None = None,
    ) -> tuple[T, dict[str, str]]:
        """Return the decoded answer of one request and its headers, their names in lower case.

        >>> client.request_with_headers("GET", "/api/v1/whoami", Identity)[0].slug
        'prod'
        """
        answer = self._sender.exchange(method, path, body, content_type=content_type, wait=wait, go_on=go_on)
        try:
            return msgspec.json.decode(answer.body, type=kind), answer.headers
        except msgspec.DecodeError as error:
            raise ApiError(200, f"the answer to {method} {path} cannot be read: {error}") from error

    def close(self) -> None:
        """Close idle connections; the next request opens a new one.

        >>> client.close()
        """
        self._sender.close()


class AsyncClient:
    """A client for async code. Get one as `client.aio`.

    >>> async def ask() -> str:
    ...     return (await client.aio.whoami()).slug
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def runs(self) -> AsyncRuns:
        """Runs of this server.

        >>> async def status(run_id: str) -> str:
        ...     return (await client.aio.runs.get(run_id)).status
        """
        return self._client.runs.aio

    @property
    def batches(self) -> AsyncBatches:
        """Batches of this server.

        >>> async def status(batch_id: str) -> str:
        ...     return (await client.aio.batches.get(batch_id)).status
        """
        return self._client.batches.aio

    @property
    def queues(self) -> AsyncQueues:
        """Queues of this server.

        >>> async def waiting() -> int:
        ...     return (await client.aio.queues.get("crm")).queued
        """
        return self._client.queues.aio

    @property
    def schedules(self) -> AsyncSchedules:
        """Schedules of this server.

        >>> async def next_run(schedule_id: str) -> str | None:
        ...     return (await client.aio.schedules.get(schedule_id)).next_run
        """
        return self._client.schedules.aio

    @property
    def idempotency_keys(self) -> AsyncIdempotencyKeys:
        """Idempotency keys of this server.

        >>> async def forget(user: str) -> None:
        ...     await client.aio.idempotency_keys.reset("resize", f"welcome {user}")
        """
        return self._client.idempotency_keys.aio

    @property
    def tokens(self) -> AsyncTokens:
        """Wait tokens of this server.

        >>> async def status(token_id: str) -> str:
        ...     return (await client.aio.tokens.get(token_id)).status
        """
        return self._client.tokens.aio

    async def trigger(
        self, task_id: str, payload: Any = None, **options: Unpack[RunOptions]
    ) -> RunHandle[Any]:
        """Trigger a task by its id, like `Client.trigger`.

        >>> async def start() -> None:
        ...     await client.aio.trigger("resize", {"url": "https://example.com/cat.png", "width": 100})
        """
        return await in_thread(self._client.trigger, task_id, payload, **options)

    async def whoami(self) -> Identity:
        """Return the environment, project and organization of the key.

        >>> async def ask() -> str:
        ...     return (await client.aio.whoami()).slug
        """
        return await in_thread(self._client.whoami)
