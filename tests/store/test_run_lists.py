"""Lists of runs: filters, cursors and capped counts, on both databases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from trigger_lite.engine.attempts import cancel_run, complete_attempt, start_attempt
from trigger_lite.engine.installation import prepare_installation
from trigger_lite.engine.queues import Offer, claim_runs
from trigger_lite.engine.requests import RunRequest
from trigger_lite.engine.trigger import trigger_run
from trigger_lite.engine.workers import register_version
from trigger_lite.protocol.errors import BadRequest
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.ids import IdSource, snapshot_id
from trigger_lite.protocol.manifest import TaskManifest, WorkerManifest
from trigger_lite.protocol.run_errors import BuiltInError
from trigger_lite.protocol.statuses import RunStatus
from trigger_lite.store.database import Database, PostgresDatabase, SqliteDatabase
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.migrate import migrate
from trigger_lite.store.run_lists import RunFilter, count_runs, encode_cursor, list_runs
from trigger_lite.store.transaction import Tx

NOW = 1_790_000_000_000


class Place:
    """A new installation whose clock moves one second with every run."""

    def __init__(self, tx: Tx) -> None:
        self.tx = tx
        self.dev, self.prod = prepare_installation(tx, b"secret", 10)

    def run(self, task: str = "resize", *, environment: EnvironmentRow | None = None, **options: Any) -> str:
        self.tx.now += 1_000
        request = RunRequest(task_id=task, payload=None, payload_type="application/json", **options)
        return trigger_run(self.tx, environment or self.prod, request).run_id

    def wanted(self, **narrowed: Any) -> RunFilter:
        return RunFilter(environment_id=self.prod.id, **narrowed)

    def ids(self, *, size: int = 100, **narrowed: Any) -> list[str]:
        return [row.id for row in list_runs(self.tx, self.wanted(**narrowed), size=size).rows]

    def register(self) -> str:
        manifest = WorkerManifest(content_hash="one", tasks=[TaskManifest(id="resize")])
        return register_version(self.tx, self.prod.id, manifest).id

    def finish(self, version_id: str, *, ok: bool) -> str:
        """Run the oldest waiting run to its end."""
        offers = [Offer("worker_1", version_id, 1)]
        run = claim_runs(self.tx, self.prod.id, offers).runs[0].run
        start_attempt(self.tx, self.prod.id, run.id, snapshot_id(run.id, run.snapshot_seq), "worker_1")
        error = None if ok else BuiltInError("ValueError", "no", "")
        completion = Completion(ok=ok, id=run.id, error=error)
        complete_attempt(self.tx, self.prod.id, run.id, snapshot_id(run.id, run.snapshot_seq + 1), completion)
        return run.id


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Place]:
    database: Database = (
        SqliteDatabase(tmp_path / "state.db", synchronous="OFF")
        if make_url(database_url).get_backend_name() == "sqlite"
        else PostgresDatabase(database_url, lease=1)
    )
    connection = database.connect()
    migrate(connection, database.dialect, "state")
    yield Place(Tx(connection, database.dialect, NOW, IdSource()))
    connection.close()


def test_the_newest_run_comes_first_and_only_this_environments(place: Place) -> None:
    first, second = place.run(), place.run()
    place.run(environment=place.dev)
    assert place.ids() == [second, first]


def test_pages_follow_each_other_without_gap_or_repeat(place: Place) -> None:
    made = [place.run() for _ in range(7)][::-1]
    first = list_runs(place.tx, place.wanted(), size=3)
    second = list_runs(place.tx, place.wanted(), size=3, after=first.next)
    third = list_runs(place.tx, place.wanted(), size=3, after=second.next)
    assert [row.id for page in (first, second, third) for row in page.rows] == made
    assert (first.previous, third.next) == (None, None)
    back = list_runs(place.tx, place.wanted(), size=3, before=third.previous)
    assert back.rows == second.rows
    assert list_runs(place.tx, place.wanted(), size=3, before=back.previous).rows == first.rows


def test_the_first_page_reached_backwards_has_no_newer_one(place: Place) -> None:
    made = [place.run() for _ in range(4)][::-1]
    page = list_runs(place.tx, place.wanted(), size=3, before=encode_cursor(made[2]))
    assert [row.id for row in page.rows] == made[:2]
    assert page.previous is None
    assert page.next == encode_cursor(made[1])


def test_before_wins_over_after(place: Place) -> None:
    made = [place.run() for _ in range(3)][::-1]
    cursor = encode_cursor(made[1])
    page = list_runs(place.tx, place.wanted(), size=3, after=cursor, before=cursor)
    assert [row.id for row in page.rows] == made[:1]


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "é", encode_cursor("batch_06"), encode_cursor("run_'")])
def test_what_is_no_cursor_is_refused(place: Place, cursor: str) -> None:
    with pytest.raises(BadRequest, match="cursor"):
        list_runs(place.tx, place.wanted(), size=3, after=cursor)


def test_a_page_shows_the_same_runs_after_newer_ones_came(place: Place) -> None:
    made = [place.run() for _ in range(4)][::-1]
    cursor = list_runs(place.tx, place.wanted(), size=2).next
    place.run()
    assert [r.id for r in list_runs(place.tx, place.wanted(), size=2, after=cursor).rows] == made[2:]


def test_statuses_live_failed_and_done_are_told_apart(place: Place) -> None:
    version = place.register()
    place.run(), place.run(), place.run()
    done, failed = place.finish(version, ok=True), place.finish(version, ok=False)
    canceled = place.ids()[0]
    cancel_run(place.tx, place.prod.id, canceled)
    waiting = place.run()
    delayed = place.run(delay_until=place.tx.now + 60_000)
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
    made = [place.run(delay_until=None if number % 2 else place.tx.now + 60_000_000) for number in range(9)][
        ::-1
    ]
    both = place.wanted(statuses=(RunStatus.PENDING, RunStatus.DELAYED))
    first = list_runs(place.tx, both, size=4)
    second = list_runs(place.tx, both, size=4, after=first.next)
    assert [row.id for row in (*first.rows, *second.rows)] == made[:8]
    assert list_runs(place.tx, both, size=4, before=second.previous).rows == first.rows


def test_any_of_the_tags_is_enough_and_no_run_comes_twice(place: Place) -> None:
    one = place.run(tags=("org_1", "nightly"))
    two = place.run(tags=("org_2",))
    place.run(tags=("org_3",))
    assert place.ids(tags=("org_1",)) == [one]
    assert place.ids(tags=("org_1", "nightly", "org_2")) == [two, one]
    assert place.ids(tags=("org_1", "nightly"), statuses=(RunStatus.PENDING,)) == [one]
    assert place.ids(tags=("org_1",), statuses=(RunStatus.DELAYED,)) == []


def test_task_queue_machine_test_flag_and_family_narrow(place: Place) -> None:
    parent = place.run("parent")
    child = place.run("child", parent_id=parent, queue_name="slow", machine="micro", is_test=True)
    assert place.ids(task_ids=("child", "other")) == [child]
    assert place.ids(queue="slow") == [child]
    assert place.ids(machines=("micro", "small-1x")) == [child]
    assert place.ids(is_test=True) == [child]
    assert place.ids(is_test=False) == [parent]
    assert place.ids(parent_id=parent) == [child]
    assert place.ids(run_ids=(parent, "run_unknown")) == [parent]


def test_a_version_narrows_by_its_number(place: Place) -> None:
    version = place.register()
    place.run(), place.run()
    done = place.finish(version, ok=True)
    assert place.ids(versions=("20260921.1", "20010101.1")) == [done]
    assert place.ids(versions=("20010101.1",)) == []


def test_times_are_inclusive_at_both_ends(place: Place) -> None:
    made = [place.run() for _ in range(4)]
    second, third = place.tx.now - 2_000, place.tx.now - 1_000
    assert place.ids(created_from=second, created_to=third) == [made[2], made[1]]
    assert place.ids(created_from=third) == [made[3], made[2]]
    assert place.ids(created_to=second) == [made[1], made[0]]


def test_times_hold_after_the_clock_was_set_back(place: Place) -> None:
    place.run()
    place.tx.now -= 60_000
    late = place.run()
    assert place.ids(created_to=place.tx.now) == [late]
    assert late in place.ids(created_from=place.tx.now)


def test_the_beginning_of_an_id_finds_the_run(place: Place) -> None:
    old, new = place.run(), place.run()
    assert place.ids(id_begins=old[:-2]) == [old]
    assert place.ids(id_begins=new) == [new]
    assert place.ids(id_begins="run_") == [new, old]
    assert place.ids(id_begins="run_zz") == []


def test_counts_follow_the_filter(place: Place) -> None:
    place.run(tags=("a", "b")), place.run(tags=("b",)), place.run()
    assert count_runs(place.tx, place.wanted()) == 3
    assert count_runs(place.tx, place.wanted(tags=("a", "b"))) == 2
    assert count_runs(place.tx, place.wanted(statuses=(RunStatus.PENDING, RunStatus.DELAYED))) == 3
    assert count_runs(place.tx, place.wanted(statuses=(RunStatus.CRASHED,))) == 0


def test_counts_stop_when_there_are_many(place: Place) -> None:
    for _ in range(5):
        place.run()
    both = place.wanted(statuses=(RunStatus.PENDING, RunStatus.DELAYED))
    assert count_runs(place.tx, both, most=2) == 3
