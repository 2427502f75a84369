"""The single writer: grouped commits, savepoints, events after the commit, a bounded inbox."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.store.conftest import OpenStore
from trigger_lite.protocol.errors import DatabaseFailed, ServerBusy
from trigger_lite.store.database import SqliteDatabase
from trigger_lite.store.query import Query, Statement
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Reader, Tx

_INSERT = Statement("INSERT INTO meta (key, value) VALUES (:key, :value)")
_KEYS = Query("SELECT key FROM meta ORDER BY key", str)
_COUNT = Query("SELECT count(*) FROM meta", int)
SECONDS = 20


def insert(tx: Tx, key: str) -> str:
    tx.run(_INSERT, key=key, value="x")
    tx.emit(key)
    return key


def insert_and_raise(tx: Tx, key: str) -> None:
    insert(tx, key)
    raise LookupError(key)


def keys(tx: Reader) -> list[str]:
    return tx.all(_KEYS)


def count(tx: Reader) -> int:
    return tx.first(_COUNT) or 0


class Gate:
    """A function that keeps the writer busy until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._opened = threading.Event()

    def hold(self, tx: Tx) -> None:
        insert(tx, "held")
        self.entered.set()
        assert self._opened.wait(SECONDS)

    def open(self) -> None:
        self._opened.set()


async def _busy(store: Store) -> tuple[Gate, "asyncio.Future[None]"]:
    """Return when the writer is inside a transaction that goes on until the gate is opened."""
    gate = Gate()
    held = asyncio.ensure_future(store.write(gate.hold))
    await asyncio.to_thread(gate.entered.wait, SECONDS)
    return gate, held


# ---- commits ---------------------------------------------------------------------------------------


async def test_many_writes_at_once_share_a_few_commits(open_store: OpenStore) -> None:
    published: list[list[object]] = []
    store = await open_store(published)
    names = [f"{n:04d}" for n in range(1_000)]
    assert await asyncio.gather(*(store.write(insert, name) for name in names)) == names
    assert await store.read(keys) == names
    assert [event for commit in published for event in commit] == names
    assert len(published) <= 10


async def test_writes_happen_in_the_order_they_were_submitted(open_store: OpenStore) -> None:
    """LK-01 ↯: one after the other, so no run needs a lock."""
    store = await open_store()
    seen: list[int] = []

    def note(_tx: Tx, number: int) -> None:
        seen.append(number)

    await asyncio.gather(*(store.write(note, number) for number in range(600)))
    assert seen == list(range(600))


async def test_a_write_reads_what_those_before_it_wrote(open_store: OpenStore) -> None:
    """LK-09: what decides a change is read on the connection that makes it."""
    store = await open_store()
    first, before, second = await asyncio.gather(
        store.write(insert, "a"), store.write(keys), store.write(insert, "b")
    )
    assert (first, before, second) == ("a", ["a"], "b")


async def test_a_function_that_raises_undoes_only_itself(open_store: OpenStore) -> None:
    published: list[list[object]] = []
    store = await open_store(published)
    results = await asyncio.gather(
        store.write(insert, "a"),
        store.write(insert_and_raise, "b"),
        store.write(insert, "c"),
        return_exceptions=True,
    )
    assert (results[0], results[2]) == ("a", "c")
    assert isinstance(results[1], LookupError)
    assert await store.read(keys) == ["a", "c"]
    assert published == [["a", "c"]]


async def test_an_error_of_the_database_undoes_only_its_function(open_store: OpenStore) -> None:
    store = await open_store()
    results = await asyncio.gather(
        store.write(insert, "a"), store.write(insert, "a"), store.write(insert, "b"), return_exceptions=True
    )
    assert isinstance(results[1], Exception) and "unique" in str(results[1]).lower()
    assert await store.read(keys) == ["a", "b"]


async def test_events_are_published_after_the_commit(open_store: OpenStore) -> None:
    published: list[list[object]] = []
    store = await open_store(published)
    gate, held = await _busy(store)
    assert published == []
    gate.open()
    await held
    assert published == [["held"]]
    assert await store.read(keys) == ["held"]


# ---- a commit that fails --------------------------------------------------------------------------------

_TABLES = (
    Statement("CREATE TABLE elder (id INTEGER PRIMARY KEY)"),
    Statement("CREATE TABLE younger (elder INTEGER REFERENCES elder (id) DEFERRABLE INITIALLY DEFERRED)"),
)
_ORPHAN = Statement("INSERT INTO younger (elder) VALUES (1)")


