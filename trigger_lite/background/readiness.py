"""Whether the server is able to work, and if not, why."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from trigger_lite.protocol.errors import Refusal
from trigger_lite.store.marks import put_mark
from trigger_lite.store.store import Store
from trigger_lite.store.transaction import Reader, Tx

LONGEST_SECONDS: Final = 2.0


class Running(Protocol):
    @property
    def is_running(self) -> bool: ...


def readiness(state: Store, telemetry: Store, clock: Running) -> Callable[[], Awaitable[str | None]]:
    """Return the check that the databases take changes and the clock runs: what is wrong, or None."""

    async def trouble() -> str | None:
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await asyncio.gather(state.write(_note), telemetry.write(_nothing))
        except Refusal as refusal:
            return refusal.message
        except TimeoutError:
            return f"The database has not answered for {LONGEST_SECONDS:g} s"
        return None if clock.is_running else "The server is stopping"

    return trouble


def _note(tx: Tx) -> None:
    """Change something: a full disk, and a database that only reads, take what changes nothing."""
    put_mark(tx, "readiness", str(tx.now))


def _nothing(_tx: Reader) -> None:
    return None
