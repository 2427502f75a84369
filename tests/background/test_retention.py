"""The loop that removes what is old: by age, by size, step by step, and what it gives back."""

import dataclasses
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.support.builders import TASK
from tests.support.harness import NOW, database_at
from trigger_lite.background import retention as loop
from trigger_lite.background.retention import HOLD_SECONDS, Pace, Retention
from trigger_lite.config import Keep
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.engine.installation import prepare_installation
from trigger_lite.engine.requests import check_trigger
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.protocol.tasks import TriggerOptions, TriggerTask
from trigger_lite.store import logs, space
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.logs import LogRow
from trigger_lite.store.query import Query, Statement
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Tx

KEEP_ALL: Final = Keep(logs=None, payloads=None, runs=None, failures=None, data=None)
DAY: Final = 86_400_000
HOUR: Final = 3_600_000
_RUNS: Final = Query("SELECT id FROM run ORDER BY id", str)
_WITH_DATA: Final = Query("SELECT id FROM run WHERE payload IS NOT NULL ORDER BY id", str)
_LINES: Final = Query("SELECT seq FROM log ORDER BY seq", int)
_KEYS: Final = Query("SELECT key FROM meta WHERE key LIKE 'retention%'", str)


def _keep(**limits: int) -> Keep:
    """Keep everything but what a limit is given for."""
    return dataclasses.replace(KEEP_ALL, **limits)


class Site:
    """Both databases of a server, and its clock, which is set by hand."""

    def __init__(self) -> None:
        self.now = NOW
        self.state: Store
        self.telemetry: Store
        self.prod: EnvironmentRow
        self._seq = 0

    def clock(self) -> int:
        return self.now

    def retention(self, keep: Keep = KEEP_ALL) -> Retention:
        return Retention(self.state, self.telemetry, keep, measured_every=1, clock=self.clock)

    async def runs(self, count: int = 1, *, payload: Any = 1, key: str | None = None) -> list[str]:
        """Make runs that ended at once, well but for the word for it."""
        options = TriggerOptions(idempotency_key=key)
        body = TriggerTask(payload=payload, options=options)
        request = check_trigger(TASK, body, now=self.now, source="api", request_key=None)
        made = [(await self.state.write(trigger_run, self.prod, request)).run_id for _ in range(count)]
        for run_id in made:
            await self.state.write(cancel_run, self.prod.id, run_id)
        await self.change("UPDATE run SET is_failed = 0, status = 'COMPLETED_SUCCESSFULLY'")
        return made

    async def failures(self, count: int = 1) -> list[str]:
        made = await self.runs(count, payload=msgspec.UNSET)
        for run_id in made:
            await self.change("UPDATE run SET is_failed = 1, status = 'CRASHED' WHERE id = :id", id=run_id)
        return made

    async def lines(self, *run_ids: str, ahead: int = 0) -> list[int]:
        """Print a line in each run; `ahead` is how fast the clocks of their workers are (ms)."""
        first = self._seq + 1
        self._seq += len(run_ids)
        rows = [
            LogRow(seq, run_id, 1, self.now + ahead, "INFO", "out", "line", None)
            for seq, run_id in enumerate(run_ids, start=first)
        ]
        await self.telemetry.write(logs.insert_lines, rows)
        return [row.seq for row in rows]

    async def change(self, sql: str, **parameters: Any) -> None:
        await self.state.write(_change, sql, parameters)

    async def left(self) -> tuple[list[str], list[str], list[int]]:
        """The runs that are left, those of them with a payload, and the log lines."""
        runs = await self.state.read(lambda tx: tx.all(_RUNS))
        with_data = await self.state.read(lambda tx: tx.all(_WITH_DATA))
        return runs, with_data, await self.telemetry.read(lambda tx: tx.all(_LINES))


def _change(tx: Tx, sql: str, parameters: dict[str, Any]) -> None:
    tx.run(Statement(sql), **parameters)


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    made = Site()
    folders = {"state": tmp_path / "state", "telemetry": tmp_path / "telemetry"}
    stores = []
    for lease, (area, folder) in enumerate(folders.items(), start=1):
        folder.mkdir()
        database = database_at(database_url, folder, lease=lease)
        stores.append(await Store.open(database, area, publish=lambda _events: None, clock=made.clock))
    made.state, made.telemetry = stores
    _, made.prod = await made.state.write(prepare_installation, b"secret", 10)
    yield made
    for store in stores:
        await store.close()


async def finish(retention: Retention) -> int:
    """Make one round; returns of how many steps it was."""
    return len([held async for held in retention.steps()])


# ---- by age ---------------------------------------------------------------------------------------


async def test_each_kind_goes_at_its_own_age(site: Site) -> None:
    keep = Keep(logs=DAY, payloads=2 * DAY, runs=3 * DAY, failures=4 * DAY, data=None)
    retention = site.retention(keep)
    runs, failures = await site.runs(2), await site.failures(1)
    lines = await site.lines(*runs, *failures)
    seen = []
    for _ in range(5):
        await finish(retention)
        seen.append(await site.left())
        site.now += DAY + 1
    assert seen == [
        (runs + failures, runs, lines),
        (runs + failures, runs, []),
        (runs + failures, [], []),
        (failures, [], []),
        ([], [], []),
    ]


async def test_what_is_kept_for_ever_stays(site: Site) -> None:
    runs = await site.runs(1)
    lines = await site.lines(*runs)
    site.now += 1_000 * DAY
    assert await finish(site.retention()) == 0
    assert await site.left() == (runs, runs, lines)


async def test_the_lines_of_a_run_go_with_it(site: Site) -> None:
    old = await site.runs(1)
    await site.lines(*old * 300)
    site.now += DAY + 1
    young = await site.runs(1)
    lines = await site.lines(*young)
    await finish(site.retention(_keep(runs=DAY)))
    assert await site.left() == (young, young, lines)


