"""Batches as tests need them, made by the engine's own functions."""

from typing import Any

import orjson

from tests.support.builders import (
    TASK,
    a_request,
    a_started_run,
    a_task,
    a_version,
    claim,
    start,
    succeed,
)
from tests.support.harness import Harness
from trigger_lite.engine.batch_items import ItemFailure, add_item, fail_item
from trigger_lite.engine.batch_requests import check_batch
from trigger_lite.engine.batches import Opened, create_batch, seal
from trigger_lite.protocol.batches import CreateBatch, TakenItems
from trigger_lite.protocol.run_errors import ErrorCode
from trigger_lite.store import batches, waitpoints
from trigger_lite.store.batches import BatchRow, ItemRunRow
from trigger_lite.store.runs import RunRow
from trigger_lite.store.waitpoints import WaitpointRow

PARENT = "parent"


def announce(
    engine: Harness,
    count: int,
    *,
    parent: RunRow | None = None,
    resume: bool = True,
    request_key: str | None = None,
    **options: Any,
) -> Opened:
    """Announce a batch; `parent` waits for it unless `resume` is false."""
    body = CreateBatch(
        count,
        parent_run_id=parent.id if parent else None,
        resume_parent_on_completion=resume if parent else None,
        **options,
    )
    return engine.do(create_batch, engine.prod, check_batch(body, request_key=request_key))


def a_batch(engine: Harness, count: int, **options: Any) -> BatchRow:
    return announce(engine, count, **options).batch


def add(engine: Harness, batch: BatchRow, index: int, task: str = TASK, **options: Any) -> bool:
    """Give a batch one item; tell whether it was new."""
    return engine.do(add_item, engine.prod, batch.id, index, a_request(engine, task, **options))


def refuse(engine: Harness, batch: BatchRow, index: int, message: str = "no such version") -> bool:
    """Record an item that becomes no run; tell whether it was new."""
    failure = ItemFailure(TASK, ErrorCode.BATCH_ITEM_COULD_NOT_TRIGGER.value, message)
    return engine.do(fail_item, engine.prod, batch.id, index, failure)


def fill(engine: Harness, batch: BatchRow, **options: Any) -> list[RunRow]:
    """Give a batch all its items and seal it; returns their runs in order."""
    for index in range(batch.run_count):
        add(engine, batch, index, **options)
    assert sealed(engine, batch).sealed
    return [engine.run(item.run_id) for item in items_of(engine, batch)]


def sealed(engine: Harness, batch: BatchRow) -> TakenItems:
    """Say that the items have come, and return what is answered."""
    return engine.do(seal, engine.prod, batch.id)


def now(engine: Harness, batch: BatchRow) -> BatchRow:
    """The batch as it is stored now."""
    found = engine.do(batches.find_batch, batch.id)
    assert found is not None
    return found


def items_of(engine: Harness, batch: BatchRow) -> list[ItemRunRow]:
    """The items that a run answers, in order."""
    return engine.do(batches.list_item_runs, batch.id)


def waitpoint_of(engine: Harness, batch: BatchRow) -> WaitpointRow | None:
    return engine.do(waitpoints.find_of_batch, batch.id)


def a_parent(engine: Harness) -> RunRow:
    """A run that executes, of a version that has the items' task too."""
    a_version(engine, a_task(PARENT), a_task())
    return a_started_run(engine, PARENT)


def finish_all(engine: Harness) -> list[str]:
    """Run what waits in line to its end; returns the ids in the order they were claimed."""
    ended = []
    while claimed := claim(engine, 5):
        for run in claimed:
            succeed(engine, start(engine, run), output=f'"{run.id}"')
            ended.append(run.id)
    return ended


def told(engine: Harness, run: RunRow) -> list[tuple[str, int | None]]:
    """What ended the wait of a run: the run or batch of each waitpoint, and its index."""
    newest = engine.snapshots(run)[-1]
    assert newest.completed is not None
    named = dict(engine.ask("SELECT id, coalesce(completes_run, completes_batch) FROM waitpoint"))
    return [(named[waitpoint], index) for waitpoint, index in orjson.loads(newest.completed)]
