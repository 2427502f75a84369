"""What a worker sends, applied; what it is sent, built."""

from typing import Any

import msgspec
import orjson

from trigger_lite.engine.attempts import Finished
from trigger_lite.engine.queues import Claim
from trigger_lite.engine.run_json import decode_metadata, decode_tags
from trigger_lite.protocol import execution, worker
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.machines import DEFAULT_MACHINE, PRESETS
from trigger_lite.protocol.statuses import ExecutionStatus
from trigger_lite.protocol.tasks import MAX_ATTEMPTS
from trigger_lite.protocol.times import LAST_DATE_MS, iso
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.logs import LogRow
from trigger_lite.store.runs import RunRow


class PlaceInfo(msgspec.Struct, frozen=True):
    """The parts of an execution that are the same for every run of an environment."""

    environment: execution.EnvironmentInfo
    organization: execution.OrganizationInfo
    project: execution.ProjectInfo


def place_of(environment: EnvironmentRow) -> PlaceInfo:
    return PlaceInfo(
        execution.EnvironmentInfo(environment.id, environment.slug, environment.type),
        execution.OrganizationInfo(
            environment.organization_id, environment.organization_slug, environment.organization_name
        ),
        execution.ProjectInfo(
            environment.project_id,
            environment.project_ref,
            environment.project_slug,
            environment.project_name,
        ),
    )


def run_message(claim: Claim, place: PlaceInfo) -> worker.Run:
    """Return the message that hands a claimed run to its worker."""
    run = claim.run
    started_at = iso(run.updated_at)
    return worker.Run(
        snapshot=snapshot_id(run.id, run.snapshot_seq),
        started_snapshot=snapshot_id(run.id, run.snapshot_seq + 1),
        execution=execution.Execution(
            attempt=execution.AttemptInfo(run.attempt + 1, started_at),
            run=_run_info(claim, started_at),
            task=execution.TaskInfo(run.task_id, claim.task.file_path),
            queue=execution.QueueInfo(run.queue_id, run.queue_name),
            environment=place.environment,
            organization=place.organization,
            project=place.project,
            machine=PRESETS.get(run.machine or "", PRESETS[DEFAULT_MACHINE]),
            batch=None if run.batch_id is None else execution.BatchInfo(run.batch_id),
        ),
    )


def _run_info(claim: Claim, started_at: str) -> execution.RunInfo:
    run, data = claim.run, claim.data
    return execution.RunInfo(
        id=run.id,
        payload=data.payload or "",
        payload_type=data.payload_type,
        created_at=iso(run.created_at),
        started_at=started_at,
        tags=decode_tags(run.tags),
        is_test=bool(run.is_test),
        is_replay=run.replay_of is not None,
        idempotency_key=run.idempotency_key,
        max_attempts=run.max_attempts,
        version=claim.version.version,
        metadata=decode_metadata(data.metadata) if data.metadata else None,
        max_duration=run.max_duration,
        priority=run.priority_ms / 1000 if run.priority_ms else None,
        parent_task_run_id=run.parent_id,
        root_task_run_id=run.root_id,
        duration_ms=run.usage_ms,
    )


def ack_complete(seq: int, finished: Finished) -> worker.Ack:
    """Answer a completion: what happens next (AT-08)."""
    if finished.attempt_status != "RETRY_IMMEDIATELY":
        return worker.Ack(seq, attempt_status=finished.attempt_status)
    run = finished.run
    retry = worker.Retry(
        snapshot=snapshot_id(run.id, run.snapshot_seq),
        started_snapshot=snapshot_id(run.id, run.snapshot_seq + 1),
        attempt=run.attempt + 1,
        delay_ms=finished.retry_delay_ms or 0,
    )
    return worker.Ack(seq, attempt_status=finished.attempt_status, retry=retry)


def current_run(run: RunRow) -> worker.CurrentRun:
    return worker.CurrentRun(
        run=run.id,
        snapshot=snapshot_id(run.id, run.snapshot_seq),
        execution_status=ExecutionStatus(run.execution_status),
        attempt=run.attempt,
    )


def log_row(line: worker.LogLine) -> LogRow:
    """Return a line as stored; what a task prints is hostile input, so it is brought into bounds here too."""
    return LogRow(
        seq=0,  # given by the log book
        run_id=line.run,
        attempt=min(max(0, line.attempt), MAX_ATTEMPTS),
        at=min(max(0, line.at), LAST_DATE_MS),
        level=line.level,
        source=line.source,
        message=line.message.replace("\0", "")[: worker.MAX_LOG_BYTES],
        attributes=_attributes(line.attributes),
    )


def _attributes(attributes: dict[str, Any] | None) -> str | None:
    """Return the attributes of a line as JSON, or None for such as could not be shown: too long, too deep."""
    if attributes is None:
        return None
    try:
        text = orjson.dumps(attributes)
    except TypeError:
        return None
    return text.decode() if len(text) <= worker.MAX_LOG_BYTES else None
