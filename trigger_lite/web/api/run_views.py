"""Runs as the management API shows them: rows in, messages out (management-api 5, 9.2)."""

from typing import Any, Final

import msgspec
import orjson

from trigger_lite.engine.run_json import decode_error, decode_metadata, decode_tags
from trigger_lite.protocol.durations import format_duration
from trigger_lite.protocol.execution import Usage
from trigger_lite.protocol.run_errors import api_error
from trigger_lite.protocol.runs import EnvironmentRef, RelatedRuns, RunDetail, RunResult, RunSummary
from trigger_lite.protocol.statuses import (
    TERMINAL,
    ApiStatus,
    RunStatus,
    api_status,
    is_completed,
    legacy_api_status,
)
from trigger_lite.protocol.times import iso
from trigger_lite.store import runs, schedules, versions
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.runs import RunData, RunRow
from trigger_lite.store.schedules import ScheduleRow
from trigger_lite.store.transaction import Reader
from trigger_lite.web.api.schedule_views import run_schedule

MAX_CHILDREN: Final = 50
_QUEUED: Final = frozenset({ApiStatus.QUEUED, ApiStatus.DELAYED, ApiStatus.PENDING_VERSION})
_EXECUTING: Final = frozenset({ApiStatus.EXECUTING, ApiStatus.DEQUEUED})
# A value that is null is shown; one that is not there is left out, as None is.
_NULL: Final = msgspec.Raw(b"null")
_super_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_HIDDEN_METADATA: Final = ("$$streams", "$$streamsVersion", "$$streamsBaseUrl")


class RunView(msgspec.Struct, frozen=True):
    """A run with everything its detail needs, read at one moment."""

    run: RunRow
    data: RunData
    numbers: dict[str, str]
    root: RunRow | None
    parent: RunRow | None
    children: list[RunRow]
    schedule: ScheduleRow | None = None


def read_run(tx: Reader, environment_id: str, run_id: str) -> RunView | None:
    """Read a run of an environment, its data, its family and the numbers of their versions."""
    run = runs.find_run_in(tx, environment_id, run_id)
    if run is None:
        return None
    root = runs.find_run(tx, run.root_id) if run.root_id else None
    parent = runs.find_run(tx, run.parent_id) if run.parent_id else None
    children = runs.list_children(tx, run.id, count=MAX_CHILDREN)
    family = [run, *children, *(r for r in (root, parent) if r is not None)]
    schedule = schedules.find_schedule(tx, run.schedule_id) if run.schedule_id else None
    data, numbers = runs.get_data(tx, run_id), read_numbers(tx, family)
    return RunView(run, data, numbers, root, parent, children, schedule)


def read_numbers(tx: Reader, rows: list[RunRow]) -> dict[str, str]:
    """Return the version numbers of the runs by version id."""
    numbers = {}
    for row in rows:
        if row.version_id is not None and row.version_id not in numbers:
            version = versions.find_version(tx, row.environment_id, row.version_id)
            numbers[row.version_id] = version.version if version else ""
    return numbers


class Summaries:
    """Shows runs of one environment to one client: `legacy` for clients without a version header (1a)."""

    def __init__(self, environment: EnvironmentRow, numbers: dict[str, str], *, legacy: bool) -> None:
        self._environment = environment
        self._numbers = numbers
        self._legacy = legacy

    def fields(self, run: RunRow) -> dict[str, Any]:
        """Return the fields that every shape of a run shares."""
        stored = RunStatus(run.status)
        status = api_status(stored)
        completed = is_completed(status)
        return {
            "id": run.id,
            "task_identifier": run.task_id,
            "status": legacy_api_status(stored) if self._legacy else status.value,
            "is_queued": status in _QUEUED,
            "is_executing": status in _EXECUTING,
            "is_waiting": status is ApiStatus.WAITING,
            "is_completed": completed,
            "is_success": status is ApiStatus.COMPLETED,
            "is_failed": completed and status is not ApiStatus.COMPLETED,
            "is_cancelled": status is ApiStatus.CANCELED,
            "is_test": bool(run.is_test),
            "tags": sorted(decode_tags(run.tags)),
            "cost_in_cents": 0.0,
            "base_cost_in_cents": 0.0,
            "duration_ms": run.usage_ms,
            "depth": run.depth,
            "trigger_function": _trigger_function(run),
            "attempt_count": run.attempt,
            "version": self._numbers.get(run.version_id or "") or None,
            "idempotency_key": _shown_key(run),
            "batch_id": run.batch_id,
            "ttl": format_duration(run.ttl) if run.ttl else None,
            **_times(run),
        }

    def summary(self, run: RunRow, metadata: str | None = None) -> RunSummary:
        fields = self.fields(run)
        fields["metadata"] = _shown_metadata(metadata)
        env = EnvironmentRef(self._environment.id, self._environment.slug)
        return RunSummary(**fields, env=env)

    def related(self, run: RunRow | None) -> RunSummary | None:
        return None if run is None else RunSummary(**self.fields(run))


