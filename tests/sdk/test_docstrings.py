"""Every public name has a docstring with an example, and every example runs and gives what it shows."""

import doctest
import inspect
import re
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import trigger_lite
from tests.support.answers import a_page, a_queue, a_queue_page, a_run, a_schedule, a_schedule_page
from tests.support.batch_edge import a_batch
from tests.support.edge import Edge, Reply, Request
from trigger_lite import AbortTaskRun, Client, Ctx, RunHandle, current, metadata, run_inline, task, wait
from trigger_lite.protocol.run_errors import StringError
from trigger_lite.protocol.tasks import TriggerOptions
from trigger_lite.protocol.waitpoints import CompletedByRun, CompletedWaitpoint, WaitpointKind
from trigger_lite.sdk import batch as batch_module
from trigger_lite.sdk import (
    batch_handle,
    batches,
    bulk,
    context,
    hooks,
    idempotency,
    inline,
    locals,
    middleware,
    options,
    queues,
    result,
    retrying,
    run_filter,
    runs,
    schedules,
    scheduling,
    tokens,
    triggering,
)
from trigger_lite.sdk import client as client_module
from trigger_lite.sdk import handle as handle_module
from trigger_lite.sdk import wait as wait_module
from trigger_lite.sdk.context import enter_context
from trigger_lite.sdk.local import LocalChannel, local_execution

# Reached from public names, though not imported by them.
_REACHED = (
    context.RunUsage,
    batch_module.AsyncBatch,
    batch_module.Batch,
    batch_handle.AsyncBatchHandle,
    batch_handle.BatchProgress,
    batches.AsyncBatches,
    batches.Batches,
    bulk.AsyncBulk,
    bulk.Bulk,
    client_module.AsyncClient,
    handle_module.AsyncRunHandle,
    hooks.GlobalHooks,
    idempotency.AsyncIdempotencyKeys,
    idempotency.IdempotencyKeys,
    locals.Local,
    locals.Locals,
    middleware.GlobalMiddleware,
    result.InlineRun,
    retrying.AsyncRetrying,
    retrying.Retrying,
    options.ReplayOptions,
    options.RunOptions,
    options.TaskOptions,
    queues.AsyncQueues,
    queues.Queues,
    run_filter.RunFilter,
    runs.AsyncRuns,
    runs.Runs,
    schedules.AsyncSchedules,
    schedules.ScheduleChanges,
    schedules.ScheduleOptions,
    schedules.Schedules,
    scheduling.PublicSchedules,
    scheduling.ScheduledTaskDecorator,
    scheduling.ScheduledTaskOptions,
    tokens.AsyncTokens,
    tokens.TokenDetail,
    tokens.TokenFilter,
    tokens.TokenOptions,
    tokens.Tokens,
    triggering.AsyncBoundTask,
    triggering.BoundTask,
    triggering.Item,
    wait_module.AsyncWait,
    wait_module.Wait,
)
# Between the parts of the SDK, though without an underscore.
_INTERNAL = {
    "Ctx.log",
    "GlobalHooks.all",
    "GlobalHooks.clear",
    "GlobalMiddleware.all",
    "GlobalMiddleware.clear",
    "Batches.pages",
    "Bulk.pages",
    "Queues.pages",
    "Runs.pages",
    "Schedules.pages",
    "Runs.poll",
    "Runs.finished_result",
    "Runs.log_page",
    "AsyncRuns.typed_result",
    "Tokens.pages",
    "Task.codec",
    "Task.invoke",
    "Task.returns",
    "BoundTask.wire_options",
}


def public_objects() -> Iterator[tuple[str, Any]]:
    """Every public name, and every public method and property of public classes and objects."""
    named = {name: getattr(trigger_lite, name) for name in trigger_lite.__all__ if name != "__version__"}
    named |= {kind.__name__: kind for kind in _REACHED}
    named.pop("Result")  # an alias of Ok and Err
    for name, value in sorted(named.items()):
        yield name, value
        kind = value if inspect.isclass(value) else type(value)
        if kind.__module__.startswith("trigger_lite.sdk"):
            for member, part in vars(kind).items():
                documented = (
                    inspect.isfunction(part) or isinstance(part, property) or hasattr(part, "attrname")
                )
                if not member.startswith("_") and documented and f"{kind.__name__}.{member}" not in _INTERNAL:
                    yield f"{name}.{member}", part


