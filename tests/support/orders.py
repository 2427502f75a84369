"""Orders in which things happen at once, and how often a run went on after a wait."""

import itertools
from collections.abc import Sequence

from tests.support.harness import Harness
from trigger_lite.store.runs import RunRow


def orders(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return every order of these, without telling apart what has one name."""
    return sorted(set(itertools.permutations(names)))


def waits_ended(engine: Harness, run: RunRow) -> int:
    """How often a run went on after a wait."""
    return sum(
        before == "EXECUTING_WITH_WAITPOINTS" and after == "EXECUTING"
        for before, after in itertools.pairwise(engine.path(run))
    )
