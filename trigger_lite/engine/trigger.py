"""From a request to a run in its queue (engine-behaviours 2)."""

from typing import Final

import msgspec
import orjson

from trigger_lite.engine import debounce, lifecycle, slots, waitpoints
from trigger_lite.engine.lifecycle import Transition
from trigger_lite.engine.origins import inherited_annotations
from trigger_lite.engine.queue_limits import refuse_if_full
from trigger_lite.engine.requests import RunRequest
from trigger_lite.engine.waitpoints import Edge
from trigger_lite.protocol.errors import Unprocessable
from trigger_lite.protocol.statuses import RELEASES_IDEMPOTENCY_KEY, TERMINAL, ExecutionStatus, RunStatus
from trigger_lite.store import queues, requests, runs, versions
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.queues import QueueRow
from trigger_lite.store.runs import RunData, RunRow
from trigger_lite.store.transaction import Tx
from trigger_lite.store.versions import TaskRow

# What a run has just as its request says.
_AS_ASKED: Final = (
    "task_id",
    "concurrency_key",
    "priority_ms",
    "delay_until",
    "machine",
    "max_attempts",
    "max_duration",
    "idempotency_key",
    "idempotency_options",
    "batch_id",
    "batch_index",
    "replay_of",
    "schedule_id",
    "schedule_instance_id",
    "scheduled_for",
    "source",
)
DEV_TTL_SECONDS: Final = 600
"""What an unstarted run of a dev environment may wait when nobody said (TR-11)."""


class Triggered(msgspec.Struct, frozen=True):
    """The run that answers a trigger; `is_cached` when an idempotency key found it (ID-01)."""

    run_id: str
    is_cached: bool


def trigger_run(tx: Tx, environment: EnvironmentRow, request: RunRequest) -> Triggered:
    """Make the run a request asks for, or find the one that already answers it.

    A parent that is to be resumed waits from here on. Raises Unprocessable when the parent is finished or of
    another environment, or the version is unknown.
    """
    earlier = _requested_before(tx, environment, request)
    if earlier is not None:
        return Triggered(earlier, is_cached=False)
    parent = _parent(tx, environment, request)
    holder = _holder_of_key(tx, environment, request)
    if holder is not None:
        _refuse_circle(tx, parent, holder, request)
        _let_wait(tx, parent, holder, request)
        return Triggered(holder.id, is_cached=True)
    pushed = debounce.push(tx, environment, request)
    if pushed is not None:
        _refuse_circle(tx, parent, pushed, request)
        return _answered(tx, environment, request, parent, pushed)
    version_id = _pinned_version(tx, environment, request) or _version_of_parent(tx, request, parent)
    task = _task(tx, environment, request, version_id)
    queue = _queue(tx, environment, request, task)
    run = _new_run(tx, environment, request, parent=parent, queue=queue, task=task, version_id=version_id)
    return _answered(tx, environment, request, parent, run)


def _answered(
    tx: Tx, environment: EnvironmentRow, request: RunRequest, parent: RunRow | None, run: RunRow
) -> Triggered:
    """Answer with a run that is to come, and remember that for a request sent again (ID-07)."""
    _let_wait(tx, parent, run, request)
    if request.request_key is not None:
        requests.insert_request(tx, request_scope(environment, request), run.id)
    return Triggered(run.id, is_cached=False)


def request_scope(environment: EnvironmentRow, request: RunRequest) -> str:
    """Name a request: the same header value means something else for another environment, task or replay."""
    return f"{environment.id}:{request.replay_of or request.task_id}:{request.request_key}"


# ---- answered before? ---------------------------------------------------------------------------


def _requested_before(tx: Tx, environment: EnvironmentRow, request: RunRequest) -> str | None:
    """Return the run that this very request made when it came before."""
    if request.request_key is None:
        return None
    return requests.find_request(tx, request_scope(environment, request))