async def test_a_line_of_a_worker_whose_clock_is_fast_goes_with_its_neighbours(site: Site) -> None:
    await site.lines("run_1")
    await site.lines("run_2", ahead=300 * DAY)
    await site.lines("run_3")
    site.now += DAY + 1
    await finish(site.retention(_keep(logs=DAY)))
    assert (await site.left())[2] == []


async def test_a_round_goes_on_where_the_last_one_ended_and_once_a_day_from_the_beginning(site: Site) -> None:
    """What it passed over because it was not over is looked at again."""
    retention = site.retention(_keep(runs=DAY))
    (late,) = await site.runs(1)
    await site.change("UPDATE run SET completed_at = NULL")
    first = await site.runs(2)
    await site.change("UPDATE run SET completed_at = NULL WHERE id = :id", id=late)
    site.now += DAY + 1
    await finish(retention)
    assert (await site.left())[0] == [late]
    await site.change("UPDATE run SET completed_at = :at", at=NOW)
    await finish(site.retention(_keep(runs=DAY)))
    assert (await site.left())[0] == [late], first
    site.now += DAY
    await finish(site.retention(_keep(runs=DAY)))
    assert (await site.left())[0] == []


# ---- by size --------------------------------------------------------------------------------------


def _noise(size: int) -> str:
    """Text that no database makes shorter."""
    return random.Random(size).randbytes(size // 2).hex()


async def _used(site: Site) -> int:
    state = await site.state.read(space.used_bytes, "state")
    return state + await site.telemetry.read(space.used_bytes, "telemetry")


async def test_without_room_everything_that_may_go_goes(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Down to what is not over, or for less than an hour; that there is no more room is said."""
    await site.lines(*await site.runs(2), *await site.failures(1), *await site.runs(1, key="a"))
    site.now += HOUR + 1
    fresh = await site.runs(1)
    lines = await site.lines(*fresh)
    with caplog.at_level(logging.INFO):
        await finish(site.retention(_keep(data=1)))
    assert await site.left() == (fresh, fresh, lines)
    assert "nothing more of it may be removed" in caplog.text
    assert "removed by age or size: 4 log lines, 4 payloads" not in caplog.text


async def test_only_as_much_goes_as_makes_room_the_oldest_first(
    site: Site,
) -> None:
    """Logs go first, then payloads; runs stay when that was enough."""
    small = await site.runs(20)
    large = await site.runs(60, payload=_noise(200_000))
    await site.lines(*small)
    site.now += HOUR + 1
    used = await _used(site)
    await finish(site.retention(_keep(data=used - 4_000_000)))
    runs, with_data, lines = await site.left()
    assert (runs, lines) == (small + large, [])
    assert with_data == large[-len(with_data) :] and 10 < len(with_data) < 50
    assert await _used(site) < used - 4_000_000


async def test_a_run_with_a_living_key_goes_when_nothing_else_is_left(
    site: Site,
) -> None:
    """ID-01: else its work would be done again; failures go before it."""
    keyed = await site.runs(1, key="a", payload=_noise(100_000))
    plain, failed = await site.runs(1, payload=_noise(1_000_000)), await site.failures(1)
    site.now += HOUR + 1
    used = await _used(site)
    await finish(site.retention(_keep(data=used - 500_000)))
    assert (await site.left())[:2] == (keyed + plain + failed, keyed)
    await finish(site.retention(_keep(data=1)))
    assert (await site.left())[0] == []


async def test_room_is_given_back_to_the_disk(site: Site) -> None:
    """On PostgreSQL it is autovacuum that does it."""
    await site.runs(60, payload=_noise(200_000))
    site.now += DAY + 1
    total, used = await site.state.read(space.total_bytes, "state"), await _used(site)
    await finish(site.retention(_keep(runs=DAY)))
    assert await _used(site) < used / 5
    pages = await site.state.read(space.find_pages)
    if pages.all:
        assert pages.free <= loop.SPARE_PAGES
        assert await site.state.read(space.total_bytes, "state") < total / 5


# ---- steps ----------------------------------------------------------------------------------------


async def test_a_tick_is_one_step_and_a_round_is_followed_by_a_pause(site: Site) -> None:
    """LK-03: bounded work; the writer is left alone for longer than it was held."""
    retention = site.retention(_keep(runs=DAY))
    assert await retention.tick() == site.now + 1_000 * loop.FIRST_ROUND_SECONDS
    await site.runs(25)
    site.now += DAY + 1
    left = []
    while (due := await retention.tick()) < site.now + 1_000 * loop.ROUND_SECONDS:
        left.append(len((await site.left())[0]))
        assert due > site.now
    assert left[:1] == [15] and left[-1] == 0


async def test_a_round_that_fails_begins_again(site: Site, tmp_path: Path) -> None:
    retention = site.retention(_keep(runs=DAY))
    await retention.tick()
    await site.change("ALTER TABLE batch RENAME TO gone")
    with pytest.raises(Exception, match="batch"):
        await retention.tick()
    await site.change("ALTER TABLE gone RENAME TO batch")
    assert await retention.tick() == site.now + 1_000 * loop.ROUND_SECONDS


def test_a_step_grows_slowly_and_shrinks_at_once() -> None:
    pace = Pace(10, 1_000)
    pace.learn(10, HOLD_SECONDS / 100)
    assert pace.count == 16
    pace.learn(16, 4 * HOLD_SECONDS)
    assert pace.count == 4
    pace.learn(4, 0.0)
    assert pace.count == 4
    for _ in range(100):
        pace.learn(pace.count, 0.0)
    assert pace.count == 1_000
    pace.learn(1_000, 60.0)
    assert pace.count == 1
