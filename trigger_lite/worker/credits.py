"""How many runs to ask for."""

from typing import Final

_AHEAD_SECONDS: Final = 0.05
_SHORTEST_RUN: Final = 0.0005
_MOST_AHEAD: Final = 16
_WEIGHT: Final = 0.2


class RunLengths:
    """The usual length of recent runs, and how many to fetch ahead of need because of it."""

    def __init__(self) -> None:
        self._usual: float | None = None

    def measured(self, seconds: float) -> None:
        """A run took this long."""
        usual = self._usual
        self._usual = seconds if usual is None else usual + _WEIGHT * (seconds - usual)

    def underestimated(self, seconds: float) -> None:
        """Runs have been going for this long and are not over."""
        if self._usual is None or self._usual < seconds:
            self._usual = seconds

    def ahead_per_child(self) -> int:
        """Return how many runs a child has finished before the server could send another: 0 to 16.

        0 until a run was measured: a run fetched ahead of a long one would wait for nothing.
        """
        if self._usual is None:
            return 0
        return min(_MOST_AHEAD, int(_AHEAD_SECONDS / max(self._usual, _SHORTEST_RUN)))