def _holder_of_key(tx: Tx, environment: EnvironmentRow, request: RunRequest) -> RunRow | None:
    """Return the run that has the request's idempotency key (ID-01)."""
    if request.idempotency_key is None:
        return None
    holder = runs.find_by_idempotency_key(tx, environment.id, request.task_id, request.idempotency_key)
    if holder is None:
        return None
    if _gives_up_key(holder, tx.now):
        runs.update_run(tx, holder, {"idempotency_key": None, "idempotency_expires_at": None})
        return None
    return holder


def _gives_up_key(holder: RunRow, now: int) -> bool:
    """Tell whether a key is free again: expired (ID-03), or its run failed (ID-04)."""
    lapsed = holder.idempotency_expires_at is not None and holder.idempotency_expires_at <= now
    return lapsed or RunStatus(holder.status) in RELEASES_IDEMPOTENCY_KEY


# ---- the parent that waits --------------------------------------------------------------------------


def _let_wait(tx: Tx, parent: RunRow | None, child: RunRow, request: RunRequest) -> None:
    """Let the parent wait for the child's result; of one that is over it has it at once (BA-01, ID-05).

    For an item of a batch it waits already: the batch tells it of the run (BA-16).
    """
    if parent is None or not request.resume_parent or request.batch_id is not None:
        return
    edge = Edge(waitpoints.waitpoint_of_run(tx, child).id)
    newest = runs.find_run(tx, parent.id)
    assert newest is not None  # read above, in this transaction
    waitpoints.block(tx, newest, [edge])


def _refuse_circle(tx: Tx, parent: RunRow | None, found: RunRow, request: RunRequest) -> None:
    """Refuse that a run waits for itself, or for one above it that waits for it: a key may have found it.

    Looks no further up than runs wait: a chain in which each run only triggers the next may be very long.
    """
    above = parent if request.resume_parent else None
    while above is not None:
        if above.id == found.id:
            raise Unprocessable(f"{request.parent_id} would wait for {found.id}, which waits for it in turn")
        above = _waiting_parent(tx, above)


def _waiting_parent(tx: Tx, run: RunRow) -> RunRow | None:
    """Return the parent of a run if it may be waiting for it."""
    parent = runs.find_run(tx, run.parent_id) if run.is_awaited and run.parent_id is not None else None
    waits = parent is not None and parent.execution_status == ExecutionStatus.EXECUTING_WITH_WAITPOINTS
    return parent if waits else None


# ---- what the run belongs to ----------------------------------------------------------------------


def _parent(tx: Tx, environment: EnvironmentRow, request: RunRequest) -> RunRow | None:
    if request.parent_id is None:
        return None
    parent = runs.find_run_in(tx, environment.id, request.parent_id)
    if parent is None:
        raise Unprocessable(f"The parent run {request.parent_id!r} is not in this environment")
    if request.resume_parent and RunStatus(parent.status) in TERMINAL:
        raise Unprocessable(
            f"The parent run {parent.id} is already {parent.status}; it cannot wait for a child"
        )
    return parent


def _pinned_version(tx: Tx, environment: EnvironmentRow, request: RunRequest) -> str | None:
    if request.version is None:
        return None
    version = versions.find_version_by_number(tx, environment.id, request.version)
    if version is None:
        raise Unprocessable(f"There is no version {request.version!r} in the environment {environment.slug}")
    return version.id


def _version_of_parent(tx: Tx, request: RunRequest, parent: RunRow | None) -> str | None:
    """Return the version of a parent that waits for this run, if it has the task (TR-22)."""
    if parent is None or parent.version_id is None or not request.resume_parent:
        return None
    task = versions.find_task(tx, parent.version_id, request.task_id)
    return None if task is None else parent.version_id


def _task(tx: Tx, environment: EnvironmentRow, request: RunRequest, version_id: str | None) -> TaskRow | None:
    """Return the task as the run will probably find it; one not registered yet is no error (TR-02)."""
    if version_id is None:
        return versions.find_current_task(tx, environment.id, request.task_id)
    task = versions.find_task(tx, version_id, request.task_id)
    if task is None:
        raise Unprocessable(f"Version {request.version} has no task {request.task_id!r}")
    return task


