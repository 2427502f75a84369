"""How long the writer is held while the past is removed: runs with their history, tags, values and lines."""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.figures import Figure, percentile
from bench.population import AT_ONCE, DAY_MS, copies, copy_all, copy_statements
from bench.sizes import Sizes
from tests.support.builders import a_request, a_version, claim, start, succeed
from tests.support.harness import Harness, harness
from trigger_lite.background.retention import Retention
from trigger_lite.config import Settings
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.store import logs, space
from trigger_lite.store.database import SqliteDatabase
from trigger_lite.store.logs import LogRow
from trigger_lite.store.query import Statement
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Tx

_AGE_DAYS: Final = 400
_LINES: Final = 5
_VALUE: Final = "x" * 50_000
_VALUE_EVERY: Final = 10
_ADD_VALUE: Final = Statement("INSERT INTO run_value (run_id, kind, data) VALUES (:id, 'output', :data)")


def measure_retention(sizes: Sizes, folder: Path) -> list[Figure]:
    """Return how long the steps of one round held the writer, and what is left of the files."""
    with TemporaryDirectory(dir=folder) as name:
        return asyncio.run(_measure(Path(name), sizes.retained_runs))


async def _measure(folder: Path, count: int) -> list[Figure]:
    state, telemetry = folder / "trigger.db", folder / "telemetry.db"
    with harness(SqliteDatabase(state, synchronous="OFF")) as engine:
        made = _populate(engine, count)
    store = await Store.open(SqliteDatabase(state, synchronous="FULL"), "state", publish=_to_nobody)
    lines = await Store.open(SqliteDatabase(telemetry, synchronous="NORMAL"), "telemetry", publish=_to_nobody)
    try:
        await _print_lines(lines, made)
        before = await store.read(space.total_bytes, "state") + await lines.read(
            space.total_bytes, "telemetry"
        )
        began = time.perf_counter()
        holds = [held * 1_000 async for held in Retention(store, lines, Settings().keep).steps()]
        seconds = time.perf_counter() - began
        after = await store.read(space.total_bytes, "state") + await lines.read(
            space.total_bytes, "telemetry"
        )
    finally:
        await store.close()
        await lines.close()
    past = f"{count:,} runs, {count * _LINES:,} lines, {len(holds):,} steps"
    return [
        Figure("retention.hold", "Longest hold of the writer, removing", max(holds), "ms", past),
        Figure("retention.hold.p99", "  99 of 100 steps hold it for at most", percentile(holds, 0.99), "ms"),
        Figure("retention.seconds", "  one round without its pauses", seconds, "s"),
        Figure(
            "retention.left",
            "  size of the files afterwards",
            after * 100 / before,
            "%",
            _sizes(before, after),
        ),
    ]


def _sizes(before: int, after: int) -> str:
    return f"{before / 1e6:,.0f} MB to {after / 1e6:,.0f} MB"


def _populate(engine: Harness, count: int) -> list[str]:
    """Add runs that ended long ago; returns their ids."""
    engine.now = time.time_ns() // 1_000_000 - _AGE_DAYS * DAY_MS
    a_version(engine)
    request = a_request(engine, payload={"order": 4711, "lines": ["A-1"] * 50}, tags=["customer_4711"])
    template = engine.do(trigger_run, engine.prod, request).run_id
    succeed(engine, start(engine, claim(engine)[0]))
    rows = copies(template, count, prefix="run", first_ms=engine.now, span_ms=200 * DAY_MS)
    for done in range(0, count, AT_ONCE):
        some = rows[done : done + AT_ONCE]
        engine.do(copy_all, copy_statements("finished"), some)
        values = [{"id": row["id"], "data": _VALUE} for row in some[::_VALUE_EVERY]]
        engine.do(_add_values, values)
    return [str(row["id"]) for row in rows]


def _add_values(tx: Tx, rows: list[dict[str, object]]) -> None:
    tx.run_many(_ADD_VALUE, rows)


async def _print_lines(telemetry: Store, run_ids: list[str]) -> None:
    for done in range(0, len(run_ids), AT_ONCE):
        rows = [
            LogRow(
                (done + place) * _LINES + line + 1,
                run_id,
                1,
                1,
                "INFO",
                "stdout",
                "a line of text " * 6,
                None,
            )
            for place, run_id in enumerate(run_ids[done : done + AT_ONCE])
            for line in range(_LINES)
        ]
        await telemetry.write(logs.insert_lines, rows)


def _to_nobody(_events: list[object]) -> None:
    """No one follows."""
