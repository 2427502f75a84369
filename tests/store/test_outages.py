"""A database that refuses or does not answer: said once, refused at once, over by itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from tests.store.test_writer import Gate, insert, keys
from tests.support.harness import database_at
from tests.support.postgres import Cluster
from trigger_lite.protocol.errors import DatabaseFailed, DatabaseStalled
from trigger_lite.store.outages import SAY_AGAIN_SECONDS, Outage
from trigger_lite.store.query import Statement
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Tx

SECONDS: Final = 20.0
STALL: Final = 0.1


class Played:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


# ---- what is said -------------------------------------------------------------------------------------


def test_an_error_is_said_when_it_is_new_and_every_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Played()
    outage = Outage("state", clock=clock)
    for seconds in (0, 1, 1, SAY_AGAIN_SECONDS):
        clock.now += seconds
        outage.failed(2, OSError("disk is full"))
    outage.failed(1, OSError("input/output error"))
    assert not outage.works(has_changed=False)
    assert outage.works(has_changed=True)
    assert not outage.is_known
    assert [record.getMessage() for record in caplog.records] == [
        "the state database did not take 2 changes: disk is full",
        "the state database did not take 2 changes: disk is full",
        "the state database did not take 1 changes: input/output error",
        "the state database takes changes again; 9 were refused meanwhile",
    ]


def test_a_stall_is_said_once_with_how_long_it_was(caplog: pytest.LogCaptureFixture) -> None:
    clock = Played()
    outage = Outage("telemetry", clock=clock)
    outage.stalls(5.0)
    clock.now += 25
    outage.stalls(30.0)
    during, is_news, after = outage.is_stalled, outage.works(has_changed=False), outage.is_stalled
    assert (during, is_news, after) == (True, True, False)
    assert [record.getMessage() for record in caplog.records] == [
        "the telemetry database has taken no change for 5.0 s; new work is refused",
        "the telemetry database takes changes again after 30.0 s",
    ]


# ---- a commit that does not end ---------------------------------------------------------------------


class Watched:
    """A store that notices a stall quickly; `reopened` counts how often it was told of an outage's end."""

    def __init__(self) -> None:
        self.store: Store
        self.reopened = 0

    def note(self) -> None:
        self.reopened += 1


@pytest.fixture
async def watched(database_url: str, tmp_path: Path) -> AsyncIterator[Watched]:
    made = Watched()
    made.store = await Store.open(
        database_at(database_url, tmp_path),
        "state",
        publish=lambda _events: None,
        reopened=made.note,
        stall_seconds=STALL,
    )
    yield made
    await made.store.close()


async def _until_refused(store: Store) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                await asyncio.wait_for(store.write(keys), STALL / 10)
            except TimeoutError:
                continue
            except DatabaseStalled:
                return


async def test_while_a_commit_does_not_end_new_work_is_refused_and_accepted_work_is_done_after(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    accepted = [asyncio.ensure_future(watched.store.write(fn)) for fn in (gate.hold, insert_accepted)]
    await asyncio.to_thread(gate.entered.wait, SECONDS)
    patient = asyncio.ensure_future(watched.store.write_when_free(insert, "patient"))
    await _until_refused(watched.store)
    late = asyncio.ensure_future(watched.store.write_when_free(insert, "late"))
    began = time.monotonic()
    with pytest.raises(DatabaseStalled):
        await watched.store.write(insert, "refused")
    assert time.monotonic() - began < STALL
    assert not late.done()
    gate.open()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*accepted, patient, late)
    assert await watched.store.read(keys) == ["accepted", "held", "late", "patient"]
    assert watched.reopened == 1
    assert "has taken no change for" in caplog.text and "takes changes again after" in caplog.text


def insert_accepted(tx: Tx) -> None:
    insert(tx, "accepted")


async def test_a_busy_database_is_not_a_stalled_one(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """However much waits, as long as commits end."""
    began, count, longest = time.monotonic(), 0, 0.0
    while time.monotonic() - began < 3 * STALL:
        asked = time.monotonic()
        await asyncio.gather(*(watched.store.write(insert, f"{count}-{n}") for n in range(20)))
        count, longest = count + 1, max(longest, time.monotonic() - asked)
    assert watched.reopened == 0
    assert caplog.text == "" or longest > STALL / 2  # then the machine itself stood still


# ---- a database that only reads -----------------------------------------------------------------------


@pytest.mark.postgres
async def test_a_database_that_only_reads_is_out_of_order_and_over_by_itself(
    postgres_cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As one is that was replaced by its replica: no defect of whoever asked."""
    with postgres_cluster.database() as url:
        store = await Store.open(database_at(url, tmp_path), "state", publish=lambda _events: None)
        await store.write(insert, "a")
        await store.write(lambda tx: tx.run(Statement("SET default_transaction_read_only = on")))
        for _ in range(3):
            with pytest.raises(DatabaseFailed):
                await store.write(insert, "b")
        assert await store.read(keys) == ["a"]
        assert await store.write(keys) == ["a"]
        assert "takes changes again" not in caplog.text
        await store.write(lambda tx: tx.run(Statement("SET default_transaction_read_only = off")))
        assert await store.write(insert, "c") == "c"
        assert await store.read(keys) == ["a", "c"]
        await store.close()
    assert caplog.text.count("read-only transaction") == 1
    assert "takes changes again" in caplog.text
