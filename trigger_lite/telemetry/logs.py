"""The log book: lines of runs, numbered in the order they arrive and kept in the telemetry database."""

from collections.abc import Sequence

from trigger_lite.engine.bus import Bus
from trigger_lite.engine.events import LogsAdded
from trigger_lite.store import logs
from trigger_lite.store.logs import LogRow
from trigger_lite.store.store import Store


class LogBook:
    """Numbers lines and writes them; what `add` returned from is on disk."""

    def __init__(self, telemetry: Store, bus: Bus, last_seq: int) -> None:
        self._telemetry = telemetry
        self._bus = bus
        self._seq = last_seq

    @classmethod
    async def open(cls, telemetry: Store, bus: Bus) -> "LogBook":
        return cls(telemetry, bus, await telemetry.read(logs.last_seq))

    async def add(self, rows: Sequence[LogRow]) -> None:
        """Keep lines, whose `seq` is given here, and tell whoever follows those runs."""
        numbered = [row._replace(seq=self._seq + place) for place, row in enumerate(rows, start=1)]
        self._seq += len(numbered)
        await self._telemetry.write_when_free(logs.insert_lines, numbered)
        last = {row.run_id: row.seq for row in numbered}
        self._bus.publish([LogsAdded("", run_id, seq) for run_id, seq in last.items()])
