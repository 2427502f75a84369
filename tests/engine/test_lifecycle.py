"""The transition table, cell by cell, and what every move writes (engine-behaviours 1)."""

import itertools
from collections.abc import Callable

import pytest

from tests.support.builders import a_run, a_started_run, a_version, claim_one, start, succeed
from tests.support.harness import NOW, Harness
from trigger_lite.engine import lifecycle
from trigger_lite.engine.events import RunMoved
from trigger_lite.engine.lifecycle import (
    TRANSITIONS,
    IllegalTransition,
    Transition,
    begin,
    is_legal,
    move,
    target,
)
from trigger_lite.protocol import statuses
from trigger_lite.protocol.errors import StaleSnapshot
from trigger_lite.protocol.ids import snapshot_id, snapshot_seq
from trigger_lite.protocol.statuses import HOLDS_SLOT, TERMINAL
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.statuses import RunStatus as R
from trigger_lite.store import runs
from trigger_lite.store.runs import RunData, RunRow
from trigger_lite.store.transaction import Tx

CELLS = list(itertools.product([None, *X], Transition))
_NOTHING = RunData(None, "application/json", None, None, None, None, None)


def _cell(cell: tuple[X | None, Transition]) -> str:
    return f"{cell[0]}-{cell[1].name}"


def _run_at(engine: Harness, state: X | None) -> RunRow:
    """A run whose newest snapshot is `state`, or one that is not written yet."""

    def make(tx: Tx) -> RunRow:
        run = RunRow(tx.new_id("run"), engine.prod.id, "resize", created_at=tx.now, updated_at=tx.now)
        if state is None:
            return run
        run = begin(tx, run, _NOTHING, Transition.TRIGGER, "made")
        runs.update_run(tx, run, {"execution_status": state.value, "holds_slot": int(state in HOLDS_SLOT)})
        return run._replace(execution_status=state.value, holds_slot=int(state in HOLDS_SLOT))

    return engine.do(make)


def _go(run: RunRow, state: X | None, transition: Transition) -> Callable[[Tx], RunRow]:
    if state is None:
        return lambda tx: begin(tx, run, _NOTHING, transition, "why")
    return lambda tx: move(tx, run, transition, description="why")


@pytest.mark.parametrize("cell", [cell for cell in CELLS if is_legal(*cell)], ids=_cell)
def test_a_legal_move_leads_where_the_table_says(engine: Harness, cell: tuple[X | None, Transition]) -> None:
    """ST-08: run row and snapshot agree with the table, and a slot is held exactly where Q-21 says."""
    state, transition = cell
    run = _run_at(engine, state)
    before = run.snapshot_seq
    moved = engine.do(_go(run, state, transition))
    leads_to, outcomes = TRANSITIONS[cell]
    stored = engine.run(run)
    assert stored == moved
    assert (stored.execution_status, stored.status) == (leads_to, outcomes[0])
    assert stored.snapshot_seq == before + 1
    assert stored.holds_slot == int(leads_to in HOLDS_SLOT)
    newest = engine.snapshots(run)[-1]
    assert (newest.seq, newest.execution_status, newest.run_status) == (before + 1, leads_to, outcomes[0])


def test_every_other_move_raises_and_changes_nothing(engine: Harness) -> None:
    """ST-02: what the table does not have cannot happen, from no state."""
    for state, transition in CELLS:
        if is_legal(state, transition):
            continue
        run = _run_at(engine, state)
        announced = len(engine.events)
        with pytest.raises(IllegalTransition):
            engine.do(_go(run, state, transition))
        if state is None:
            assert engine.do(runs.find_run, run.id) is None
        else:
            assert engine.run(run).execution_status == state
            assert len(engine.snapshots(run)) == 1
        assert len(engine.events) == announced


@pytest.mark.parametrize("transition", Transition)
def test_a_run_that_is_over_moves_no_more(transition: Transition) -> None:
    """ST-02: a terminal run never changes status again."""
    assert not is_legal(X.FINISHED, transition)


def test_only_finished_and_pending_cancel_carry_a_terminal_status() -> None:
    """ST-02: a terminal run status comes with a snapshot that ends the run, or with a cancel under way."""
    for leads_to, outcomes in TRANSITIONS.values():
        ends = leads_to in (X.FINISHED, X.PENDING_CANCEL)
        assert all((outcome in TERMINAL) == ends for outcome in outcomes)


def test_a_failure_ends_in_each_failed_status_and_in_no_other() -> None:
    """ST-15: the outcome is chosen by the error, within what the table allows."""
    for outcome in (R.COMPLETED_WITH_ERRORS, R.CRASHED, R.SYSTEM_FAILURE, R.TIMED_OUT, R.CANCELED):
        assert target(X.EXECUTING, Transition.FAIL, outcome) == (X.FINISHED, outcome)
    for outcome in set(R) - lifecycle._FAILURE:
        with pytest.raises(IllegalTransition):
            target(X.EXECUTING, Transition.FAIL, outcome)


