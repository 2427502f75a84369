"""Lines of a run by level, newest and following, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.harness import database_at
from trigger_lite.protocol.ids import IdSource
from trigger_lite.store.log_lists import LEVELS, levels_from, list_after, list_newest
from trigger_lite.store.logs import LogRow, insert_lines
from trigger_lite.store.migrate import migrate
from trigger_lite.store.transaction import Tx


@pytest.fixture
def tx(database_url: str, tmp_path: Path) -> Iterator[Tx]:
    """Ten lines of one run, of each level in turn, and one of another run."""
    database = database_at(database_url, tmp_path)
    connection = database.connect()
    migrate(connection, database.dialect, "telemetry")
    tx = Tx(connection, database.dialect, 0, IdSource())
    levels = [LEVELS[number % len(LEVELS)] for number in range(10)]
    lines = [
        LogRow(seq, "run_1", 1, seq, level, "log", f"line {seq}", None)
        for seq, level in enumerate(levels, start=1)
    ]
    insert_lines(tx, [*lines, LogRow(11, "run_2", 1, 0, "INFO", "log", "other", None)])
    yield tx
    connection.close()


def _numbers(rows: list[LogRow]) -> list[int]:
    return [row.seq for row in rows]


def test_the_newest_lines_come_oldest_first(tx: Tx) -> None:
    assert _numbers(list_newest(tx, "run_1", LEVELS, before=2**62, count=3)) == [8, 9, 10]
    assert _numbers(list_newest(tx, "run_1", LEVELS, before=8, count=3)) == [5, 6, 7]


def test_following_lines_begin_after_one(tx: Tx) -> None:
    assert _numbers(list_after(tx, "run_1", LEVELS, after=7, count=100)) == [8, 9, 10]
    assert _numbers(list_after(tx, "run_1", LEVELS, after=0, count=2)) == [1, 2]


def test_a_level_brings_those_above_it(tx: Tx) -> None:
    assert levels_from("WARN") == ("WARN", "ERROR")
    assert levels_from("LOG") == levels_from("INFO") == ("INFO", "LOG", "WARN", "ERROR")
    assert _numbers(list_newest(tx, "run_1", levels_from("WARN"), before=2**62, count=100)) == [5, 6]
    assert _numbers(list_after(tx, "run_1", levels_from("ERROR"), after=0, count=100)) == [6]
