"""Slows down guessing: after a few wrong passwords each further try must wait, twice as long every time."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

FREE_TRIES: Final = 5
LONGEST_WAIT: Final = 900.0
FORGET_AFTER: Final = 3_600.0
MAX_KEYS: Final = 10_000


class _Failures(NamedTuple):
    tries: int
    last: float


class Throttle:
    """Counts failures by key, such as an address or an account; in memory, and never more than MAX_KEYS."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, free_tries: int = FREE_TRIES) -> None:
        self._free_tries = free_tries
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_seconds(self, keys: Iterable[str]) -> float:
        """Return how long the next try must still wait; zero when it may be made now."""
        return max((self._wait(key) for key in keys), default=0.0)

    def failed(self, keys: Iterable[str]) -> None:
        """Count a wrong password."""
        for key in keys:
            tries = self._current(key).tries + 1
            self._failures[key] = _Failures(tries, self._clock())
            self._failures.move_to_end(key)
        while len(self._failures) > MAX_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, keys: Iterable[str]) -> None:
        """Forget the failures of who has proved to be right."""
        for key in keys:
            self._failures.pop(key, None)

    def _current(self, key: str) -> _Failures:
        found = self._failures.get(key)
        if found is None or self._clock() - found.last > FORGET_AFTER:
            return _Failures(0, 0.0)
        return found

    def _wait(self, key: str) -> float:
        failures = self._current(key)
        if failures.tries < self._free_tries:
            return 0.0
        wait: float = min(LONGEST_WAIT, 2.0 ** min(failures.tries - self._free_tries, 20))
        return max(0.0, failures.last + wait - self._clock())