def _queue(tx: Tx, environment: EnvironmentRow, request: RunRequest, task: TaskRow | None) -> QueueRow:
    """Return the queue of the run, made when missing (TR-06)."""
    own = f"task/{request.task_id}"[:128]
    name = request.queue_name or (task.queue_name if task else own)
    queue = queues.find_queue(tx, environment.id, name)
    if queue is not None:
        return queue
    if request.version is not None and name != own:
        raise Unprocessable(f"Version {request.version} has no queue {name!r}")
    kind = "task" if name == own else "custom"
    return queues.insert_queue(tx, environment.id, name=name, kind=kind)


# ---- the run --------------------------------------------------------------------------------------


def _new_run(
    tx: Tx,
    environment: EnvironmentRow,
    request: RunRequest,
    *,
    parent: RunRow | None,
    queue: QueueRow,
    task: TaskRow | None,
    version_id: str | None,
) -> RunRow:
    ttl = _ttl_seconds(environment, request, task)
    run = _blank(tx, environment, request, parent=parent, queue=queue, version_id=version_id)
    if request.delay_until is not None:
        run = run._replace(ttl=ttl)
        run = lifecycle.begin(tx, run, _data(request), Transition.TRIGGER_DELAYED, "Waits for its start time")
    else:
        refuse_if_full(tx, environment, queue)
        lane = slots.join(tx, queue, concurrency_key=run.concurrency_key, score=run.score)
        ttl_at = tx.now + ttl * 1000 if ttl else None
        run = run._replace(lane_id=lane, queued=1, queued_at=tx.now, ttl=ttl, ttl_at=ttl_at)
        run = lifecycle.begin(tx, run, _data(request), Transition.TRIGGER, f"Queued in {queue.name}")
    runs.insert_tags(tx, environment.id, run.id, request.tags)
    return run


def _ttl_seconds(environment: EnvironmentRow, request: RunRequest, task: TaskRow | None) -> int | None:
    """Return the TTL by order of precedence: trigger, task, ten minutes in dev (TR-11)."""
    if request.ttl is not None:
        return request.ttl or None
    if task is not None and task.ttl is not None:
        return task.ttl or None
    return DEV_TTL_SECONDS if environment.is_dev else None


def _data(request: RunRequest) -> RunData:
    return RunData(
        payload=request.payload,
        payload_type=request.payload_type,
        seed_metadata=request.metadata,
        metadata=request.metadata,
        output=None,
        output_type=None,
        error=None,
    )


def _blank(
    tx: Tx,
    environment: EnvironmentRow,
    request: RunRequest,
    *,
    parent: RunRow | None,
    queue: QueueRow,
    version_id: str | None,
) -> RunRow:
    """Return the run as the request describes it, before it has a place or a status."""
    queue_time = _queue_time(request, parent, tx.now)
    return RunRow(
        id=tx.new_id("run"),
        environment_id=environment.id,
        **{name: getattr(request, name) for name in _AS_ASKED},
        queue_id=queue.id,
        queue_name=queue.name,
        score=queue_time - request.priority_ms,
        queue_time=queue_time,
        version_id=version_id,
        is_pinned=int(request.version is not None),
        idempotency_expires_at=_key_expiry(request, tx.now),
        parent_id=parent.id if parent else None,
        root_id=(parent.root_id or parent.id) if parent else None,
        depth=parent.depth + 1 if parent else 0,
        resume_parent=int(parent is not None and request.resume_parent),
        is_awaited=int(request.batch_id is not None),
        debounce_key=request.debounce.key if request.debounce else None,
        debounce_until=debounce.latest_start(request, tx.now),
        annotations=inherited_annotations(parent),
        is_test=int(request.is_test),
        tags=orjson.dumps(request.tags).decode(),
        created_at=tx.now,
        updated_at=tx.now,
    )


def _queue_time(request: RunRequest, parent: RunRow | None, now: int) -> int:
    """Return since when the run counts as waiting (TR-14), Unix ms.

    A child that its parent waits for stands where the parent stood: trees that began finish first (TR-15).
    """
    if parent is not None and request.resume_parent:
        return parent.queue_time
    return request.delay_until or now


def _key_expiry(request: RunRequest, now: int) -> int | None:
    return None if request.idempotency_key is None else now + request.idempotency_life_ms
