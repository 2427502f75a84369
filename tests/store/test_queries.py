"""How SQLite executes the statements: what is hot follows its index, and nothing walks all runs."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.harness import Harness, harness
from trigger_lite.store import (
    batch_lists,
    batches,
    bulk_actions,
    clock_jumps,
    environments,
    queue_lists,
    queues,
    rates,
    requests,
    retention,
    runs,
    schedules,
    versions,
    waitpoints,
)
from trigger_lite.store.database import SqliteDatabase
from trigger_lite.store.query import Query

ROOMS = (
    batch_lists,
    batches,
    bulk_actions,
    clock_jumps,
    environments,
    queue_lists,
    queues,
    rates,
    requests,
    retention,
    runs,
    schedules,
    versions,
    waitpoints,
)

# What is in order by none of its keys is sorted when it is of one run: what it waits for, who waits for it.
SORTS_FEW = {
    f"{bulk_actions.__name__}._MARKS",
    f"{waitpoints.__name__}._EDGES",
    f"{waitpoints.__name__}._WAITING",
}

# Statements that run for every trigger, claim, attempt or tick, and the index each must follow.
HOT = {
    (batches, "_FIND_IN"): "sqlite_autoindex_batch_1 (id=?)",
    (batches, "_BY_KEY"): "batch_idempotency (environment_id=? AND idempotency_key=?)",
    (batches, "_UNSEALED"): "batch_unsealed (seal_by<?)",
    (batches, "_NEXT_SEAL_BY"): "batch_unsealed",
    (batch_lists, "_NEWEST"): "batch_list (environment_id=? AND id<?)",
    (batch_lists, "_NEWER"): "batch_list (environment_id=? AND id>?)",
    (batches, "_HAS_ITEM"): "sqlite_autoindex_batch_item_1 (batch_id=? AND idx=?)",
    (batches, "_END_ITEMS"): "batch_item_run (run_id=?)",
    (queues, "_JOIN_LANE"): "lane_key (queue_id=? AND lane_key=?)",
    (queues, "_DUE_LANES"): "lane_ready (environment_id=? AND head_score>? AND head_score<?)",
    (queues, "_NEXT_DUE"): "lane_ready (environment_id=? AND head_score>?)",
    (queues, "_TAKE"): "run_lane (lane_id=?)",
    (queues, "_LEAVE_LANE"): "run_lane (lane_id=?)",
    (queues, "_COUNT_WAITING"): "lane_key (queue_id=?)",
    (queues, "_ENDED_OVERRIDES"): "queue_override_end (override_ends_at>? AND override_ends_at<?)",
    (queues, "_NEXT_OVERRIDE_END"): "queue_override_end (override_ends_at>?)",
    (rates, "_METERS"): "queue_rated (environment_id=?)",
    (rates, "_RATED_LANES"): "lane_rated (queue_id=? AND head_score>? AND head_score<?)",
    (rates, "_JOIN"): "lane_key (queue_id=? AND lane_key=?)",
    (rates, "_TAKE"): "run_lane (lane_id=?)",
    (rates, "_RELEASE"): "lane_parked (queue_id=? AND not_before>? AND not_before<?)",
    (rates, "_DROP_FULL"): "lane_parked (queue_id=? AND not_before>? AND not_before<?)",
    (rates, "_BRING_BACK"): "lane_parked (queue_id=? AND not_before>?)",
    (environments, "_LOAD"): "queue_rated (environment_id=?)",
    (queues, "_AHEAD"): "run_lane (lane_id=? AND score<?)",
    (queues, "_REPAIR"): "run_worker (worker_id>?)",
    (queues, "_FIND"): "queue_name (environment_id=? AND name=?)",
    (environments, "_RECOUNT"): "run_worker (worker_id>?)",
    (runs, "_FIND"): "sqlite_autoindex_run_1 (id=?)",
    (runs, "_FIND_IN"): "sqlite_autoindex_run_1 (id=?)",
    (runs, "_DATA"): "sqlite_autoindex_run_1 (id=?)",
    (runs, "_HEADS"): "run_lane (lane_id=? AND score<?)",
    (runs, "_BY_IDEMPOTENCY_KEY"): "run_idempotency (environment_id=? AND task_id=? AND idempotency_key=?)",
    (runs, "_DEBOUNCED"): "run_debounce (environment_id=? AND task_id=? AND debounce_key=?)",
    (runs, "_OWNED"): "run_worker (worker_id>?)",
    (runs, "_OWNED_BY"): "run_worker (worker_id=?)",
    (runs, "_DELAYED"): "run_delayed (delay_until<?)",
    (runs, "_NEXT_DELAYED"): "run_delayed",
    (runs, "_EXPIRING"): "run_expiring (ttl_at>? AND ttl_at<?)",
    (runs, "_NEXT_EXPIRING"): "run_expiring (ttl_at>?)",
    (runs, "_PENDING_VERSION"): "run_pending_version (environment_id=? AND task_id=?)",
    (runs, "_PENDING_THIS_VERSION"): "run_pending_version (environment_id=? AND task_id=?)",
    (runs, "_CHILDREN"): "run_parent (parent_id=?)",
    (runs, "_UNFINISHED_CHILDREN"): "run_parent (parent_id=? AND id>?)",
    (runs, "_SNAPSHOTS"): "sqlite_autoindex_snapshot_1 (run_id=? AND seq>?)",
    (requests, "_FIND"): "sqlite_autoindex_request_key_1 (key=?)",
    (requests, "_OLDEST"): "request_key_age",
    (schedules, "_DUE"): "schedule_due (next_at>? AND next_at<?)",
    (schedules, "_NEXT_DUE"): "schedule_due (next_at>?)",
    (schedules, "_RELEASED"): "schedule_released (queued_for>?)",
    (schedules, "_RELEASE"): "schedule_waiting (waits_for=?)",
    (schedules, "_RELEASE_LEFT"): "schedule_waiting (waits_for>?)",
    (schedules, "_OCCURRENCE"): "run_occurrence (schedule_instance_id=? AND scheduled_for=?)",
    (schedules, "_FIND"): "sqlite_autoindex_schedule_instance_1 (id=?)",
    (schedules, "_FIND_IN"): "schedule_instance_environment (schedule_id=? AND environment_id=?)",
    (schedules, "_BY_KEY"): "schedule_key (project_id=? AND deduplication_key=?)",
    (schedules, "_DECLARED"): "schedule_declared (project_id=?)",
    (schedules, "_ACTIVE"): "sqlite_autoindex_schedule_instance_1 (id>?)",
    (schedules, "_LIST"): "schedule_list (project_id=?)",
    (schedules, "_BELOW"): "schedule_list (project_id=? AND id<?)",
    (waitpoints, "_FIND_IN"): "sqlite_autoindex_waitpoint_1 (id=?)",
    (waitpoints, "_BY_KEY"): "waitpoint_idempotency (environment_id=? AND idempotency_key=?)",
    (waitpoints, "_OF_RUN"): "waitpoint_run (completes_run=?)",
    (waitpoints, "_OF_BATCH"): "waitpoint_batch (completes_batch=?)",
    (waitpoints, "_DUE"): "waitpoint_due (due_at>? AND due_at<?)",
    (waitpoints, "_NEXT_DUE"): "waitpoint_due (due_at>?)",
    (waitpoints, "_COMPLETE"): "sqlite_autoindex_waitpoint_1 (id=?)",
    (waitpoints, "_EDGES"): "sqlite_autoindex_run_waitpoint_1 (run_id=?)",
    (waitpoints, "_WAITING"): "run_waitpoint_waitpoint (waitpoint_id=?)",
    (waitpoints, "_PENDING"): "sqlite_autoindex_run_waitpoint_1 (run_id=?)",
    (waitpoints, "_DELETE_EDGES"): "sqlite_autoindex_run_waitpoint_1 (run_id=?)",
    (runs, "_RESUMING"): "run_resuming (environment_id=?)",
    (bulk_actions, "_PENDING"): "bulk_action_pending",
    (bulk_actions, "_NAMED"): "sqlite_autoindex_bulk_item_1 (bulk_id=? AND run_id>?)",
    (retention, "_OLD_RUNS"): "sqlite_autoindex_run_1 (id>? AND id<?)",
    (retention, "_OLD_BATCHES"): "sqlite_autoindex_batch_1 (id>? AND id<?)",
    (retention, "_OLD_WAITPOINTS"): "sqlite_autoindex_waitpoint_1 (id>? AND id<?)",
    (versions, "_CURRENT"): "worker_version_current (environment_id=?)",
    (versions, "_FIND_TASK"): "sqlite_autoindex_task_1 (worker_version_id=? AND task_id=?)",
}


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    path: Path = tmp_path_factory.mktemp("plans") / "state.db"
    with harness(SqliteDatabase(path, synchronous="OFF")) as made:
        yield made


def _statements() -> Iterator[tuple[ModuleType, str, Query[object]]]:
    for room in ROOMS:
        for name, value in vars(room).items():
            if isinstance(value, Query):
                yield room, name, value


def _plan(sqlite: Harness, query: Query[object]) -> list[str]:
    sql = query.sql(sqlite.dialect)
    binds = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
    return [row[3] for row in sqlite.connection.execute(f"EXPLAIN QUERY PLAN {sql}", binds).fetchall()]


@pytest.mark.parametrize(("room", "name"), HOT, ids=[f"{room.__name__[19:]}.{name}" for room, name in HOT])
def test_a_hot_statement_follows_its_index(sqlite: Harness, room: ModuleType, name: str) -> None:
    """Q-26: its cost is that of what it finds."""
    plan = _plan(sqlite, getattr(room, name))
    assert any(step.endswith(HOT[room, name]) for step in plan), plan


def test_no_statement_walks_the_runs(sqlite: Harness) -> None:
    """Q-26: by no index of all runs either; the only walks are over a partial index of few."""
    few = (
        "run_worker",
        "run_batch",
        "run_debounce",
        "run_delayed",
        "run_expiring",
        "run_lane",
        "run_pending_version",
        "run_parent",
        "run_resuming",
    )
    for room, name, query in _statements():
        for step in _plan(sqlite, query):
            if re.match(r"(SCAN|SEARCH) run\b", step):
                index = re.search(r"INDEX (\w+)", step)
                single = "(id=?)" in step or "idempotency_key=?" in step or "scheduled_for=?" in step
                # On from where it was last, and only so far at once.
                bounded = "(id>? AND id<?)" in step and ":count" in query.sql(sqlite.dialect)
                assert index and (single or bounded or index[1] in few), f"{room.__name__}.{name}: {step}"


def test_no_statement_sorts(sqlite: Harness) -> None:
    """Q-26: what must be in order is found in order."""
    sorting = {
        f"{room.__name__}.{name}"
        for room, name, query in _statements()
        if any("TEMP B-TREE" in step for step in _plan(sqlite, query))
    }
    assert sorting == SORTS_FEW
