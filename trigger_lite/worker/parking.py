"""Runs that wait keep their process: what those hold, and how many seats they leave to others.

A child that waits does nothing, so another may run in its place: children beyond the worker's number are
started as needed. What bounds them is memory. A wait that may be long is refused once it would pass the
budget; a short one never is, but past the budget it keeps its seat, as if it were running.
"""

from typing import Final

from trigger_lite.worker.memory import megabytes
from trigger_lite.worker.messages import Park

SHORT_SECONDS: Final = 30.0
"""A wait that is known to end within this is let through whatever is held."""


class Parking:
    """The parked runs of one worker; `budget` is the bytes that those may hold whose wait may be long."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._parked: dict[str, Park] = {}
        self._memory = 0
        self._long = 0

    def problem(self, park: Park) -> str | None:
        """Return why a run may not wait here, or None."""
        memory = self._memory + park.memory
        if _is_short(park) or memory <= self._budget:
            return None
        return (
            f"the runs that wait on this worker, {len(self._parked) + 1} with this one, would hold "
            f"{megabytes(memory)}, and its budget for them is {megabytes(self._budget)}: wait at most "
            f"{SHORT_SECONDS:g}s, give the worker more by --parked-memory or TRIGGER_LITE_PARKED_MEMORY, "
            "or start another worker"
        )

    def add(self, run: str, park: Park) -> None:
        """The run waits from now on."""
        self._parked[run] = park
        self._memory += park.memory
        self._long += not _is_short(park)

    def remove(self, run: str) -> None:
        """The run waits no more, if it did."""
        park = self._parked.pop(run, None)
        if park is not None:
            self._memory -= park.memory
            self._long -= not _is_short(park)

    @property
    def free_seats(self) -> int:
        """How many of the parked runs leave their seat to another."""
        return len(self._parked) if self._memory <= self._budget else self._long


def _is_short(park: Park) -> bool:
    return park.longest is not None and park.longest <= SHORT_SECONDS
