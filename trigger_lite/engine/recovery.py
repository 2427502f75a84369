"""What is put right when the server starts, or lost its database for a while (13c, boot). May be repeated.

Beside this, the loops look over schedules, and over runs that came while the machine's clock was ahead.
"""

import msgspec

from trigger_lite.engine.checks import AT_BOOT, CHUNK
from trigger_lite.store import runs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Reader, Tx


class Recovered(msgspec.Struct, frozen=True):
    """The runs that workers had when the last server stopped: each gets a full fresh timeout (HB-08)."""

    owned: list[RunRow]


def recover(tx: Tx, *, chunk: int = CHUNK) -> Recovered:
    """Put right what does not hold, a chunk at a time, and list the runs that workers have."""
    for check in AT_BOOT:
        found = check.find(tx, chunk)
        while found:
            check.put_right(tx, found)
            before, found = found, check.find(tx, chunk)
            if found == before:
                break
    return list_owned(tx)


def list_owned(tx: Reader) -> Recovered:
    return Recovered(runs.list_owned(tx))