def run_detail(view: RunView, environment: EnvironmentRow, *, legacy: bool) -> RunDetail:
    """Return what the retrieve endpoint answers."""
    summaries = Summaries(environment, view.numbers, legacy=legacy)
    data = view.data
    succeeded = view.run.status == RunStatus.COMPLETED_SUCCESSFULLY
    return RunDetail(
        **summaries.fields(view.run),
        metadata=_shown_metadata(data.metadata),
        payload=packet_value(data.payload, data.payload_type),
        output=packet_value(data.output, data.output_type or "") if succeeded else None,
        error=None if data.error is None else api_error(decode_error(data.error)),
        schedule=None if view.schedule is None else run_schedule(view.schedule),
        attempts=[],
        related_runs=RelatedRuns(
            root=summaries.related(view.root),
            parent=summaries.related(view.parent),
            children=[RunSummary(**summaries.fields(child)) for child in view.children] or None,
        ),
    )


def run_result(run: RunRow, data: RunData) -> RunResult | None:
    """Return the result of a finished run, or None while it is not."""
    status = RunStatus(run.status)
    if status not in TERMINAL:
        return None
    usage = Usage(run.usage_ms)
    if status is RunStatus.COMPLETED_SUCCESSFULLY:
        return RunResult(
            ok=True,
            id=run.id,
            task_identifier=run.task_id,
            output=data.output,
            output_type=data.output_type,
            usage=usage,
        )
    error = None if data.error is None else decode_error(data.error)
    return RunResult(ok=False, id=run.id, task_identifier=run.task_id, error=error, usage=usage)


def packet_value(data: str | None, data_type: str) -> Any:
    """Return a packet as a plain JSON value: SuperJSON is shown as its `json` member (management-api 5).

    JSON is passed on as it was written: no number loses a digit, and no nesting is too deep to be shown.
    """
    if data is None or data_type == "text/plain":
        return data
    try:
        value = orjson.loads(data)
        if data_type == "application/super+json" and isinstance(value, dict):
            return _super_decoder.decode(data).get("json", _NULL)
    except (orjson.JSONDecodeError, msgspec.DecodeError, RecursionError):
        return data
    return msgspec.Raw(data.encode())


def _trigger_function(run: RunRow) -> str:
    """Return which call of the SDK made the run (management-api 9.2)."""
    name = "trigger" if run.batch_id is None else "batchTrigger"
    return f"{name}AndWait" if run.resume_parent else name


def _times(run: RunRow) -> dict[str, str]:
    """Return the times that are set, as text."""
    moments = {
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "started_at": run.executed_at or run.started_at,
        "finished_at": run.completed_at,
        "delayed_until": run.delay_until,
        "expired_at": run.expired_at,
    }
    return {name: iso(at) for name, at in moments.items() if at is not None}


def _shown_key(run: RunRow) -> str | None:
    """Return the key as the caller wrote it, when that is known."""
    if run.idempotency_options is not None:
        return str(orjson.loads(run.idempotency_options)["key"])
    return run.idempotency_key


def _shown_metadata(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    return {k: v for k, v in decode_metadata(text).items() if k not in _HIDDEN_METADATA}