PUBLIC = dict(public_objects())


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_a_docstring_with_an_example(name: str) -> None:
    text = inspect.getdoc(PUBLIC[name]) or ""
    assert re.match(r"\S.*", text)
    assert ">>> " in text


def test_nothing_internal_is_listed_that_is_not_there() -> None:
    for name in _INTERNAL:
        kind, _, member = name.partition(".")
        homes = [value for value in (*_REACHED, Ctx, trigger_lite.Task) if value.__name__ == kind]
        assert homes
        assert member in vars(homes[0])


# ---- the world that the examples speak of ---------------------------------------------------------------

# Examples of what only a run can do, beside those of `wait` itself.
_IN_A_RUN = {
    "Ok",
    "ParkedMemoryFull",
    "SubtaskError",
    "TokenTimeout",
    "Batch.trigger_and_wait",
    "BoundTask.batch_trigger_and_wait",
    "BoundTask.trigger_and_wait",
    "Task.batch_trigger_and_wait",
}


@dataclass
class Approval:
    approved: bool
    by: str


class ExampleWorld(inline.InlineWorld):
    """Children that all return 4096 unless their picture is missing, and a token that nobody completed."""

    def run_child(self, task: Any, payload: str) -> CompletedWaitpoint:
        failed = "missing" in payload
        output = str(2 * msgspec.json.decode(payload)["number"]) if task.id == "double" else "4096"
        run_id = "run_failed" if failed else "run_06fd3v"
        return CompletedWaitpoint(
            id="waitpoint_1",
            friendly_id="waitpoint_1",
            type=WaitpointKind.RUN,
            completed_at="",
            output_is_error=failed,
            completed_by_task_run=CompletedByRun(run_id, run_id),
            output=msgspec.json.encode(StringError("no such picture")).decode() if failed else output,
        )

    def end_of_token(self, token_id: str) -> CompletedWaitpoint:
        if token_id != "waitpoint_late":
            self.complete_token(token_id, '{"approved": true, "by": "Ada"}')
        return super().end_of_token(token_id)


def _serve_bulk_actions(edge: Edge) -> None:
    """One bulk action, which is through."""
    counts = {"total": 2, "success": 2, "failure": 0}
    made = {"id": "bulk_06fd3v", "type": "CANCEL", "status": "COMPLETED", "counts": counts}
    action = {**made, "createdAt": "2030-01-01T00:00:00.000Z"}
    edge.on("POST", "/api/v1/bulk-actions", Reply(202, {"id": "bulk_06fd3v"}))
    edge.on("GET", "/api/v1/bulk-actions", Reply(body={"data": [action], "pagination": {}}))
    edge.on("GET", "/api/v1/bulk-actions/.*", Reply(body=action))
    edge.on("POST", "/api/v1/bulk-actions/.*/abort", Reply(body={"id": "bulk_06fd3v"}))


