"""Lists of runs: filters, cursors and capped counts, on both databases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select

from tests.support.builders import a_run, a_version, claim_one, fail, start, succeed
from tests.support.harness import Harness, database_at, harness
from trigger_lite.engine.attempts import cancel_run
from trigger_lite.protocol.errors import BadRequest
from trigger_lite.protocol.statuses import RunStatus
from trigger_lite.protocol.tasks import QueueOption
from trigger_lite.store.bulk_actions import BulkItemRow, put_item
from trigger_lite.store.database import SqliteDatabase
from trigger_lite.store.run_lists import (
    RunFilter,
    RunPage,
    count_newer,
    count_runs,
    encode_cursor,
    find_newest_id,
    list_errors,
    list_ids,
    list_metadata,
    list_rows,
    list_runs,
)
from trigger_lite.store.transaction import Reader


class Place:
    """A new installation whose clock moves one second with every run."""

    def __init__(self, engine: Harness) -> None:
        self.engine = engine
        self.dev, self.prod = engine.dev, engine.prod

    def run(self, task: str = "resize", **options: Any) -> str:
        self.engine.pass_time(1)
        return a_run(self.engine, task, **options).id

    def wanted(self, **narrowed: Any) -> RunFilter:
        return RunFilter(environment_id=self.prod.id, **narrowed)

    def ids(self, *, size: int = 100, **narrowed: Any) -> list[str]:
        return [row.id for row in self.page(self.wanted(**narrowed), size=size).rows]

    def page(
        self, wanted: RunFilter, *, size: int, after: str | None = None, before: str | None = None
    ) -> RunPage:
        return self.engine.do(list_runs, wanted, size=size, after=after, before=before)

    def finish(self, *, ok: bool) -> str:
        """Run the oldest waiting run to its end."""
        run = start(self.engine, claim_one(self.engine))
        return (succeed if ok else fail)(self.engine, run).run.id


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Place]:
    with harness(database_at(database_url, tmp_path)) as engine:
        yield Place(engine)


def test_the_newest_run_comes_first_and_only_this_environments(place: Place) -> None:
    first, second = place.run(), place.run()
    place.run(environment=place.dev)
    assert place.ids() == [second, first]


def test_pages_follow_each_other_without_gap_or_repeat(place: Place) -> None:
    made = [place.run() for _ in range(7)][::-1]
    first = place.page(place.wanted(), size=3)
    second = place.page(place.wanted(), size=3, after=first.next)
    third = place.page(place.wanted(), size=3, after=second.next)
    assert [row.id for page in (first, second, third) for row in page.rows] == made
    assert (first.previous, third.next) == (None, None)
    back = place.page(place.wanted(), size=3, before=third.previous)
    assert back.rows == second.rows
    assert place.page(place.wanted(), size=3, before=back.previous).rows == first.rows


def test_the_first_page_reached_backwards_has_no_newer_one(place: Place) -> None:
    made = [place.run() for _ in range(4)][::-1]
    page = place.page(place.wanted(), size=3, before=encode_cursor(made[2]))
    assert [row.id for row in page.rows] == made[:2]
    assert page.previous is None
    assert page.next == encode_cursor(made[1])


def test_before_wins_over_after(place: Place) -> None:
    made = [place.run() for _ in range(3)][::-1]
    cursor = encode_cursor(made[1])
    page = place.page(place.wanted(), size=3, after=cursor, before=cursor)
    assert [row.id for row in page.rows] == made[:1]


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "é", encode_cursor("batch_06"), encode_cursor("run_'")])
def test_what_is_no_cursor_is_refused(place: Place, cursor: str) -> None:
    with pytest.raises(BadRequest, match="cursor"):
        place.page(place.wanted(), size=3, after=cursor)


def test_a_page_shows_the_same_runs_after_newer_ones_came(place: Place) -> None:
    made = [place.run() for _ in range(4)][::-1]
    cursor = place.page(place.wanted(), size=2).next
    place.run()
    assert [r.id for r in place.page(place.wanted(), size=2, after=cursor).rows] == made[2:]


def test_statuses_live_failed_and_done_are_told_apart(place: Place) -> None:
    a_version(place.engine)
    place.run(), place.run(), place.run()
    done, failed = place.finish(ok=True), place.finish(ok=False)
    canceled = place.ids()[0]
    place.engine.do(cancel_run, place.prod.id, canceled)
    waiting = place.run()
    delayed = place.run(delay="1m")
    by_status = {
        RunStatus.COMPLETED_SUCCESSFULLY: done,
        RunStatus.COMPLETED_WITH_ERRORS: failed,
        RunStatus.CANCELED: canceled,
        RunStatus.PENDING: waiting,
        RunStatus.DELAYED: delayed,
    }
    assert {status: place.ids(statuses=(status,)) for status in by_status} == {
        status: [run_id] for status, run_id in by_status.items()
    }
    assert place.ids(statuses=tuple(by_status)) == [delayed, waiting, canceled, failed, done]


def test_several_statuses_are_merged_in_order_of_time_on_every_page(place: Place) -> None:
    made = [place.run(delay=None if number % 2 else "10h") for number in range(9)][::-1]
    both = place.wanted(statuses=(RunStatus.PENDING, RunStatus.DELAYED))
    first = place.page(both, size=4)
    second = place.page(both, size=4, after=first.next)
    assert [row.id for row in (*first.rows, *second.rows)] == made[:8]
    assert place.page(both, size=4, before=second.previous).rows == first.rows


def test_any_of_the_tags_is_enough_and_no_run_comes_twice(place: Place) -> None:
    one = place.run(tags=["org_1", "nightly"])
    two = place.run(tags=["org_2"])
    place.run(tags=["org_3"])
    assert place.ids(tags=("org_1",)) == [one]
    assert place.ids(tags=("org_1", "nightly", "org_2")) == [two, one]
    assert place.ids(tags=("org_1", "nightly"), statuses=(RunStatus.PENDING,)) == [one]
    assert place.ids(tags=("org_1",), statuses=(RunStatus.DELAYED,)) == []


def test_task_queue_machine_test_flag_and_family_narrow(place: Place) -> None:
    parent = place.run("parent")
    child = place.run("child", parent_run_id=parent, queue=QueueOption("slow"), machine="micro", test=True)
    assert place.ids(task_ids=("child", "other")) == [child]
    assert place.ids(queues=("slow", "other")) == [child]
    assert place.ids(machines=("micro", "small-1x")) == [child]
    assert place.ids(is_test=True) == [child]
    assert place.ids(is_test=False) == [parent]
    assert place.ids(parent_id=parent) == [child]
    assert place.ids(run_ids=(parent, "run_unknown")) == [parent]


def test_batch_and_schedule_narrow(place: Place) -> None:
    made = [place.run() for _ in range(3)]
    place.engine.change("UPDATE run SET batch_id = 'batch_1', batch_index = 0 WHERE id = :id", id=made[0])
    place.engine.change("UPDATE run SET schedule_id = 'sched_1' WHERE id = :id", id=made[1])
    assert place.ids(batch_id="batch_1") == [made[0]]
    assert place.ids(batch_id="batch_1", statuses=(RunStatus.PENDING,)) == [made[0]]
    assert place.ids(batch_id="batch_1", statuses=(RunStatus.DELAYED,)) == []
    assert place.ids(schedule_id="sched_1") == [made[1]]
    assert place.engine.do(count_runs, place.wanted(batch_id="batch_1")) == 1


def test_a_bulk_action_narrows_to_its_runs_and_those_it_made(place: Place) -> None:
    first, second, made = place.run(tags=["a"]), place.run(delay="1h"), place.run(tags=["b"])
    for item in (("bulk_1", first, made), ("bulk_1", second, None), ("bulk_2", second, None)):
        place.engine.do(put_item, BulkItemRow(item[0], item[1], "SUCCEEDED", None, item[2]))
    assert place.ids(bulk_id="bulk_1") == [made, second, first]
    assert place.ids(bulk_id="bulk_1", statuses=(RunStatus.PENDING,)) == [made, first]
    assert place.ids(bulk_id="bulk_1", tags=("a", "c")) == [first]
    assert place.ids(bulk_id="bulk_2", task_ids=("resize",)) == [second]
    assert place.engine.do(count_runs, place.wanted(bulk_id="bulk_1")) == 3


def test_ids_are_listed_oldest_first_up_to_the_last_one_meant(place: Place) -> None:
    made = [place.run() for _ in range(5)]
    wanted = place.wanted(last_id=made[3])
    assert place.engine.do(list_ids, wanted, above="", count=3) == made[:3]
    assert place.engine.do(list_ids, wanted, above=made[2], count=3) == [made[3]]
    assert place.engine.do(list_ids, wanted, above=made[3], count=3) == []
    assert place.engine.do(find_newest_id, place.prod.id) == made[4]
    assert place.engine.do(find_newest_id, place.dev.id) is None


# Differs on PostgreSQL, which knows how many rows there are.
@pytest.mark.parametrize(
    ("narrowed", "index"),
    [
        ({"batch_id": "b"}, "run_batch (batch_id=?)"),
        ({"schedule_id": "s"}, "run_schedule (schedule_id=? AND id>? AND id<?)"),
        ({"bulk_id": "k"}, "sqlite_autoindex_bulk_item_1 (bulk_id=? AND run_id>? AND run_id<?)"),
        (
            {"bulk_id": "k", "tags": ("t",)},
            "sqlite_autoindex_bulk_item_1 (bulk_id=? AND run_id>? AND run_id<?)",
        ),
        ({"statuses": (RunStatus.PENDING,)}, "run_live (environment_id=? AND status=? AND id>? AND id<?)"),
    ],
)
def test_few_runs_are_found_by_the_index_of_what_narrows_most(
    tmp_path: Path, narrowed: dict[str, Any], index: str
) -> None:
    with harness(SqliteDatabase(tmp_path / "state.db", synchronous="OFF")) as engine:
        plans: list[str] = []
        wanted = RunFilter(environment_id=engine.prod.id, last_id="run_9", **narrowed)
        engine.do(lambda tx: list_ids(_Explained(tx, plans), wanted, above="run_0", count=100))
        assert any(index in step for step in plans), plans


class _Explained(Reader):
    """Notes how the database would find the rows."""

    def __init__(self, tx: Reader, plans: list[str]) -> None:
        super().__init__(tx._connection, tx.dialect, tx.now)
        self._plans = plans

    def select(self, statement: Select[Any]) -> list[tuple[Any, ...]]:
        compiled = statement.compile(dialect=self.dialect, compile_kwargs={"render_postcompile": True})
        found = self._connection.execute(f"EXPLAIN QUERY PLAN {compiled.string}", dict(compiled.params))
        self._plans += [row[3] for row in found.fetchall()]
        return []


def test_a_version_narrows_by_its_number(place: Place) -> None:
    a_version(place.engine)
    place.run(), place.run()
    done = place.finish(ok=True)
    assert place.ids(versions=("20260921.1", "20010101.1")) == [done]
    assert place.ids(versions=("20010101.1",)) == []


def test_times_are_inclusive_at_both_ends(place: Place) -> None:
    made = [place.run() for _ in range(4)]
    second, third = place.engine.now - 2_000, place.engine.now - 1_000
    assert place.ids(created_from=second, created_to=third) == [made[2], made[1]]
    assert place.ids(created_from=third) == [made[3], made[2]]
    assert place.ids(created_to=second) == [made[1], made[0]]


def test_times_hold_after_the_clock_was_set_back(place: Place) -> None:
    place.run()
    place.engine.pass_time(-60)
    late = place.run()
    assert place.ids(created_to=place.engine.now) == [late]
    assert late in place.ids(created_from=place.engine.now)


def test_the_beginning_of_an_id_finds_the_run(place: Place) -> None:
    old, new = place.run(), place.run()
    assert place.ids(id_begins=old[:-2]) == [old]
    assert place.ids(id_begins=new) == [new]
    assert place.ids(id_begins="run_") == [new, old]
    assert place.ids(id_begins="run_zz") == []


def test_counts_follow_the_filter(place: Place) -> None:
    place.run(tags=["a", "b"]), place.run(tags=["b"]), place.run()
    assert place.engine.do(count_runs, place.wanted()) == 3
    assert place.engine.do(count_runs, place.wanted(tags=("a", "b"))) == 2
    assert place.engine.do(count_runs, place.wanted(statuses=(RunStatus.PENDING, RunStatus.DELAYED))) == 3
    assert place.engine.do(count_runs, place.wanted(statuses=(RunStatus.CRASHED,))) == 0


def test_counts_stop_when_there_are_many(place: Place) -> None:
    for _ in range(5):
        place.run()
    both = place.wanted(statuses=(RunStatus.PENDING, RunStatus.DELAYED))
    assert place.engine.do(count_runs, both, most=2) == 3


def test_newer_runs_are_counted_up_to_a_limit(place: Place) -> None:
    made = [place.run() for _ in range(4)]
    assert place.engine.do(count_newer, place.wanted(), made[1], most=100) == 2
    assert place.engine.do(count_newer, place.wanted(), None, most=100) == 4
    assert place.engine.do(count_newer, place.wanted(), made[0], most=2) == 2
    assert place.engine.do(count_newer, place.wanted(task_ids=("other",)), made[0], most=2) == 0


def test_rows_and_errors_are_found_by_id(place: Place) -> None:
    a_version(place.engine)
    failed, waiting = place.run(), place.run()
    assert place.finish(ok=False) == failed
    rows = place.engine.do(list_rows, [failed, waiting, "run_unknown"])
    assert [row.id for row in rows] == [waiting, failed]
    errors = place.engine.do(list_errors, [failed, waiting])
    assert list(errors) == [failed] and "no such file" in errors[failed]
    assert place.engine.do(list_errors, []) == {}


def test_metadata_is_found_by_id_wherever_it_is_stored(place: Place) -> None:
    small = place.run(metadata={"size": 1})
    large = place.run(metadata={"size": "x" * 20_000})
    without = place.run(payload="y" * 20_000)
    found = place.engine.do(list_metadata, [small, large, without])
    assert found == {small: '{"size":1}', large: '{"size":"' + "x" * 20_000 + '"}'}
    assert place.engine.do(list_metadata, []) == {}
