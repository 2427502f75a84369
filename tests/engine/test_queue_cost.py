"""What a claim costs: that of the runs it returns, whatever waits behind them (13c)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.builders import WORKER, a_run, a_task, a_version
from tests.support.harness import Harness, harness
from tests.support.recovering import recover
from trigger_lite.engine.queues import Claims, Offer, claim_runs
from trigger_lite.engine.rates import RELEASED_AT_ONCE
from trigger_lite.store.database import SqliteDatabase

BACKLOG = 20_000
STEP = 10
"""Instructions of SQLite's virtual machine between two counts."""


def _instructions(engine: Harness, work: Callable[[], object]) -> int:
    """Count what SQLite executes: work done, not time taken."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    engine.connection.set_progress_handler(step, STEP)  # type: ignore[attr-defined]
    work()
    engine.connection.set_progress_handler(None, 0)  # type: ignore[attr-defined]
    return count * STEP


def _fill(engine: Harness, run_id: str, count: int, *, lanes: int = 1) -> None:
    """Copy a waiting run many times, straight into the table, into as many lanes."""
    columns = "id, lane_id, " + ", ".join(
        name
        for name in engine.ask("SELECT name FROM pragma_table_info('run')")
        if name not in ("id", "lane_id", "idempotency_key")
    )
    rest = columns.removeprefix("id, lane_id, ")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
    lane_columns = "environment_id, queue_id, head_score, held, capacity, paused, blocked, waiting, rated"
    if lanes > 1:
        engine.change(
            numbers
            + f"INSERT INTO lane (id, lane_key, {lane_columns}) "
            + f"SELECT 'lane_' || i, '=' || i, {lane_columns} FROM n, lane LIMIT :count",
            count=lanes,
        )
    lane = "'lane_' || (1 + i % :lanes)" if lanes > 1 else "lane_id"
    engine.change(
        numbers
        + f"INSERT INTO run ({columns}) SELECT 'run_z' || printf('%08d', i), {lane}, {rest} "
        + "FROM n, run WHERE run.id = :id AND :lanes = :lanes",
        count=count,
        id=run_id,
        lanes=lanes,
    )


def _claim(engine: Harness, version_id: str, count: int) -> None:
    offers = [Offer(WORKER, version_id, count)]
    assert len(engine.do(claim_runs, engine.prod.id, offers).runs) == count


@pytest.fixture
def counted(tmp_path: Path) -> Callable[[int, int], int]:
    """Return the cost of a claim of ten among so many waiting runs in so many lanes."""

    def count(waiting: int, lanes: int) -> int:
        path = tmp_path / f"{waiting}-{lanes}.db"
        with harness(SqliteDatabase(path, synchronous="OFF")) as engine:
            version = a_version(engine, a_task())
            _fill(engine, a_run(engine).id, waiting, lanes=lanes)
            return _instructions(engine, partial(_claim, engine, version.id, 10))

    return count


@pytest.mark.parametrize("many_lanes", [False, True])
def test_a_claim_costs_the_same_whatever_waits(counted: Callable[[int, int], int], many_lanes: bool) -> None:
    """Q-26: twenty runs or twenty thousand, in one lane or in a thousand."""
    few = counted(20, 20 if many_lanes else 1)
    many = counted(BACKLOG, 1_000 if many_lanes else 1)
    assert many < few * 1.3


def test_runs_that_are_over_cost_a_claim_nothing(tmp_path: Path) -> None:
    """Q-26, HB-11: nor a recount of slots at the start of the server."""
    costs = []
    for over in (20, BACKLOG):
        with harness(SqliteDatabase(tmp_path / f"{over}.db", synchronous="OFF")) as engine:
            version = a_version(engine, a_task())
            first = a_run(engine)
            _fill(engine, first.id, over)
            engine.change("UPDATE run SET queued = 0, execution_status = 'FINISHED', completed_at = 1")
            for _ in range(10):
                a_run(engine)
            claimed = _instructions(engine, partial(_claim, engine, version.id, 5))
            costs.append((claimed, _instructions(engine, partial(engine.do, recover))))
    (claim_few, recover_few), (claim_many, recover_many) = costs
    assert claim_many < claim_few * 1.3
    assert recover_many < recover_few * 1.3


# ---- rates ------------------------------------------------------------------------------------------

KEYS = 10_000


@contextmanager
def _rated(folder: Path, keys: int, **queue: dict[str, int]) -> Iterator[tuple[Harness, str]]:
    """An engine whose queue of this rate has a waiting run in each of so many lanes, and its version."""
    with harness(SqliteDatabase(folder / f"{keys}.db", synchronous="OFF")) as engine:
        version = a_version(engine, a_task(queue=queue), a_task("mail"))
        _fill(engine, a_run(engine).id, keys, lanes=keys)
        yield engine, version.id


def test_a_queue_out_of_tokens_costs_a_claim_one_row(tmp_path: Path) -> None:
    """Q-26: however many keys wait in it; a token that comes costs the one run that it starts."""
    costs = []
    for keys in (20, KEYS):
        with _rated(tmp_path, keys, rate={"count": 1, "periodMs": 1_000, "burst": 1}) as (engine, version):
            starts = _instructions(engine, partial(_claim, engine, version, 1))
            nothing = _instructions(engine, partial(_try_to_claim, engine, version, 10))
            a_run(engine, "mail")
            costs.append((starts, nothing, _instructions(engine, partial(_claim, engine, version, 1))))
    for few, many in zip(*costs, strict=True):
        assert many < few * 1.3


def test_keys_out_of_tokens_cost_a_claim_nothing(tmp_path: Path) -> None:
    """Q-26: each was met once; from then on it waits beside the line for its own token."""
    costs = []
    for keys in (20, KEYS):
        with _rated(tmp_path, keys, keyRate={"count": 1, "periodMs": 60_000, "burst": 1}) as (
            engine,
            version,
        ):
            engine.change(
                "UPDATE lane SET blocked = 1, not_before = :at, rate_at = :at * 1000000",
                at=engine.now + 60_000,
            )
            nothing = _instructions(engine, partial(_try_to_claim, engine, version, 10))
            a_run(engine, "mail")
            costs.append((nothing, _instructions(engine, partial(_claim, engine, version, 1))))
    for few, many in zip(*costs, strict=True):
        assert many < few * 1.3


def test_keys_whose_token_comes_at_one_time_are_let_go_in_bounded_steps(tmp_path: Path) -> None:
    """Q-26: one claim changes so many lanes at most, and asks for the next one at once."""
    with _rated(tmp_path, 2_000, keyRate={"count": 1, "periodMs": 60_000, "burst": 1}) as (engine, version):
        engine.change("UPDATE lane SET blocked = 1, not_before = :at", at=engine.now)
        claims = _try_to_claim(engine, version, 1)
        assert len(claims.runs) == 1
        assert claims.next_due == engine.now
        (parked,) = engine.ask("SELECT count(*) FROM lane WHERE not_before > 0")
        assert parked == 2_001 - RELEASED_AT_ONCE + 1


def _try_to_claim(engine: Harness, version_id: str, count: int) -> Claims:
    return engine.do(claim_runs, engine.prod.id, [Offer(WORKER, version_id, count)])