def serve(edge: Edge) -> None:
    """Runs that are finished at once: `double` doubles, everything else returns 4096."""

    def trigger(request: Request) -> Reply:
        name = request.path.split("/")[4]
        number = (request.body["payload"] or {}).get("number")
        return Reply(body={"id": "run_06fd3v" if name != "double" else f"run_double{number}"})

    def result(request: Request) -> Reply:
        number = re.search(r"run_double(\d+)", request.path)
        output = str(2 * int(number[1]) if number else 4096)
        body = {"ok": True, "id": "run_06fd3v", "taskIdentifier": "resize", "output": output}
        return Reply(body={**body, "outputType": "application/json"})

    identity = {"id": "e", "slug": "prod", "type": "PRODUCTION", "name": "Production"}
    project = {"id": "p", "externalRef": "proj_x", "slug": "shop", "name": "Shop"}
    organization = {"id": "o", "slug": "acme", "title": "Acme"}
    edge.on("POST", "/api/v1/tasks/.*/trigger", trigger)
    edge.on("GET", "/api/v1/runs/.*/wait", Reply(body=a_run()))
    edge.on("GET", "/api/v1/runs/.*/result", result)
    edge.on("GET", "/api/v1/runs/.*/logs", Reply(body={"lines": [], "next": 0, "finished": True}))
    edge.on("GET", "/api/v1/runs", a_page(a_run("run_06fd3v")))
    edge.on("GET", "/api/v3/runs/run_06fd3v", Reply(body=a_run("run_06fd3v")))
    edge.on("POST", "/api/v2/runs/.*/cancel", Reply(body={"id": "run_06fd3v"}))
    edge.on("POST", "/api/v1/runs/.*/replay", Reply(body={"id": "run_06fd3w"}))
    edge.on("POST", "/api/v1/runs/.*/reschedule", Reply(body=a_run("run_06fd3v", "DELAYED")))
    edge.on("POST", "/api/v1/idempotencyKeys/.*/reset", Reply(body={"id": "key"}))
    _serve_bulk_actions(edge)
    whoami = {**identity, "project": project, "organization": organization}
    edge.on("GET", "/api/v1/whoami", Reply(body=whoami))
    edge.on("GET", "/page", Reply(body=b"<title>Jobs</title>"))
    serve_batches(edge)
    serve_queues(edge)
    serve_schedules(edge)
    serve_tokens(edge)


def serve_schedules(edge: Edge) -> None:
    """One schedule, changed and switched as it is asked for."""
    path = "/api/v1/schedules"
    edge.on("POST", path, Reply(body=a_schedule()))
    edge.on("GET", path, a_schedule_page(a_schedule()))
    edge.on("GET", f"{path}/.*", Reply(body=a_schedule()))
    edge.on("PATCH", f"{path}/.*", Reply(body=a_schedule(cron="0 6 * * *")))
    edge.on("DELETE", f"{path}/.*", Reply(body={"id": "sched_06fd3v"}))
    edge.on("POST", f"{path}/.*/activate", Reply(body=a_schedule()))
    edge.on("POST", f"{path}/.*/deactivate", Reply(body=a_schedule(active=False)))
    edge.on("POST", f"{path}/.*/run", Reply(body={"id": "run_06fd3v"}))


def serve_queues(edge: Edge) -> None:
    """One queue whose code says five, paused or limited as it is asked for."""
    path = "/api/v1/queues"
    edge.on("GET", path, a_queue_page(a_queue()))
    edge.on("GET", f"{path}/.*", Reply(body=a_queue()))
    edge.on("POST", f"{path}/.*/pause", lambda r: Reply(body=a_queue(paused=r.body["action"] == "pause")))
    edge.on("POST", f"{path}/.*/override", lambda r: Reply(body=a_queue(limit=r.body["concurrencyLimit"])))
    edge.on("POST", f"{path}/.*/reset", Reply(body=a_queue()))


def serve_batches(edge: Edge) -> None:
    """Batches of runs named as those of single triggers."""
    made: list[str] = []

    def take(request: Request) -> Reply:
        numbers = [item["payload"].get("number") for item in request.body]
        made[:] = ["run_06fd3v" if number is None else f"run_double{number}" for number in numbers]
        taken = {"id": "batch_06fd3v", "itemsAccepted": len(made), "itemsDeduplicated": 0, "sealed": True}
        return Reply(body=taken)

    created = {"id": "batch_06fd3v", "runCount": 3, "isCached": False}
    edge.on("POST", "/api/v3/batches", Reply(202, created))
    edge.on("POST", "/api/v3/batches/.*/items", take)
    edge.on("GET", "/api/v2/batches/.*", lambda request: Reply(body=a_batch("batch_06fd3v", made)))
    listed = {"data": [a_batch("batch_06fd3v", ["run_1", "run_2"])], "pagination": {}}
    edge.on("GET", "/api/v1/batches", Reply(body=listed))


