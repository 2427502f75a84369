"""Answers of the management API, as small as they may be."""

from typing import Any

from tests.support.edge import Reply


def a_run(run_id: str = "run_1", status: str = "COMPLETED", **fields: Any) -> dict[str, Any]:
    """Return the JSON of a run."""
    over = status in ("COMPLETED", "FAILED", "CANCELED", "CRASHED", "EXPIRED", "TIMED_OUT", "SYSTEM_FAILURE")
    return {
        "id": run_id,
        "taskIdentifier": "resize",
        "status": status,
        "isQueued": status == "QUEUED",
        "isExecuting": status == "EXECUTING",
        "isWaiting": False,
        "isCompleted": over,
        "isSuccess": status == "COMPLETED",
        "isFailed": over and status != "COMPLETED",
        "isCancelled": status == "CANCELED",
        "isTest": False,
        "createdAt": "2030-01-01T00:00:00.000Z",
        "updatedAt": "2030-01-01T00:00:01.000Z",
        "tags": [],
        "costInCents": 0,
        "baseCostInCents": 0,
        "durationMs": 0,
        "depth": 0,
        "triggerFunction": "trigger",
        "relatedRuns": {},
        "attempts": [],
        **fields,
    }


def a_page(*runs: dict[str, Any], following: str | None = None) -> Reply:
    """Return one page of runs."""
    return Reply(body={"data": list(runs), "pagination": {"next": following} if following else {}})


def a_result(output: str | None = None, output_type: str = "application/json") -> Reply:
    """Return the answer for the result of a run that succeeded."""
    body = {"ok": True, "id": "run_1", "taskIdentifier": "resize", "outputType": output_type}
    return Reply(body=body if output is None else {**body, "output": output})


def a_failure(**error: Any) -> Reply:
    """Return the answer for the result of a run that failed with this stored error."""
    return Reply(body={"ok": False, "id": "run_1", "taskIdentifier": "resize", "error": error})


def a_queue(
    name: str = "crm", *, limit: int | None = 5, paused: bool = False, **fields: Any
) -> dict[str, Any]:
    """Return the JSON of a queue."""
    concurrency = {"current": limit, "base": 5, "override": None, "overriddenAt": None, "overriddenBy": None}
    return {
        "id": f"queue_{name}",
        "name": name,
        "type": "custom",
        "running": 5,
        "queued": 12,
        "paused": paused,
        "concurrencyLimit": limit,
        "concurrency": concurrency,
        **fields,
    }


def a_queue_page(*queues: dict[str, Any], page: int = 1, pages: int = 1) -> Reply:
    """Return one page of queues."""
    pagination = {"currentPage": page, "totalPages": pages, "count": len(queues)}
    return Reply(body={"data": list(queues), "pagination": pagination})


def a_schedule(schedule_id: str = "sched_06fd3v", cron: str = "0 5 * * *", **fields: Any) -> dict[str, Any]:
    """Return the JSON of a schedule."""
    return {
        "id": schedule_id,
        "type": "IMPERATIVE",
        "task": "nightly",
        "active": True,
        "generator": {"type": "CRON", "expression": cron, "description": "At 05:00 every day"},
        "timezone": "UTC",
        "overlap": "allow",
        "catchUp": "latest",
        "environments": [{"id": "env_1", "type": "PRODUCTION"}],
        "nextRun": "2030-01-02T05:00:00.000Z",
        **fields,
    }


def a_schedule_page(*schedules: dict[str, Any], page: int = 1, pages: int = 1) -> Reply:
    """Return one page of schedules."""
    pagination = {"currentPage": page, "totalPages": pages, "count": len(schedules)}
    return Reply(body={"data": list(schedules), "pagination": pagination})
