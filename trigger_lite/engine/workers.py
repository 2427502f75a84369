"""Worker versions: what a live worker registers becomes what new runs get (worker-protocol 2.3)."""

from collections import Counter
from datetime import UTC, datetime

import msgspec

from trigger_lite.engine.events import MoreParked, VersionRegistered
from trigger_lite.engine.pending_versions import PROMOTE_CHUNK, promote_tasks, promote_version
from trigger_lite.engine.queue_limits import register_queue
from trigger_lite.engine.requests import (
    MAX_INTEGER,
    clamp_max_duration,
    clean,
    known_machine,
    queue_name,
    ttl_seconds,
    without_nulls,
)
from trigger_lite.engine.schedules import SCHEDULED, sync_declared
from trigger_lite.protocol.errors import BadRequest
from trigger_lite.protocol.machines import DEFAULT_MACHINE, preset_for
from trigger_lite.protocol.manifest import (
    MachineManifest,
    QueueManifest,
    RegisteredWorker,
    TaskManifest,
    WorkerManifest,
)
from trigger_lite.protocol.rates import RateConfig
from trigger_lite.store import environments, versions
from trigger_lite.store.queues import NO_LIMITS, CodeLimits
from trigger_lite.store.transaction import Tx
from trigger_lite.store.versions import TaskRow


def register_version(tx: Tx, environment_id: str, manifest: WorkerManifest) -> RegisteredWorker:
    """Make a manifest the current version; the same content as the current one stays that version.

    Raises BadRequest when two tasks have one id, or a setting cannot be read.
    """
    manifest = _without_nulls(manifest)
    _refuse_duplicates(manifest.tasks)
    environment = environments.get_environment(tx, environment_id)
    newest = versions.find_current_version(tx, environment_id)
    if newest is not None and newest.content_hash == manifest.content_hash:
        promote_tasks(tx, environment_id, [task.id for task in manifest.tasks])
        sync_declared(tx, environment, [_task_row(newest.id, task) for task in manifest.tasks])
        return RegisteredWorker(newest.id, newest.version, newest.content_hash)
    version = _next_version(tx, environment_id)
    version_id = versions.insert_version(
        tx,
        environment_id=environment_id,
        version=version,
        content_hash=manifest.content_hash,
        sdk_version=manifest.package_version,
        runtime=manifest.runtime,
    )
    tasks = [_task_row(version_id, task) for task in manifest.tasks]
    versions.insert_tasks(tx, tasks)
    _register_queues(tx, environment_id, manifest)
    versions.make_current(tx, environment_id, version_id)
    sync_declared(tx, environment, tasks)
    promote_tasks(tx, environment_id, [task.id for task in manifest.tasks])
    tx.emit(VersionRegistered(environment_id, version_id, version))
    return RegisteredWorker(version_id, version, manifest.content_hash)


def promote_waiting(tx: Tx, environment_id: str, version_id: str) -> int:
    """Put runs in line again that a connected version can run; returns how many (PV-02).

    A chunk of each kind at most; MoreParked is announced when there may be more.
    """
    task_ids = [task.task_id for task in versions.list_tasks(tx, version_id)]
    promoted = [promote_version(tx, environment_id, version_id, task_ids)]
    current = versions.find_current_version(tx, environment_id)
    if current is not None and current.id == version_id:
        promoted.append(promote_tasks(tx, environment_id, task_ids))
    if PROMOTE_CHUNK in promoted:
        tx.emit(MoreParked(environment_id, version_id))
    return sum(promoted)


def _without_nulls(manifest: WorkerManifest) -> WorkerManifest:
    """Return the manifest with every text such that PostgreSQL can hold it."""
    tasks = [
        msgspec.structs.replace(
            task,
            id=without_nulls(task.id),
            file_path=without_nulls(task.file_path),
            export_name=clean(task.export_name),
            description=clean(task.description),
            trigger_source=clean(task.trigger_source),
        )
        for task in manifest.tasks
    ]
    return msgspec.structs.replace(
        manifest,
        content_hash=without_nulls(manifest.content_hash),
        package_version=without_nulls(manifest.package_version),
        runtime=clean(manifest.runtime),
        tasks=tasks,
    )


