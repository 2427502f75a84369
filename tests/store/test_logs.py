"""Log lines: in the order they came, after a place."""

from tests.store.conftest import OpenStore
from trigger_lite.store.logs import LogRow, insert_lines, last_seq, list_lines_after
from trigger_lite.store.store import Store


def _line(seq: int, run: str = "run_1", message: str = "hello") -> LogRow:
    return LogRow(seq, run, 1, 1_790_000_000_000 + seq, "INFO", "stdout", message, None)


async def _seqs(store: Store, *, after: int, count: int) -> list[int]:
    lines = await store.read(lambda tx: list_lines_after(tx, "run_1", after=after, count=count))
    return [line.seq for line in lines]


async def test_lines_are_listed_after_a_place_oldest_first(open_store: OpenStore) -> None:
    store = await open_store(area="telemetry")
    await store.write(insert_lines, [_line(1), _line(2, run="run_2"), _line(3), _line(4), _line(5)])
    assert await _seqs(store, after=0, count=10) == [1, 3, 4, 5]
    assert await _seqs(store, after=1, count=2) == [3, 4]
    assert await _seqs(store, after=5, count=2) == []


async def test_numbering_goes_on_where_the_database_ends(open_store: OpenStore) -> None:
    store = await open_store(area="telemetry")
    assert await store.read(last_seq) == 0
    await store.write(insert_lines, [_line(2**40)])
    assert await store.read(last_seq) == 2**40


async def test_a_line_comes_back_as_it_was(open_store: OpenStore) -> None:
    store = await open_store(area="telemetry")
    line = _line(1, message="é\U0001f600\n\ttab" * 1_000)._replace(attributes='{"a":1}', level="ERROR")
    await store.write(insert_lines, [line])
    await store.write(insert_lines, [])
    assert await store.read(lambda tx: list_lines_after(tx, "run_1", after=0, count=1)) == [line]
