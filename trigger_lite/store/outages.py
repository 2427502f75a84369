"""Says that a database fails, or does not answer, and that it works again: each once, not for every write."""

import logging
import time
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

SAY_AGAIN_SECONDS: Final = 60.0


class Outage:
    """What is known of one database's trouble. Used on the event loop alone."""

    def __init__(self, area: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._area = area
        self._clock = clock
        self._refused = 0
        self._stalled_at: float | None = None
        self._said = ""
        self._said_at = 0.0

    @property
    def is_stalled(self) -> bool:
        return self._stalled_at is not None

    @property
    def is_known(self) -> bool:
        """Whether there is any trouble that has not ended."""
        return self._stalled_at is not None or bool(self._said)

    def failed(self, count: int, error: BaseException) -> None:
        """The database refused so many changes; the error is said when it is new, and every minute."""
        self._refused += count
        self._stalled_at = None
        text, now = str(error).strip(), self._clock()
        if text != self._said or now - self._said_at >= SAY_AGAIN_SECONDS:
            logger.error("the %s database did not take %d changes: %s", self._area, count, text)
            self._said, self._said_at = text, now

    def stalls(self, seconds: float) -> None:
        """The database has been at one commit for so long."""
        if self._stalled_at is None:
            self._stalled_at = self._clock() - seconds
            logger.error(
                "the %s database has taken no change for %.1f s; new work is refused", self._area, seconds
            )

    def works(self, *, has_changed: bool) -> bool:
        """A commit succeeded, one that changed something or not; tells whether that ends an outage."""
        if not has_changed and self._said:
            self._stalled_at = None
            return False
        stalled = f" after {self._clock() - self._stalled_at:.1f} s" if self._stalled_at is not None else ""
        refused = f"; {self._refused} were refused meanwhile" if self._refused else ""
        logger.warning("the %s database takes changes again%s%s", self._area, stalled, refused)
        self._refused, self._stalled_at, self._said = 0, None, ""
        return True
