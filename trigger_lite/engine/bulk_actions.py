"""Bulk actions: many runs cancelled or replayed, a few in each transaction (CN-14, CN-15).

The filter, and the newest run it may mean, are fixed when the action is made. Runs are taken in order of
their ids, and the cursor moves in the transaction that acts: after a crash none is done twice or forgotten.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.events import BulkActionCreated
from trigger_lite.engine.replay import replay_run
from trigger_lite.protocol.bulk_actions import BulkStatus
from trigger_lite.protocol.errors import NotFound, Refusal, RunNotFound, TooManyAtOnce, Unprocessable
from trigger_lite.protocol.statuses import TERMINAL, RunStatus, api_status
from trigger_lite.store import bulk_actions, environments, requests, run_lists, runs
from trigger_lite.store.bulk_actions import BulkActionRow, BulkItemRow
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.run_lists import RunFilter
from trigger_lite.store.transaction import Reader, Tx

PAGE: Final = 100
"""Runs looked up at once."""
MAX_REPLAYS: Final = 3
"""Bulk replays of one environment that may go on at a time."""
UNEXPECTED: Final = "An unexpected error; the server's log has it"


class BulkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A bulk action to be made: `kind` is cancel or replay, for the runs of `wanted` or for `run_ids`.

    `wanted` is frozen; `total` is how many runs it means, None when counting would have taken too long.
    """

    kind: str
    source: str
    wanted: RunFilter | None = None
    run_ids: tuple[str, ...] = ()
    total: int | None = None
    name: str | None = None
    request_key: str | None = None


def freeze(tx: Reader, wanted: RunFilter) -> RunFilter:
    """Return the filter without runs that are yet to be made (CN-15)."""
    newest = run_lists.find_newest_id(tx, wanted.environment_id)
    return msgspec.structs.replace(wanted, last_id=newest or "")


def create_bulk_action(tx: Tx, environment: EnvironmentRow, request: BulkRequest) -> str:
    """Make a bulk action, which is worked on from here on; returns its id.

    The same request sent again finds the first. Raises TooManyAtOnce for a fourth replay at a time.
    """
    scope = f"{environment.id}:bulk:{request.request_key}"
    if request.request_key is not None:
        earlier = requests.find_request(tx, scope)
        if earlier is not None:
            return earlier
    if request.kind == "replay" and bulk_actions.count_pending(tx, environment.id, "replay") >= MAX_REPLAYS:
        raise TooManyAtOnce(
            f"Only {MAX_REPLAYS} bulk replays at a time can go on in an environment; wait for one or abort it"
        )
    bulk = _new(tx, environment, request)
    bulk_actions.insert_bulk_action(tx, bulk, request.run_ids)
    if request.request_key is not None:
        requests.insert_request(tx, scope, bulk.id)
    tx.emit(BulkActionCreated(environment.id, bulk.id))
    return bulk.id


def _new(tx: Tx, environment: EnvironmentRow, request: BulkRequest) -> BulkActionRow:
    wanted = request.wanted
    return BulkActionRow(
        id=tx.new_id("bulk"),
        environment_id=environment.id,
        kind=request.kind,
        status=BulkStatus.PENDING.value,
        name=request.name,
        source=request.source,
        filter=None if wanted is None else msgspec.json.encode(wanted).decode(),
        cursor=None,
        last_run_id=None if wanted is None else wanted.last_id,
        total=len(request.run_ids) if wanted is None else request.total,
        success=0,
        failure=0,
        created_at=tx.now,
        completed_at=None,
    )


def abort_bulk_action(tx: Tx, environment_id: str, bulk_id: str) -> None:
    """Do no more of a bulk action; what was done stays. Raises NotFound, or Unprocessable when it is over."""
    bulk = bulk_actions.find_bulk_action_in(tx, environment_id, bulk_id)
    if bulk is None:
        raise NotFound("Bulk action not found")
    if not bulk_actions.end_bulk_action(tx, bulk_id, BulkStatus.ABORTED.value):
        raise Unprocessable(f"{bulk_id} is {bulk.status} already")


# ---- page by page -----------------------------------------------------------------------------------


def next_runs(tx: Reader, bulk: BulkActionRow) -> list[str]:
    """List the next page of runs to act on, in order; fewer than a page are the last ones."""
    above = bulk.cursor or ""
    if bulk.filter is None:
        return bulk_actions.list_named(tx, bulk.id, above=above, count=PAGE)
    wanted = msgspec.json.decode(bulk.filter, type=RunFilter)
    return run_lists.list_ids(tx, wanted, above=above, count=PAGE)


def act(tx: Tx, bulk_id: str, seen: str | None, run_ids: Sequence[str]) -> bool:
    """Act on some runs and move the cursor behind them; tell whether it still stood at `seen`.

    When it did not, or the action is over, nothing is done.
    """
    bulk = _at(tx, bulk_id, seen)
    if bulk is None:
        return False
    environment = environments.get_environment(tx, bulk.environment_id)
    _record(tx, bulk, [_outcome(tx, bulk, environment, run_id) for run_id in run_ids])
    return True


def give_up(tx: Tx, bulk_id: str, seen: str | None, run_id: str) -> bool:
    """Count a run on which acting fails unexpectedly as one it could not be done to; tells like `act`."""
    bulk = _at(tx, bulk_id, seen)
    if bulk is None:
        return False
    _record(tx, bulk, [_failed(bulk, run_id, UNEXPECTED)])
    return True


def complete(tx: Tx, bulk_id: str, seen: str | None) -> None:
    """End a bulk action whose last run was acted on, if the cursor still stands there."""
    if _at(tx, bulk_id, seen) is not None:
        bulk_actions.end_bulk_action(tx, bulk_id, BulkStatus.COMPLETED.value)


def _at(tx: Tx, bulk_id: str, seen: str | None) -> BulkActionRow | None:
    bulk = bulk_actions.find_bulk_action(tx, bulk_id)
    if bulk is None or bulk.status != BulkStatus.PENDING or bulk.cursor != seen:
        return None
    return bulk


def _record(tx: Tx, bulk: BulkActionRow, items: Sequence[BulkItemRow]) -> None:
    for item in items:
        bulk_actions.put_item(tx, item)
    success = sum(item.status == "SUCCEEDED" for item in items)
    bulk_actions.advance(tx, bulk.id, cursor=items[-1].run_id, success=success, failure=len(items) - success)


def _outcome(tx: Tx, bulk: BulkActionRow, environment: EnvironmentRow, run_id: str) -> BulkItemRow:
    try:
        if bulk.kind == "replay":
            made = replay_run(tx, environment, run_id, bulk.source).run_id
            return BulkItemRow(bulk.id, run_id, "SUCCEEDED", None, made)
        _cancel(tx, bulk, run_id)
    except Refusal as refusal:
        return _failed(bulk, run_id, refusal.message)
    return BulkItemRow(bulk.id, run_id, "SUCCEEDED", None, None)


def _failed(bulk: BulkActionRow, run_id: str, why: str) -> BulkItemRow:
    return BulkItemRow(bulk.id, run_id, "FAILED", why, None)


def _cancel(tx: Tx, bulk: BulkActionRow, run_id: str) -> None:
    """Raises Unprocessable when the run is over: there was nothing to cancel."""
    run = runs.find_run_in(tx, bulk.environment_id, run_id)
    if run is None:
        raise RunNotFound
    status = RunStatus(run.status)
    if status in TERMINAL:
        raise Unprocessable(f"It was {api_status(status)} already")
    cancel_run(tx, bulk.environment_id, run_id, f"Canceled by bulk action {bulk.name or bulk.id}")
