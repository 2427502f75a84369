"""What the engine costs on a database with a past, beside an empty one: both measured by turns."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.figures import Figure, median_ratio
from bench.population import AT_ONCE, DAY_MS, copies, copy_all, copy_statements
from bench.sizes import Sizes
from tests.support.builders import a_request, a_version, claim, newest, start, succeed
from tests.support.harness import Harness, harness
from tests.support.recovering import recover
from trigger_lite.engine.deliveries import hand_back
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.store.database import SqliteDatabase

_PAYLOAD: Final = {"order": 4711, "customer": "a@example.com", "lines": [{"sku": "A-1", "count": 2}] * 3}
_HISTORY_DAYS: Final = 30
_LANES: Final = 100


def measure_growth(sizes: Sizes, folder: Path) -> list[Figure]:
    """Return the cost of each operation on an empty database, on a grown one, and the ratio."""
    with engine_on(folder) as empty, engine_on(folder) as grown:
        populate(grown, finished=sizes.finished_runs, queued=sizes.queued_runs)
        costs: dict[str, tuple[list[float], list[float]]] = {}
        for _ in range(sizes.growth_rounds):
            for name, operation in _OPERATIONS.items():
                ours, theirs = costs.setdefault(name, ([], []))
                theirs.append(operation(empty, sizes.growth_operations))
                ours.append(operation(grown, sizes.growth_operations))
    past = f"{sizes.finished_runs:,} runs over, {sizes.queued_runs:,} waiting"
    return [figure for name, (ours, theirs) in costs.items() for figure in _figures(name, ours, theirs, past)]


def _figures(name: str, ours: list[float], theirs: list[float], past: str) -> Iterator[Figure]:
    key = f"growth.{name.replace(' ', '_')}"
    yield Figure(f"{key}.empty", f"{name.capitalize()}, empty database", statistics.median(theirs), "µs")
    yield Figure(key, f"{name.capitalize()}, grown database", statistics.median(ours), "µs", past)
    yield Figure(f"{key}.ratio", "  times the empty one", median_ratio(ours, theirs), "×")


@contextmanager
def engine_on(folder: Path) -> Iterator[Harness]:
    """The engine on a new database. The disk is not waited for: it costs the same whatever the size."""
    with (
        TemporaryDirectory(dir=folder) as name,
        harness(SqliteDatabase(Path(name) / "state.db", synchronous="OFF")) as engine,
    ):
        a_version(engine)
        yield engine


def populate(engine: Harness, *, finished: int, queued: int) -> None:
    """Add runs that are over, and newer ones that wait in line: half of those in lanes of their own keys."""
    over = _trigger(engine)
    (claimed,) = claim(engine)
    succeed(engine, start(engine, claimed))
    _copy(engine, "finished", over, finished, first=_HISTORY_DAYS, last=1)
    _copy(engine, "queued", _trigger(engine), queued // 2, first=1, last=0)
    for number in range(_LANES):
        waiting = _trigger(engine, concurrency_key=f"customer_{number}")
        _copy(engine, "queued", waiting, queued // 2 // _LANES, first=1, last=0)
    engine.do(recover)


def _copy(engine: Harness, kind: str, template: str, count: int, *, first: int, last: int) -> None:
    """Copy a run so many times, as if made evenly from `first` to `last` days ago."""
    statements = copy_statements(kind)
    begin = engine.now - first * DAY_MS
    rows = copies(template, count, prefix="run", first_ms=begin, span_ms=(first - last) * DAY_MS)
    for done in range(0, count, AT_ONCE):
        engine.do(copy_all, statements, rows[done : done + AT_ONCE])


def _trigger(engine: Harness, **options: Any) -> str:
    engine.now += 1
    request = a_request(engine, payload=_PAYLOAD, tags=["customer_4711"], **options)
    return engine.do(trigger_run, engine.prod, request).run_id


# ---- operations: each returns microseconds for one --------------------------------------------------


def _triggering(engine: Harness, count: int) -> float:
    return _timed(count, lambda: _trigger(engine))


def _claiming(engine: Harness, count: int) -> float:
    """Claim a run and give it back, slot and place."""

    def once() -> None:
        (run,) = claim(engine)
        engine.do(hand_back, run.environment_id, run.id, newest(run), run.worker_id or "")

    return _timed(count, once)


def _completing(engine: Harness, count: int) -> float:
    """End runs whose attempts have started."""
    spent = 0.0
    for _ in range(count):
        engine.now += 1
        (run,) = claim(engine)
        started = start(engine, run)
        began = time.perf_counter()
        succeed(engine, started)
        spent += time.perf_counter() - began
    return spent / count * 1e6


def _timed(count: int, once: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(count):
        once()
    return (time.perf_counter() - began) / count * 1e6


_OPERATIONS: Final = {"trigger": _triggering, "claim and release": _claiming, "complete": _completing}