def _refuse_duplicates(tasks: list[TaskManifest]) -> None:
    twice = [task_id for task_id, count in Counter(task.id for task in tasks).items() if count > 1]
    if twice:
        raise BadRequest(f"Two tasks have the id {twice[0]!r}; each task needs its own")


def _next_version(tx: Tx, environment_id: str) -> str:
    """Return `YYYYMMDD.N`, N restarting each day (UTC)."""
    day = datetime.fromtimestamp(tx.now / 1000, UTC).strftime("%Y%m%d")
    return f"{day}.{versions.last_number_of_day(tx, environment_id, day) + 1}"


def _task_row(version_id: str, task: TaskManifest) -> TaskRow:
    own = queue_name(task.queue.name) if task.queue and task.queue.name else None
    return TaskRow(
        worker_version_id=version_id,
        task_id=task.id,
        queue_name=own or f"task/{task.id}"[:128],
        file_path=task.file_path,
        export_name=task.export_name,
        description=task.description,
        retry=None if task.retry is None else msgspec.json.encode(task.retry).decode(),
        machine=_machine(task.machine),
        max_duration=None if task.max_duration is None else clamp_max_duration(task.max_duration),
        ttl=_ttl_seconds(task),
        trigger_source=task.trigger_source or (SCHEDULED if task.schedule else None),
        payload_schema=None
        if task.payload_schema is None
        else msgspec.json.encode(task.payload_schema).decode(),
        schedule=None if task.schedule is None else msgspec.json.encode(task.schedule).decode(),
    )


def _machine(machine: MachineManifest | None) -> str:
    """Return a preset's name for a preset or for numbers (MC-01)."""
    if machine is None:
        return DEFAULT_MACHINE
    if machine.preset is not None:
        return known_machine(machine.preset)
    return preset_for(machine.cpu or 0, machine.memory or 0)


def _ttl_seconds(task: TaskManifest) -> int | None:
    try:
        return ttl_seconds(task.ttl)
    except BadRequest as refusal:
        raise BadRequest(f"Task {task.id!r}: {refusal.message}") from None


def _register_queues(tx: Tx, environment_id: str, manifest: WorkerManifest) -> None:
    """Create or update the queues that the code names; pause and override stay (Q-33, Q-36, Q-38)."""
    wanted: dict[str, tuple[str, CodeLimits]] = {}
    for task in manifest.tasks:
        own = task.queue or QueueManifest()
        named = queue_name(own.name) if own.name else None
        name = named or f"task/{task.id}"[:128]
        wanted.setdefault(name, ("custom" if named else "task", NO_LIMITS))
        code = _code_limits(own)
        if code != NO_LIMITS:
            wanted[name] = (wanted[name][0], code)
    for queue in manifest.queues or []:
        name = (queue_name(queue.name) if queue.name else None) or ""
        if name:
            wanted[name] = ("custom", _code_limits(queue))
    for name, (kind, code) in wanted.items():
        register_queue(tx, environment_id, name=name, kind=kind, code=code)


def _code_limits(queue: QueueManifest) -> CodeLimits:
    limit, length = queue.concurrency_limit, queue.max_length
    return CodeLimits(
        None if limit is None else min(limit, MAX_INTEGER),
        None if length is None else min(length, MAX_INTEGER),
        *_rate_columns(queue, queue.rate),
        *_rate_columns(queue, queue.key_rate),
    )


def _rate_columns(queue: QueueManifest, rate: RateConfig | None) -> tuple[int | None, int | None, int | None]:
    if rate is None:
        return None, None, None
    problem = rate.problem()
    if problem is not None:
        raise BadRequest(f"The rate of the queue {queue.name!r}: {problem}")
    return rate.count, rate.period_ms, rate.burst