def test_a_move_from_an_older_snapshot_is_refused_and_changes_nothing(engine: Harness) -> None:
    """LK-02: the comparison stands in the UPDATE, so of two who saw the same snapshot one wins."""
    a_version(engine)
    seen = a_run(engine)
    claim_one(engine)
    with pytest.raises(StaleSnapshot):
        engine.do(move, seen, Transition.EXPIRE, description="too late")
    assert engine.run(seen).execution_status == X.PENDING_EXECUTING
    assert engine.path(seen) == [X.QUEUED, X.PENDING_EXECUTING]


def test_a_plain_run_writes_four_snapshots(engine: Harness) -> None:
    """ST-03: a trigger without delay writes exactly one snapshot, QUEUED, stamped when it is written."""
    a_version(engine)
    run = a_run(engine)
    (first,) = engine.snapshots(run)
    assert (first.execution_status, first.run_status, first.created_at) == (X.QUEUED, R.PENDING, NOW)
    succeed(engine, start(engine, claim_one(engine)))
    assert engine.path(run) == [X.QUEUED, X.PENDING_EXECUTING, X.EXECUTING, X.FINISHED]


def test_snapshot_ids_sort_as_text_in_the_order_they_were_made(engine: Harness) -> None:
    """ST-07: runners drop a snapshot whose id compares lower than the one they hold."""
    run = a_run(engine)
    ids = [snapshot_id(run.id, seq) for seq in range(1, 2_000)]
    assert ids == sorted(ids)
    assert all(snapshot_seq(run.id, name) == seq for seq, name in enumerate(ids, 1))


def test_a_snapshot_of_another_run_names_none_of_this_one(engine: Harness) -> None:
    """ST-11: never another run's data."""
    one, other = a_run(engine), a_run(engine)
    assert snapshot_seq(one.id, snapshot_id(other.id, 1)) is None
    for text in ("", "snapshot_", snapshot_id(one.id, 1)[:-1], snapshot_id(one.id, 1) + "0", "snapshot_%%%"):
        assert snapshot_seq(one.id, text) is None


def test_snapshots_since_one_are_the_later_ones_oldest_first(engine: Harness) -> None:
    """ST-09: strictly later, in order; none after the newest."""
    a_version(engine)
    run = a_started_run(engine)
    later = engine.do(runs.list_snapshots, run.id, after=1)
    assert [snapshot.execution_status for snapshot in later] == [X.PENDING_EXECUTING, X.EXECUTING]
    assert engine.do(runs.list_snapshots, run.id, after=3) == []


def test_an_invalid_snapshot_is_kept_and_skipped_by_every_read(engine: Harness) -> None:
    """ST-06: kept for diagnosis only."""
    run = a_run(engine)
    (snapshot,) = engine.snapshots(run)
    evidence = snapshot._replace(seq=2, is_valid=0, error='{"type":"STRING_ERROR","raw":"impossible"}')
    engine.do(runs.insert_snapshot, evidence)
    assert engine.path(run) == [X.QUEUED]
    assert engine.ask("SELECT count(*) FROM snapshot WHERE run_id = :id", id=run.id) == [2]


def test_the_sets_of_states_are_those_of_the_specification() -> None:
    """ST-08: dequeueable, executing, initial."""
    assert {X.QUEUED, X.QUEUED_EXECUTING} == statuses.DEQUEUEABLE
    assert {X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS} == statuses.EXECUTING
    assert {X.RUN_CREATED, X.DELAYED} == statuses.INITIAL
    checkpointable = {state for state, why in TRANSITIONS if why is Transition.SUSPEND}
    assert checkpointable == {
        X.RUN_CREATED, X.QUEUED, X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS, X.QUEUED_EXECUTING,
    }  # fmt: skip


def test_a_waiting_run_holds_no_slot() -> None:
    """Q-22 ↯: a run that waits gives its slot back; Q-21: as do all that no worker executes."""
    assert {X.PENDING_EXECUTING, X.EXECUTING} == HOLDS_SLOT


def test_each_move_is_announced_once_with_what_it_led_to(engine: Harness) -> None:
    """LK-04: loops and pages learn of a move from its event alone."""
    a_version(engine)
    run = a_started_run(engine)
    succeed(engine, run)
    moves = engine.moves(run)
    assert [event.snapshot_seq for event in moves] == [1, 2, 3, 4]
    last = moves[-1]
    assert last == RunMoved(
        environment_id=engine.prod.id,
        run_id=run.id,
        task_id="resize",
        transition=Transition.SUCCEED.value,
        execution_status=X.FINISHED,
        status=R.COMPLETED_SUCCESSFULLY,
        snapshot_seq=4,
        attempt=1,
        worker_id="worker_1",
        freed_slot=True,
        timer_at=None,
        at=NOW,
    )