def _prepare(tx: Tx) -> None:
    for table in _TABLES:
        tx.run(table)


def _insert_orphan(tx: Tx) -> None:
    """Succeed, and make the commit fail: the constraint is checked only then."""
    tx.run(_ORPHAN)
    tx.emit("orphan")


async def test_a_commit_that_fails_fails_all_its_callers_and_the_next_one_works(
    open_store: OpenStore,
) -> None:
    published: list[list[object]] = []
    store = await open_store(published)
    await store.write(_prepare)
    results = await asyncio.gather(
        store.write(insert, "a"),
        store.write(_insert_orphan),
        store.write(insert, "b"),
        return_exceptions=True,
    )
    assert all(isinstance(result, DatabaseFailed) for result in results)
    assert all("foreign key" in str(result.__cause__).lower() for result in results)  # type: ignore[union-attr]
    assert (await store.read(keys), published, store.waiting) == ([], [], 0)
    assert await store.write(insert, "c") == "c"
    assert (await store.read(keys), published) == (["c"], [["c"]])


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Store]:
    """A store whose file may grow by some 100 KB more."""
    database = SqliteDatabase(tmp_path / "full.db", synchronous="OFF")
    store = await Store.open(database, "state", publish=lambda _events: None)
    pages = await store.write(lambda tx: tx.first(Query("PRAGMA page_count", int)) or 0)
    await store.write(lambda tx: tx.all(Query(f"PRAGMA max_page_count = {pages + 25}", int)))
    yield store
    await store.close()


def _insert_large(tx: Tx) -> None:
    for number in range(100):
        tx.run(_INSERT, key=f"large-{number}", value="x" * 10_000)


async def test_a_full_disk_fails_the_write_by_its_name_and_the_next_small_one_works(
    small_disk: Store,
) -> None:
    with pytest.raises(DatabaseFailed) as failed:
        await small_disk.write(_insert_large)
    assert "full" in str(failed.value.__cause__)
    assert await small_disk.write(insert, "small") == "small"
    assert await small_disk.read(keys) == ["small"]


# ---- the inbox -------------------------------------------------------------------------------------


async def test_a_full_inbox_refuses_and_recovers(open_store: OpenStore) -> None:
    store = await open_store(inbox_limit=5)
    gate, held = await _busy(store)
    accepted = [asyncio.ensure_future(store.write(insert, str(n))) for n in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(ServerBusy):
        await store.write(insert, "refused")
    assert store.waiting == 5
    gate.open()
    await asyncio.gather(held, *accepted)
    assert await store.write(insert, "accepted") == "accepted"
    assert await store.read(keys) == ["0", "1", "2", "3", "accepted", "held"]


async def test_work_that_was_accepted_already_waits_for_room(open_store: OpenStore) -> None:
    store = await open_store(inbox_limit=2)
    gate, held = await _busy(store)
    patient = [asyncio.ensure_future(store.write_when_free(insert, str(n))) for n in range(10)]
    await asyncio.sleep(0)
    gate.open()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(held, *patient)
    assert await store.read(count) == 11


async def test_a_caller_that_left_hinders_nobody(open_store: OpenStore) -> None:
    store = await open_store()
    gate, held = await _busy(store)
    left = asyncio.ensure_future(store.write(insert, "left"))
    stayed = asyncio.ensure_future(store.write(insert, "stayed"))
    await asyncio.sleep(0)
    left.cancel()
    gate.open()
    await asyncio.gather(held, stayed)
    assert left.cancelled()
    assert await store.read(keys) == ["held", "left", "stayed"]
    assert store.waiting == 0


# ---- the end ---------------------------------------------------------------------------------------


async def test_close_finishes_what_was_accepted_and_then_refuses(open_store: OpenStore) -> None:
    store = await open_store()
    gate, held = await _busy(store)
    accepted = [asyncio.ensure_future(store.write(insert, str(n))) for n in range(300)]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(store.close())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="closed"):
        await store.write(insert, "late")
    gate.open()
    await asyncio.gather(held, closing)
    assert [task.result() for task in accepted] == [str(n) for n in range(300)]


async def test_close_twice_is_close_once(open_store: OpenStore) -> None:
    store = await open_store()
    await store.write(insert, "a")
    await store.close()
    await store.close()


async def test_a_database_that_does_not_open_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("this is no database, and long enough to be taken for one" * 20)
    database = SqliteDatabase(tmp_path / "state.db", synchronous="FULL")
    with pytest.raises(Exception, match="not a database"):
        await Store.open(database, "state", publish=lambda _events: None)
