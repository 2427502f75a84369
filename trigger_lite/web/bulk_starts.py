"""Starting a bulk action: what the API and the dashboard do alike."""

from typing import Final

from trigger_lite.engine.bulk_actions import BulkRequest, create_bulk_action, freeze
from trigger_lite.protocol.errors import SearchTooSlow
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.run_lists import RunFilter, count_runs
from trigger_lite.store.store import Store

MOST: Final = 10_000_000
"""Runs are counted up to here: far more than the time of a search allows."""


async def start_bulk_action(
    store: Store,
    environment: EnvironmentRow,
    kind: str,
    runs: RunFilter | tuple[str, ...],
    *,
    source: str,
    name: str | None = None,
    request_key: str | None = None,
) -> str:
    """Cancel or replay (`kind`) the runs of a filter, or those named; returns the bulk action's id.

    Counting and looking up is reading; the writer is only told what to do. Raises TooManyAtOnce.
    """
    wanted = await store.read(freeze, runs) if isinstance(runs, RunFilter) else None
    request = BulkRequest(
        kind=kind,
        source=source,
        wanted=wanted,
        run_ids=() if isinstance(runs, RunFilter) else runs,
        total=None if wanted is None else await _count(store, wanted),
        name=name,
        request_key=request_key,
    )
    return await store.write(create_bulk_action, environment, request)


async def _count(store: Store, wanted: RunFilter) -> int | None:
    """Return how many runs a filter means, or None when counting them would keep people waiting."""
    try:
        return await store.search(count_runs, wanted, most=MOST)
    except SearchTooSlow:
        return None
