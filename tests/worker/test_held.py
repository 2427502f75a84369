"""What a worker makes of a newer snapshot that the server names after a reconnect."""

import pytest

from tests.support.fake_server import a_run
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.statuses import ExecutionStatus as X
from trigger_lite.protocol.worker import CurrentRun
from trigger_lite.worker.held import HeldRun, Stage

RUN = "run_000000000000000000000001"


def held_at(stage: Stage, seq: int, status: X) -> HeldRun:
    held = HeldRun(a_run(RUN, "t"), received_at=0.0)
    held.stage = stage
    held.move_to(snapshot_id(RUN, seq), status)
    return held


@pytest.mark.parametrize(
    ("stage", "knew", "now", "seq", "attempt", "is_a_wait"),
    [
        (Stage.RUNNING, X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS, 4, 1, True),
        (Stage.RUNNING, X.EXECUTING, X.QUEUED_EXECUTING, 5, 1, True),
        (Stage.RUNNING, X.EXECUTING_WITH_WAITPOINTS, X.EXECUTING, 4, 1, True),
        (Stage.RUNNING, X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS, 3, 1, False),
        (Stage.RUNNING, X.EXECUTING, X.EXECUTING, 5, 2, False),
        (Stage.RUNNING, X.EXECUTING, X.QUEUED, 4, 1, False),
        (Stage.RUNNING, X.EXECUTING, X.FINISHED, 4, 1, False),
        # The end of the attempt did not reach the server, or is not answered.
        (Stage.REPORTED, X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS, 4, 1, True),
        (Stage.REPORTED, X.EXECUTING, X.EXECUTING, 5, 1, True),
        (Stage.REPORTED, X.EXECUTING_WITH_WAITPOINTS, X.EXECUTING, 4, 1, True),
        (Stage.REPORTED, X.EXECUTING, X.EXECUTING, 4, 1, False),  # a retry was granted
        (Stage.PAUSED, X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS, 4, 1, False),
        (Stage.WAITING, X.EXECUTING, X.EXECUTING_WITH_WAITPOINTS, 4, 1, False),
    ],
)
def test_a_later_step_of_a_wait_is_told_from_all_else(
    stage: Stage, knew: X, now: X, seq: int, attempt: int, is_a_wait: bool
) -> None:
    held = held_at(stage, 3, knew)
    assert held.has_waited_till(CurrentRun(RUN, snapshot_id(RUN, seq), now, attempt)) is is_a_wait


def test_active_time_leaves_waits_out() -> None:
    """AT-26: those that are over, and one that goes on."""
    held = held_at(Stage.RUNNING, 3, X.EXECUTING)
    held.begun_at = 100.0
    assert held.active_seconds(130.0) == 30
    held.waited = 20.0
    assert held.active_seconds(130.0) == 10
    held.parked_at = 125.0
    assert held.active_seconds(500.0) == 5
