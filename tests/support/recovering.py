"""What a server does at its start, in one transaction."""

from trigger_lite.engine.checks import AT_BOOT, CHUNK
from trigger_lite.store import runs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx


def recover(tx: Tx, *, chunk: int = CHUNK) -> list[RunRow]:
    """Put right what does not hold, a chunk at a time; returns the runs that workers have."""
    for check in AT_BOOT:
        while found := check.find(tx, chunk):
            check.put_right(tx, found)
            assert check.find(tx, chunk) != found, f"{check.name} cannot be put right"
    return runs.list_owned(tx)
