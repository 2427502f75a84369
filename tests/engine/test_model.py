"""Random operations on the real engine; what must always hold is checked after every step.

`make test` makes 4,000 steps on each database, others every time; `--model-steps 100000` makes more. What
fails is printed as the shortest program that shows it.
"""

from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.harness import Harness
from tests.support.model import Model
from tests.support.whole_model import WholeModel

STEPS_OF_AN_EXAMPLE: Final = 100


@pytest.mark.parametrize("model", [Model, WholeModel])
def test_what_must_hold_holds_after_every_step(
    engine: Harness, model: type[Model], request: pytest.FixtureRequest
) -> None:
    """ST-02, Q-10, Q-11, Q-15, Q-20, Q-21, Q-23, Q-26, HB-11, ID-01, ID-04, WP-04, WP-05, WP-08, BA-15.

    LK-01: slots held are rows that hold one; limits hold; what is over stays so; snapshots only grow; who
    waits lacks something, and goes on once, told of all of it; keys lead to one live run; heads are first.
    """
    steps = request.config.getoption("--model-steps")
    machine = type("ModelOnThisDatabase", (model,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, steps // 2 // STEPS_OF_AN_EXAMPLE),
            stateful_step_count=STEPS_OF_AN_EXAMPLE,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
