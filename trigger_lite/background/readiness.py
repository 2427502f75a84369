"""Whether the server is able to work, and if not, why."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from trigger_lite.protocol.errors import Refusal
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Reader

logger = logging.getLogger(__name__)

LONGEST_SECONDS: Final = 2.0


class Running(Protocol):
    @property
    def is_running(self) -> bool: ...


def readiness(stores: Sequence[Store], clock: Running) -> Callable[[], Awaitable[str | None]]:
    """Return the check that the databases take changes and the clock runs: what is wrong, or None."""

    async def trouble() -> str | None:
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await asyncio.gather(*(store.write(_nothing) for store in stores))
        except Refusal as refusal:
            return refusal.message
        except TimeoutError:
            return f"The database has not answered for {LONGEST_SECONDS:g} s"
        return None if clock.is_running else "The server is stopping"

    return trouble


def _nothing(_tx: Reader) -> None:
    return None
