"""The calls that commands make, over the SDK's client, with every refusal turned into one line."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any, Final, NoReturn
from urllib.parse import quote, urlencode

import click
import msgspec
from msgspec import UNSET

from trigger_lite.cli.failures import BadInput, CommandFailed
from trigger_lite.cli.target import START_ONE, Target, find_target
from trigger_lite.protocol.batches import BatchSummary, BatchView
from trigger_lite.protocol.bulk_actions import BulkAction
from trigger_lite.protocol.environments import EnvironmentLoad, LimitEnvironment, PauseEnvironment
from trigger_lite.protocol.pages import Pagination
from trigger_lite.protocol.queues import QueueItem
from trigger_lite.protocol.runs import RunDetail, RunSummary
from trigger_lite.protocol.schedules import Schedule
from trigger_lite.protocol.tasks import TriggeredRun, TriggerOptions
from trigger_lite.protocol.waitpoints import TokenView
from trigger_lite.sdk.client import Client, Identity
from trigger_lite.sdk.errors import ApiError, ConnectionFailed, NotConfigured, TriggerLiteError
from trigger_lite.sdk.options import ReplayOptions
from trigger_lite.sdk.run_filter import RunFilter
from trigger_lite.sdk.runs import LogPage
from trigger_lite.sdk.tokens import TokenDetail, TokenFilter

_ATTEMPTS: Final = 3
_PATIENT_ATTEMPTS: Final = 12
_PAGE_SIZE: Final = 100
POLL_SECONDS: Final = 20
_ENVIRONMENT: Final = "/api/v1/environment"


class Fetched(msgspec.Struct, frozen=True):
    """A run, and the JSON that it was read from."""

    run: RunDetail
    raw: bytes


class _RawPage(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]
    pagination: Pagination


class Api:
    """One server and environment. Every method raises BadInput or CommandFailed with one line."""

    def __init__(self, target: Target, *, attempts: int = _ATTEMPTS) -> None:
        self.target = target
        try:
            self._client = Client(target.url, target.key, attempts=attempts, source="cli")
        except NotConfigured as error:
            raise BadInput(str(error)) from error

    def patient(self) -> "Api":
        """Return the same server for calls that go on while it restarts."""
        return Api(self.target, attempts=_PATIENT_ATTEMPTS)

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def whoami(self) -> Identity:
        with self._explained():
            return self._client.whoami()

    def trigger(self, task: str, payload: str | None, options: TriggerOptions) -> TriggeredRun:
        """Trigger a task with JSON text, or with no payload at all."""
        body: dict[str, Any] = {"options": options}
        if payload is not None:
            body["payload"] = msgspec.Raw(payload.encode())
        path = f"/api/v1/tasks/{quote(task, safe='')}/trigger"
        with self._explained():
            return self._client.request("POST", path, TriggeredRun, msgspec.json.encode(body))

    def get_run(self, run_id: str) -> Fetched:
        return self._run(run_id, f"/api/v3/runs/{run_id}", wait=0)

    def poll_run(self, run_id: str, since: str) -> RunDetail:
        """Return a run as soon as it is another than at `since`, or after a while."""
        query = urlencode({"seconds": POLL_SECONDS, **({"since": since} if since else {})})
        return self._run(run_id, f"/api/v1/runs/{run_id}/wait?{query}", wait=POLL_SECONDS).run

    def list_runs(self, query: Mapping[str, str], limit: int) -> Iterator[tuple[RunSummary, bytes]]:
        """Go through runs, the newest first, each with the JSON that it was read from."""
        after: str | None = None
        left = limit
        while left > 0:
            page = {**query, "page[size]": str(min(left, _PAGE_SIZE))}
            if after:
                page["page[after]"] = after
            with self._explained():
                answer = self._client.request("GET", f"/api/v1/runs?{urlencode(page)}", _RawPage)
            for raw in answer.data:
                yield msgspec.json.decode(raw, type=RunSummary), bytes(raw)
            left -= len(answer.data)
            after = answer.pagination.next
            if after is None:
                return

    def cancel_run(self, run_id: str) -> None:
        with self._explained(run_id):
            self._client.runs.cancel(run_id)

    def replay_run(self, run_id: str, payload: str | None, options: ReplayOptions) -> str:
        """Trigger the same again, with other JSON text or options; return the new run's id."""
        given = UNSET if payload is None else msgspec.Raw(payload.encode())
        with self._explained(run_id):
            return self._client.runs.replay(run_id, payload=given, **options).id

    def reschedule_run(self, run_id: str, at: datetime) -> RunDetail:
        with self._explained(run_id):
            return self._client.runs.reschedule(run_id, at)

    def begin_bulk(self, kind: str, run_ids: Sequence[str], filters: RunFilter) -> BulkAction:
        """Begin to cancel or replay (`kind`) the runs named, or all of a filter."""
        bulk = self._client.runs.bulk
        begin = bulk.cancel if kind == "cancel" else bulk.replay
        with self._explained():
            return begin(run_ids or None, **filters)

    def get_bulk(self, bulk_id: str) -> BulkAction:
        with self._explained():
            return self._client.runs.bulk.get(bulk_id)

    def list_bulk(self, limit: int) -> list[BulkAction]:
        with self._explained():
            return list(islice(self._client.runs.bulk.list(), limit))

    def abort_bulk(self, bulk_id: str) -> None:
        with self._explained():
            self._client.runs.bulk.abort(bulk_id)

    def list_batches(self, limit: int) -> list[BatchSummary]:
        """Return the newest batches, at most so many."""
        with self._explained():
            return list(islice(self._client.batches.list(), limit))

    def get_batch(self, batch_id: str) -> BatchView:
        with self._explained(batch=batch_id):
            return self._client.batches.get(batch_id)

    def list_queues(self) -> Iterator[QueueItem]:
        with self._explained():
            yield from self._client.queues.list()

    def get_queue(self, name: str) -> QueueItem:
        with self._explained(queue=name):
            return self._client.queues.get(name)

    def pause_queue(self, name: str, *, paused: bool) -> QueueItem:
        queues = self._client.queues
        with self._explained(queue=name):
            return queues.pause(name) if paused else queues.resume(name)

    def limit_queue(
        self, name: str, limit: int | None, percent: float | None, until: datetime | None
    ) -> QueueItem:
        with self._explained(queue=name):
            return self._client.queues.limit(name, limit, percent=percent, until=until)

    def reset_queue(self, name: str) -> QueueItem:
        with self._explained(queue=name):
            return self._client.queues.reset(name)

    def list_schedules(self) -> Iterator[Schedule]:
        """Go through schedules, the newest first."""
        with self._explained():
            yield from self._client.schedules.list()

    def get_schedule(self, schedule_id: str) -> Schedule:
        with self._explained(schedule=schedule_id):
            return self._client.schedules.get(schedule_id)

    def switch_schedule(self, schedule_id: str, *, active: bool) -> Schedule:
        schedules = self._client.schedules
        with self._explained(schedule=schedule_id):
            return schedules.resume(schedule_id) if active else schedules.pause(schedule_id)

    def run_schedule(self, schedule_id: str) -> str:
        """Run a schedule beside its times; return the run's id."""
        with self._explained(schedule=schedule_id):
            return self._client.schedules.run_now(schedule_id).id

    def delete_schedule(self, schedule_id: str) -> None:
        with self._explained(schedule=schedule_id):
            self._client.schedules.delete(schedule_id)

    def list_tokens(self, filters: TokenFilter, limit: int) -> list[TokenView]:
        """Return the newest tokens of a filter, at most so many."""
        with self._explained():
            return list(islice(self._client.tokens.list(**filters), limit))

    def get_token(self, token_id: str) -> TokenDetail:
        with self._explained(token=token_id):
            return self._client.tokens.get(token_id)

    def complete_token(self, token_id: str, data: str | None) -> None:
        """Complete a token with JSON text as it was written, or with no data at all."""
        body = {} if data is None else {"data": msgspec.Raw(data.encode())}
        path = f"/api/v1/waitpoints/tokens/{token_id}/complete"
        with self._explained(token=token_id):
            self._client.request("POST", path, dict[str, Any], msgspec.json.encode(body))

    def get_environment(self) -> EnvironmentLoad:
        with self._explained():
            return self._client.request("GET", _ENVIRONMENT, EnvironmentLoad)

    def pause_environment(self, *, paused: bool) -> EnvironmentLoad:
        return self._change_environment("pause", PauseEnvironment("pause" if paused else "resume"))

    def limit_environment(self, limit: int, burst: float | None) -> EnvironmentLoad:
        return self._change_environment("limit", LimitEnvironment(limit, burst))

    def _change_environment(self, what: str, body: msgspec.Struct) -> EnvironmentLoad:
        with self._explained():
            sent = msgspec.json.encode(body)
            return self._client.request("POST", f"{_ENVIRONMENT}/{what}", EnvironmentLoad, sent)

    def log_page(self, run_id: str, after: int, *, wait: int) -> LogPage:
        """Return log lines after one; the server may wait this many seconds for the first."""
        with self._explained(run_id):
            return self._client.runs.log_page(run_id, after, wait)

    def _run(self, run_id: str, path: str, *, wait: float) -> Fetched:
        with self._explained(run_id):
            raw = bytes(self._client.request("GET", path, msgspec.Raw, wait=wait))
            try:
                return Fetched(msgspec.json.decode(raw, type=RunDetail), raw)
            except msgspec.DecodeError as error:
                raise CommandFailed(
                    f"{self.target.url} answered with something that is not a run ({error}); "
                    "is it a trigger-lite server of this version?"
                ) from error

    @contextmanager
    def _explained(
        self,
        run_id: str | None = None,
        *,
        batch: str | None = None,
        queue: str | None = None,
        schedule: str | None = None,
        token: str | None = None,
    ) -> Iterator[None]:
        try:
            yield
        except TriggerLiteError as error:
            if isinstance(error, ApiError) and error.status == 404:
                named = {"batches": batch, "queues": queue, "schedules": schedule, "tokens": token}
                for command, name in named.items():
                    if name is not None:
                        raise self._unknown(command, name) from error
            _explain(error, self.target, run_id)

    def _unknown(self, command: str, name: str) -> BadInput:
        """Return the refusal of a name that nothing has; `command` lists what there is."""
        kinds = {"batches": "batch", "queues": "queue", "schedules": "schedule", "tokens": "token"}
        where = f"the {self.target.environment} environment of {self.target.url}"
        return BadInput(
            f"There is no {kinds[command]} {name} in {where}; 'trigger-lite {command} list' shows them"
        )


def open_api(ctx: click.Context, *, environment: str = "prod") -> Api:
    """Return the server that this command's options name; its connections end with the command."""
    api = Api(find_target(ctx, environment=environment))
    ctx.call_on_close(api.close)
    return api


def _explain(error: TriggerLiteError, target: Target, run_id: str | None) -> NoReturn:
    """Raise what a user can act on."""
    if isinstance(error, ConnectionFailed):
        raise BadInput(
            f"No server answers at {target.url}; {START_ONE}, or name another with --url"
        ) from error
    if not isinstance(error, ApiError):
        raise BadInput(str(error)) from error
    if error.status == 401:
        raise BadInput(
            f"The server at {target.url} does not know this key; 'trigger-lite keys' prints the keys "
            "of a server on this machine"
        ) from error
    if error.status == 404 and run_id is not None:
        where = f"the {target.environment} environment of {target.url}"
        raise BadInput(
            f"There is no run {run_id} in {where}; is it of another environment (--env)?"
        ) from error
    if 400 <= error.status < 500:
        raise BadInput(error.message) from error
    raise CommandFailed(f"{target.url} failed: {error.message}") from error
