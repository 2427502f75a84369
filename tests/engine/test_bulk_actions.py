"""Cancelling and replaying many runs, page by page (CN-14, CN-15)."""

from typing import Any

import pytest

from tests.support.builders import a_run, a_started_run, a_version, succeed
from tests.support.harness import Harness
from trigger_lite.engine.bulk_actions import (
    MAX_REPLAYS,
    PAGE,
    BulkRequest,
    abort_bulk_action,
    act,
    complete,
    create_bulk_action,
    freeze,
    give_up,
    next_runs,
)
from trigger_lite.engine.events import BulkActionCreated
from trigger_lite.protocol.errors import NotFound, TooManyAtOnce, Unprocessable
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.store.bulk_actions import BulkActionRow, find_bulk_action, list_failed, list_marks
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.run_lists import RunFilter, list_runs


def _make(
    engine: Harness, kind: str = "cancel", *, environment: EnvironmentRow | None = None, **options: Any
) -> str:
    """Make a bulk action, for all runs of the environment unless an option says which."""
    place = environment or engine.prod
    if not options.get("run_ids"):
        wanted = options.get("wanted", RunFilter(environment_id=place.id))
        options["wanted"] = engine.do(freeze, wanted)
    return engine.do(create_bulk_action, place, BulkRequest(kind=kind, source="api", **options))


def _row(engine: Harness, bulk_id: str) -> BulkActionRow:
    found = engine.do(find_bulk_action, bulk_id)
    assert found is not None
    return found


def _page(engine: Harness, bulk_id: str, count: int = PAGE) -> list[str]:
    """Act on the next runs, as the loop does; at most `count` of them."""
    bulk = _row(engine, bulk_id)
    run_ids = engine.do(next_runs, bulk)[:count]
    if run_ids:
        engine.do(act, bulk_id, bulk.cursor, run_ids)
    else:
        engine.do(complete, bulk_id, bulk.cursor)
    return run_ids


def _work(engine: Harness, bulk_id: str) -> BulkActionRow:
    """Work on a bulk action to its end."""
    while _row(engine, bulk_id).status == "PENDING":
        _page(engine, bulk_id)
    return _row(engine, bulk_id)


def _statuses(engine: Harness) -> list[str]:
    return engine.ask("SELECT status FROM run ORDER BY id")


# ---- cancel ---------------------------------------------------------------------------------------------


def test_the_runs_of_a_filter_are_cancelled_and_counted(engine: Harness) -> None:
    """CN-14: one that is over already counts as a failure, and says why."""
    a_version(engine)
    done = a_started_run(engine)
    succeed(engine, done)
    queued, delayed = a_run(engine), a_run(engine, delay="1h")
    bulk_id = _make(engine)
    end = _work(engine, bulk_id)
    assert (end.status, end.success, end.failure, end.completed_at) == ("COMPLETED", 2, 1, engine.now)
    assert [engine.run(run).status for run in (queued, delayed)] == [R.CANCELED, R.CANCELED]
    (failed,) = engine.do(list_failed, bulk_id, count=10)
    assert (failed.run_id, failed.error) == (done.id, "It was COMPLETED already")


def test_the_reason_names_the_bulk_action(engine: Harness) -> None:
    """CN-06, CN-14: by its name when it has one."""
    run, other = a_run(engine), a_run(engine)
    bulk_id = _make(engine, run_ids=(run.id,))
    _work(engine, bulk_id)
    _work(engine, _make(engine, run_ids=(other.id,), name="night shift"))
    assert f"Canceled by bulk action {bulk_id}" in (engine.data(run).error or "")
    assert "Canceled by bulk action night shift" in (engine.data(other).error or "")


def test_only_what_the_filter_means_is_touched(engine: Harness) -> None:
    """CN-14: not other tasks, nor another environment."""
    a_run(engine, "resize"), a_run(engine, "mail"), a_run(engine, environment=engine.dev)
    _work(engine, _make(engine, wanted=RunFilter(environment_id=engine.prod.id, task_ids=("mail",))))
    assert _statuses(engine) == ["PENDING", "CANCELED", "PENDING"]


