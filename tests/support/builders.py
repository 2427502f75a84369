"""Runs and versions as tests need them, made by the engine's own functions."""

from typing import Any

import msgspec

from tests.support.harness import Harness
from trigger_lite.engine.attempts import Finished, complete_attempt, start_attempt
from trigger_lite.engine.queues import Offer, claim_runs
from trigger_lite.engine.requests import RunRequest, check_trigger
from trigger_lite.engine.trigger import Triggered, trigger_run
from trigger_lite.engine.wait_state import read_wait_state
from trigger_lite.engine.waits import (
    check_token,
    check_wait,
    complete_token,
    create_token,
    wait_for_token,
    wait_until,
)
from trigger_lite.engine.workers import register_version
from trigger_lite.protocol.execution import Completion, RetryAt, Usage
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.manifest import QueueManifest, RegisteredWorker, TaskManifest, WorkerManifest
from trigger_lite.protocol.run_errors import BuiltInError, ErrorCode, InternalError, RunError
from trigger_lite.protocol.tasks import TriggerOptions, TriggerTask
from trigger_lite.protocol.times import iso
from trigger_lite.protocol.waitpoints import CompletedWaitpoint, CreateToken, WaitFor
from trigger_lite.protocol.worker import Moved
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.runs import RunRow
from trigger_lite.store.versions import find_current_version
from trigger_lite.store.waitpoints import WaitpointRow

TASK = "resize"
WORKER = "worker_1"


def a_task(task_id: str = TASK, **options: Any) -> TaskManifest:
    """A task that tries three times, as the SDK announces it."""
    options.setdefault("retry", {"maxAttempts": 3, "minTimeoutInMs": 1000, "factor": 2, "randomize": False})
    return msgspec.convert({"id": task_id, **options}, TaskManifest)


def a_version(
    engine: Harness,
    *tasks: TaskManifest,
    environment: EnvironmentRow | None = None,
    content: str = "one",
    queues: list[QueueManifest] | None = None,
) -> RegisteredWorker:
    """Register a version, which becomes the current one; without tasks it has `resize`."""
    manifest = WorkerManifest(content_hash=content, tasks=list(tasks) or [a_task()], queues=queues)
    return engine.do(register_version, (environment or engine.prod).id, manifest)


def a_queue(name: str, limit: int | None = None) -> QueueManifest:
    return QueueManifest(name=name, concurrency_limit=limit)


def a_request(engine: Harness, task: str = TASK, *, payload: Any = None, **options: Any) -> RunRequest:
    """A trigger with these options, spelled as in Python, checked as one that came over HTTP."""
    body = TriggerTask(payload=payload, options=TriggerOptions(**options))
    return check_trigger(task, body, now=engine.now, source="api", request_key=None)


def trigger(
    engine: Harness,
    task: str = TASK,
    *,
    environment: EnvironmentRow | None = None,
    payload: Any = None,
    **options: Any,
) -> Triggered:
    return engine.do(
        trigger_run, environment or engine.prod, a_request(engine, task, payload=payload, **options)
    )


def a_run(
    engine: Harness,
    task: str = TASK,
    *,
    environment: EnvironmentRow | None = None,
    payload: Any = None,
    **options: Any,
) -> RunRow:
    return engine.run(trigger(engine, task, environment=environment, payload=payload, **options).run_id)


def claim(
    engine: Harness,
    count: int = 1,
    *,
    environment: EnvironmentRow | None = None,
    version_id: str | None = None,
    worker: str = WORKER,
) -> list[RunRow]:
    """Claim up to `count` runs for a worker of the current version, or of the one named."""
    place = environment or engine.prod
    if version_id is None:
        current = engine.do(find_current_version, place.id)
        version_id = current.id if current is not None else "worker_of_no_version"
    claims = engine.do(claim_runs, place.id, [Offer(worker, version_id, count)])
    return [claimed.run for claimed in claims.runs]


def claim_one(engine: Harness, **options: Any) -> RunRow:
    (run,) = claim(engine, 1, **options)
    return run


def newest(run: RunRow) -> str:
    """The id of the snapshot a run shows."""
    return snapshot_id(run.id, run.snapshot_seq)


def start(engine: Harness, run: RunRow, *, worker: str = WORKER) -> RunRow:
    return engine.do(start_attempt, run.environment_id, run.id, newest(run), worker).run


def a_started_run(engine: Harness, task: str = TASK, **options: Any) -> RunRow:
    """A run whose first attempt has begun. The task's version must be registered."""
    run = a_run(engine, task, **options)
    (claimed,) = [r for r in claim(engine, 100, environment=options.get("environment")) if r.id == run.id]
    return start(engine, claimed)


def complete(engine: Harness, run: RunRow, completion: Completion) -> Finished:
    return engine.do(complete_attempt, run.environment_id, run.id, newest(run), completion)


def succeed(engine: Harness, run: RunRow, *, output: str | None = '"done"', usage_ms: int = 0) -> Finished:
    return complete(engine, run, Completion(ok=True, id=run.id, output=output, usage=Usage(usage_ms)))


def fail(
    engine: Harness,
    run: RunRow,
    error: RunError | ErrorCode | None = None,
    *,
    retry_ms: int | None = None,
    usage_ms: int = 0,
) -> Finished:
    """End the attempt with an error: a user's exception, unless another or a code is given."""
    if error is None:
        error = BuiltInError("ValueError", "no such file", "Traceback …")
    elif isinstance(error, ErrorCode):
        error = InternalError(error)
    retry = None if retry_ms is None else RetryAt(timestamp=engine.now + retry_ms, delay=retry_ms)
    completion = Completion(ok=False, id=run.id, error=error, retry=retry, usage=Usage(usage_ms))
    return complete(engine, run, completion)


# ---- waits ------------------------------------------------------------------------------------------


def a_token(
    engine: Harness,
    *,
    timeout: str | None = None,
    key: str | None = None,
    key_ttl: str | None = None,
    tags: list[str] | None = None,
    environment: EnvironmentRow | None = None,
) -> WaitpointRow:
    """A wait token; with a key that is known, the one that has it."""
    body = CreateToken(timeout=timeout, idempotency_key=key, idempotency_key_ttl=key_ttl, tags=tags)
    place = environment or engine.prod
    token, _ = engine.do(create_token, place.id, check_token(body, now=engine.now))
    return token


def wait_for(engine: Harness, run: RunRow, token: WaitpointRow) -> RunRow:
    """Let a run wait for a token; returns the run as it is then."""
    engine.do(wait_for_token, run.environment_id, run.id, token.id)
    return engine.run(run)


def wait_seconds(engine: Harness, run: RunRow, seconds: float, *, key: str | None = None) -> RunRow:
    """Let a run wait until so many seconds from now."""
    at = engine.now + round(seconds * 1000)
    body = WaitFor(date=iso(at), idempotency_key=key)
    engine.do(wait_until, run.environment_id, run.id, check_wait(body, now=engine.now))
    return engine.run(run)


def complete_with(engine: Harness, token: WaitpointRow, output: str | None = '{"ok":true}') -> None:
    engine.do(complete_token, token.environment_id, token.id, output, "application/json")


def told(engine: Harness, run: RunRow, *, worker: str = WORKER) -> Moved:
    """What the worker of a run that waits or waited is told, put together from all its messages."""
    waited: list[CompletedWaitpoint] = []
    while True:
        step = engine.do(read_wait_state, run.environment_id, worker, run.id, len(waited))
        assert step is not None
        waited += step.waitpoints
        if not step.more:
            return msgspec.structs.replace(step, waitpoints=waited)