def serve_tokens(edge: Edge) -> None:
    """One token, completed by Ada."""
    made = {"id": "waitpoint_06fd3v", "isCached": False, "url": f"{edge.url}/callback"}
    token = {"id": made["id"], "url": made["url"], "createdAt": "2030-01-01T00:00:00.000Z"}
    done = {"status": "COMPLETED", "output": '{"approved": true, "by": "Ada"}'}
    path = "/api/v1/waitpoints/tokens"
    edge.on("POST", path, Reply(body=made, headers={"x-trigger-jwt": "public"}))
    edge.on("POST", f"{path}/.*/complete", Reply(body={"success": True}))
    edge.on("GET", f"{path}/waitpoint_.*", Reply(body={**token, **done, "outputType": "application/json"}))
    edge.on("GET", path, Reply(body={"data": [{**token, "status": "WAITING"}], "pagination": {}}))


@task
def double(number: int) -> int:
    return 2 * number


@task
def resize(url: str, width: int = 100) -> int:
    return len(url) * width


@trigger_lite.schedules.task(cron="0 5 * * *")
def nightly(fire: trigger_lite.Fire) -> str:
    return fire.at.isoformat()


@task
def abort(reason: str) -> None:
    raise AbortTaskRun(reason)


@task
def publish(post: str) -> str:
    approval = wait.for_token("waitpoint_06fd3v", type=Approval).unwrap()
    return f"published by {approval.by}"


@task
def import_csv(path: str) -> None:
    metadata.set("rows", 120)


@pytest.fixture
def world(edge: Edge, client: Client) -> dict[str, Any]:
    """The names that the examples use without making them."""
    serve(edge)
    plain = local_execution(
        "report", "report.py", "task/report", payload="{}", attempt=1, now="", channel=LocalChannel()
    )
    execution = replace(plain, run=replace(plain.run, id="run_06fd3v"))
    public = {name: getattr(trigger_lite, name) for name in trigger_lite.__all__}
    return {
        **public,
        **{kind.__name__: kind for kind in (*_REACHED, client_module.Identity, TriggerOptions, datetime)},
        "UTC": UTC,
        "Iterator": Iterator,
        "closing": closing,
        **{name: __import__(name) for name in ("asyncio", "sqlite3", "time")},
        "server": f"{edge.url}/page",
        "client": client,
        "ctx": Ctx(execution, LocalChannel()),
        "waiting": Ctx(execution, LocalChannel(ExampleWorld([]))),
        "log": trigger_lite.get_logger("examples"),
        "handle": RunHandle("run_06fd3v", lambda: client, task="resize"),
        "double": double,
        "resize": resize,
        "nightly": nightly,
        "fire": trigger_lite.Fire(
            at=datetime(2030, 1, 1, 20, tzinfo=UTC),
            upcoming=[datetime(2030, 1, 3, 5, tzinfo=UTC)],
            timezone="Asia/Tokyo",
        ),
        "abort": abort,
        "import_csv": import_csv,
        "publish": publish,
        "Approval": Approval,
    }


def examples() -> Iterator[tuple[str, doctest.DocTest]]:
    parser = doctest.DocTestParser()
    for name, value in [*PUBLIC.items(), ("trigger_lite", trigger_lite), ("testing", inline_docs())]:
        found = parser.get_doctest(inspect.getdoc(value) or "", {}, name, None, None)
        yield name, found


def inline_docs() -> Any:
    from trigger_lite import testing

    return testing


EXAMPLES = dict(examples())


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_and_gives_what_it_shows(name: str, world: dict[str, Any]) -> None:
    example = EXAMPLES[name]
    example.globs = world
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    in_a_run = name in _IN_A_RUN or name.partition(".")[0] in ("wait", "Wait")
    with enter_context(world["waiting"]) if in_a_run else nullcontext():
        results = runner.run(example, out=report.append)
    assert results.failed == 0, "".join(report)


def test_the_examples_world_is_left_as_it_was() -> None:
    with pytest.raises(trigger_lite.OutsideRun):
        current()
    assert run_inline(double, 21).unwrap() == 42