def test_named_runs_are_touched_and_no_others(engine: Harness) -> None:
    """CN-14: a run that is not there, or of another environment, is a failure."""
    named, other, foreign = a_run(engine), a_run(engine), a_run(engine, environment=engine.dev)
    bulk_id = _make(engine, run_ids=tuple(sorted((named.id, foreign.id, "run_06gz"))))
    end = _work(engine, bulk_id)
    assert (end.total, end.success, end.failure) == (3, 1, 2)
    assert engine.run(named).status == R.CANCELED
    assert {engine.run(run).status for run in (other, foreign)} == {R.PENDING}
    assert {item.error for item in engine.do(list_failed, bulk_id, count=10)} == {"Run not found"}


def test_an_action_that_means_no_run_is_over_at_once(engine: Harness) -> None:
    """CN-14: also when there is none at all."""
    end = _work(engine, _make(engine))
    assert (end.status, end.success, end.failure) == ("COMPLETED", 0, 0)


# ---- replay ---------------------------------------------------------------------------------------------


def test_replays_are_made_in_the_order_of_their_originals(engine: Harness) -> None:
    """CN-14: each points to its original, and comes from who asked."""
    originals = [a_run(engine, payload=number) for number in range(5)]
    end = _work(engine, _make(engine, "replay"))
    assert (end.success, end.failure) == (5, 0)
    made = engine.ask("SELECT id, replay_of, source FROM run WHERE replay_of IS NOT NULL ORDER BY id")
    assert [(origin, source) for _, origin, source in made] == [(run.id, "api") for run in originals]
    assert [engine.data(run_id).payload for run_id, _, _ in made] == ["0", "1", "2", "3", "4"]


def test_a_replay_does_not_take_in_the_runs_it_makes(engine: Harness) -> None:
    """CN-15: nor any other run that came later."""
    for _ in range(3):
        a_run(engine)
    bulk_id = _make(engine, "replay")
    later = a_run(engine)
    end = _work(engine, bulk_id)
    assert end.success == 3
    assert engine.ask("SELECT count(*) FROM run") == [7]
    assert engine.ask("SELECT count(*) FROM run WHERE replay_of = :id", id=later.id) == [0]


def test_a_run_that_cannot_be_replayed_holds_up_no_other(engine: Harness) -> None:
    """CN-13, CN-14: its reason is kept."""
    first, second = a_run(engine), a_run(engine)
    engine.change("UPDATE run SET pruned_at = 1, payload = NULL WHERE id = :id", id=first.id)
    bulk_id = _make(engine, "replay")
    end = _work(engine, bulk_id)
    assert (end.success, end.failure) == (1, 1)
    (failed,) = engine.do(list_failed, bulk_id, count=10)
    assert failed.run_id == first.id and "kept no more" in (failed.error or "")
    assert engine.ask("SELECT replay_of FROM run WHERE replay_of IS NOT NULL") == [second.id]


def test_a_fourth_replay_at_a_time_is_refused(engine: Harness) -> None:
    """CN-14: per environment; cancels are not counted, and one that is over makes room."""
    run = a_run(engine)
    replays = [_make(engine, "replay", run_ids=(run.id,)) for _ in range(MAX_REPLAYS)]
    with pytest.raises(TooManyAtOnce, match="3 bulk replays at a time"):
        _make(engine, "replay", run_ids=(run.id,))
    _make(engine, "cancel", run_ids=(run.id,))
    _make(engine, "replay", run_ids=(a_run(engine, environment=engine.dev).id,), environment=engine.dev)
    engine.do(abort_bulk_action, engine.prod.id, replays[0])
    _make(engine, "replay", run_ids=(run.id,))


# ---- the cursor -----------------------------------------------------------------------------------------


def test_no_run_is_done_twice_or_forgotten_when_work_begins_anew(engine: Harness) -> None:
    """CN-15: the cursor moves in the transaction that acts, wherever the work broke off."""
    made = [a_run(engine).id for _ in range(7)]
    bulk_id = _make(engine, "replay")
    seen: list[str] = []
    for count in (3, 1, 2, 5):
        seen += _page(engine, bulk_id, count)
    assert seen == made
    assert _work(engine, bulk_id).success == 7
    assert engine.ask("SELECT replay_of FROM run WHERE replay_of IS NOT NULL ORDER BY id") == made


