"""Works on bulk actions: looks their runs up beside the writer, acts on them a few at a time (CN-14)."""

import logging
import time
from collections.abc import Sequence
from typing import Final

from trigger_lite.engine.bulk_actions import PAGE, act, complete, give_up, next_runs
from trigger_lite.protocol.errors import Refusal
from trigger_lite.store.bulk_actions import BulkActionRow, list_pending
from trigger_lite.store.store import Store

logger = logging.getLogger(__name__)

IN_TURN: Final = 100
"""Bulk actions that are worked on in turn, a page of each."""
AT_ONCE: Final = 20
"""Runs acted on in one transaction, so that nothing else waits long for the writer."""
PAUSE_MS: Final = 20


async def work_on_bulk_actions(store: Store) -> int | None:
    """Do the next page of every bulk action; returns when to call again (Unix ms), None when all are over.

    Safe to repeat: a transaction acts only when the cursor stands where this call saw it.
    """
    pending = await store.read(list_pending, count=IN_TURN)
    for bulk in pending:
        await _next_page(store, bulk)
    return time.time_ns() // 1_000_000 + PAUSE_MS if pending else None


async def _next_page(store: Store, bulk: BulkActionRow) -> None:
    run_ids = await store.read(next_runs, bulk)
    seen = bulk.cursor
    for start in range(0, len(run_ids), AT_ONCE):
        some = run_ids[start : start + AT_ONCE]
        if not await _act(store, bulk.id, seen, some):
            return
        seen = some[-1]
    if len(run_ids) < PAGE:
        await store.write_when_free(complete, bulk.id, seen)


async def _act(store: Store, bulk_id: str, seen: str | None, run_ids: Sequence[str]) -> bool:
    """Act on some runs; when that fails, on each by itself, so that one run does not hold up all others."""
    try:
        return await store.write_when_free(act, bulk_id, seen, run_ids)
    except Refusal:
        raise  # the database is out of order: the loop is called again
    except Exception:
        if len(run_ids) == 1:
            logger.exception("the bulk action %s cannot act on %s", bulk_id, run_ids[0])
            return await store.write_when_free(give_up, bulk_id, seen, run_ids[0])
    for run_id in run_ids:
        if not await _act(store, bulk_id, seen, [run_id]):
            return False
        seen = run_id
    return True
