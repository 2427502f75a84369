"""What is put right when the server starts, or lost its database for a while (13c, boot). May be repeated."""

import msgspec

from trigger_lite.store import environments, queues, runs
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx


class Recovered(msgspec.Struct, frozen=True):
    """The runs that workers had when the last server stopped: each gets a full fresh timeout (HB-08)."""

    owned: list[RunRow]


def recover(tx: Tx) -> Recovered:
    """Recount slots and lanes from the runs themselves, and list the runs that workers have."""
    environments.recount_held(tx)
    queues.repair_lanes(tx)
    return Recovered(runs.list_owned(tx))