def test_work_that_was_done_already_changes_nothing(engine: Harness) -> None:
    """CN-15: a step that is made again finds the cursor elsewhere."""
    run_ids = [a_run(engine).id for _ in range(4)]
    bulk_id = _make(engine, "replay")
    assert engine.do(act, bulk_id, None, run_ids[:2])
    before = _row(engine, bulk_id)
    assert not engine.do(act, bulk_id, None, run_ids[:2])
    assert not engine.do(give_up, bulk_id, None, run_ids[0])
    engine.do(complete, bulk_id, None)
    assert _row(engine, bulk_id) == before
    assert engine.ask("SELECT count(*) FROM run") == [6]


def test_a_run_that_left_the_filter_is_passed_over(engine: Harness) -> None:
    """CN-15: the filter is fixed, the runs live on."""
    runs = [a_run(engine) for _ in range(3)]
    bulk_id = _make(engine, wanted=RunFilter(environment_id=engine.prod.id, statuses=(R.PENDING,)))
    engine.change("UPDATE run SET status = 'DELAYED' WHERE id = :id", id=runs[1].id)
    end = _work(engine, bulk_id)
    assert (end.success, end.failure) == (2, 0)


def test_more_than_a_page_is_worked_through(engine: Harness) -> None:
    """CN-14: a hundred runs are looked up at a time."""
    for _ in range(PAGE + 5):
        a_run(engine)
    bulk_id = _make(engine)
    assert [len(_page(engine, bulk_id)), len(_page(engine, bulk_id))] == [PAGE, 5]
    assert set(_statuses(engine)) == {"CANCELED"}


def test_an_unexpected_error_is_counted_and_passed(engine: Harness) -> None:
    """LK-03: it does not hold up what comes behind it for ever."""
    run_ids = [a_run(engine).id for _ in range(2)]
    bulk_id = _make(engine)
    assert engine.do(give_up, bulk_id, None, run_ids[0])
    end = _work(engine, bulk_id)
    assert (end.success, end.failure) == (1, 1)
    assert _statuses(engine) == ["PENDING", "CANCELED"]


# ---- abort ----------------------------------------------------------------------------------------------


def test_after_an_abort_no_further_run_is_touched(engine: Harness) -> None:
    """CN-14: what was done stays, and nothing is done with the page that was read before."""
    run_ids = [a_run(engine).id for _ in range(4)]
    bulk_id = _make(engine)
    _page(engine, bulk_id, 2)
    engine.do(abort_bulk_action, engine.prod.id, bulk_id)
    assert not engine.do(act, bulk_id, run_ids[1], run_ids[2:])
    assert _statuses(engine) == ["CANCELED", "CANCELED", "PENDING", "PENDING"]
    end = _row(engine, bulk_id)
    assert (end.status, end.success, end.completed_at) == ("ABORTED", 2, engine.now)


def test_what_is_over_or_elsewhere_cannot_be_aborted(engine: Harness) -> None:
    """CN-14: 404 for one of another environment."""
    bulk_id = _make(engine)
    with pytest.raises(NotFound):
        engine.do(abort_bulk_action, engine.dev.id, bulk_id)
    _work(engine, bulk_id)
    with pytest.raises(Unprocessable, match=f"{bulk_id} is COMPLETED already"):
        engine.do(abort_bulk_action, engine.prod.id, bulk_id)


# ---- around it ------------------------------------------------------------------------------------------


def test_a_request_that_is_sent_again_makes_one_bulk_action(engine: Harness) -> None:
    """ID-07: its answer was lost, its work was not."""
    a_run(engine)
    first = _make(engine, request_key="request-1")
    assert _make(engine, request_key="request-1") == first
    assert _make(engine, request_key="request-2") != first
    assert len([event for event in engine.events if isinstance(event, BulkActionCreated)]) == 2


def test_a_run_knows_the_bulk_actions_that_touched_it(engine: Harness) -> None:
    """CN-14: the replayed, the replay, the cancelled; not one that could not be done."""
    run = a_run(engine)
    replay = _make(engine, "replay")
    _work(engine, replay)
    cancel, again = _make(engine, run_ids=(run.id,)), _make(engine, run_ids=(run.id,))
    _work(engine, cancel), _work(engine, again)
    assert [mark.id for mark in engine.do(list_marks, run.id, count=10)] == [replay, cancel]
    (made,) = engine.ask("SELECT id FROM run WHERE replay_of = :id", id=run.id)
    touched = engine.do(list_runs, RunFilter(environment_id=engine.prod.id, bulk_id=replay), size=10)
    assert [row.id for row in touched.rows] == [made, run.id]
