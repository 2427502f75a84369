"""The kill test in its short form, and that its plans repeat; `python -m tests.chaos` plays the long one."""

from pathlib import Path
from typing import Final

import pytest

from tests.chaos.plan import make_plan
from tests.chaos.play import play

_SEED: Final = 20_260_923


@pytest.mark.journey
def test_nothing_is_lost_and_nothing_runs_twice_when_processes_are_killed(
    tmp_path: Path, free_port: int
) -> None:
    """LK-04, HB-08, Q-26, AT-27, ID-06, ST-02, WP-04, BA-15, CN-15, SC-20: processes are killed under load.

    Another seed: `python -m tests.chaos --minutes 0.4 --seed …`.
    """
    outcome = play(make_plan(_SEED, 24, kills=6), tmp_path, free_port)
    assert not outcome.findings, outcome.summary()
    assert outcome.kills["server"] + outcome.kills["server while starting"] >= 5
    assert outcome.journal.counts["triggers"] > 100
    assert outcome.statuses["COMPLETED_SUCCESSFULLY"] > 50


def test_a_seed_repeats_its_plan() -> None:
    assert make_plan(7, 60, kills=9) == make_plan(7, 60, kills=9)
    assert make_plan(7, 60, kills=9) != make_plan(8, 60, kills=9)


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_holds_as_many_kills_as_asked_for_within_its_time(seed: int) -> None:
    plan = make_plan(seed, 60, kills=9)
    assert (plan.count("server"), plan.count("worker"), plan.count("child")) == (9, 4, 9)
    assert all(0 <= blow.at <= plan.seconds + 3 for blow in plan.blows)
    assert [blow.at for blow in plan.blows] == sorted(blow.at for blow in plan.blows)
