"""What pages read: each of these sees one state of the database, so that a page agrees with itself."""

from collections.abc import Iterable
from typing import Final

from trigger_lite.engine.reasons import explain
from trigger_lite.protocol.errors import RunNotFound
from trigger_lite.protocol.statuses import RunStatus
from trigger_lite.store import bulk_actions, log_lists, runs, versions
from trigger_lite.store.logs import LogRow
from trigger_lite.store.run_lists import RunFilter, count_runs, list_errors, list_runs
from trigger_lite.store.runs import RunData, RunRow
from trigger_lite.store.transaction import Reader
from trigger_lite.web.dashboard.filters import TABS, RunQuery
from trigger_lite.web.dashboard.list_views import ListFacts
from trigger_lite.web.dashboard.log_views import PAGE as LINES
from trigger_lite.web.dashboard.run_views import CHILDREN, RunFacts

PAGE: Final = 50
"""Runs on one page of a list."""
_SUGGESTIONS: Final = 100
MARKS: Final = 10
"""Bulk actions named on the page of a run."""


def read_list(tx: Reader, environment_id: str, query: RunQuery) -> ListFacts:
    """Read all that the page of a list shows, in one state of the database."""
    wanted = query.run_filter(environment_id, tx.now)
    page = list_runs(tx, wanted, size=PAGE, after=query.after or None, before=query.before or None)
    current = versions.find_current_version(tx, environment_id)
    tasks = [task.task_id for task in versions.list_tasks(tx, current.id)] if current else []
    nothing = RunFilter(environment_id=environment_id)
    return ListFacts(
        page,
        failed_errors(tx, page.rows),
        tasks[:_SUGGESTIONS],
        is_unused=not page.rows and not list_runs(tx, nothing, size=1).rows,
    )


def read_counts(tx: Reader, environment_id: str) -> dict[str, int]:
    """Count the runs under each tab whose count is cheap."""
    return {
        tab.name: count_runs(tx, RunFilter(environment_id=environment_id, statuses=tab.statuses))
        for tab in TABS
        if tab.is_counted
    }


def failed_errors(tx: Reader, rows: Iterable[RunRow]) -> dict[str, str]:
    return list_errors(tx, [run.id for run in rows if run.is_failed and run.status != RunStatus.CANCELED])


def newest_environment(tx: Reader, environment_ids: list[str]) -> str | None:
    newest = [
        row
        for environment_id in environment_ids
        for row in list_runs(tx, RunFilter(environment_id=environment_id), size=1).rows
    ]
    return max(newest, key=lambda run: run.id).environment_id if newest else None


# ---- one run ---------------------------------------------------------------------------------------


def read_run(tx: Reader, environment_id: str, run_id: str, connected: int) -> RunFacts:
    """Read all that the page of a run shows but its log, in one state of the database."""
    run = require_run(tx, environment_id, run_id)
    data = runs.get_data(tx, run_id)
    snapshots = runs.list_snapshots(tx, run_id)
    version = versions.find_version(tx, environment_id, run.version_id) if run.version_id else None
    return RunFacts(
        run=run,
        data=data,
        snapshots=snapshots,
        reason=explain(tx, run, snapshots, data.error, connected=connected),
        version=version.version if version else None,
        parent=runs.find_run(tx, run.parent_id) if run.parent_id else None,
        children=runs.list_children(tx, run_id, count=CHILDREN + 1),
        marks=tuple(bulk_actions.list_marks(tx, run_id, count=MARKS)),
    )


def require_run(tx: Reader, environment_id: str, run_id: str) -> RunRow:
    run = runs.find_run_in(tx, environment_id, run_id)
    if run is None:
        raise RunNotFound
    return run


def read_data(tx: Reader, environment_id: str, run_id: str) -> RunData:
    require_run(tx, environment_id, run_id)
    return runs.get_data(tx, run_id)


def read_log_page(tx: Reader, run_id: str, after: int) -> list[LogRow]:
    return log_lists.list_after(tx, run_id, log_lists.LEVELS, after=after, count=LINES)
