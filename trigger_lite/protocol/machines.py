"""Machine presets (engine-behaviours 12)."""

from typing import Final

import msgspec


class Machine(msgspec.Struct, frozen=True, rename="camel"):
    """What a run may use: virtual cores and memory in GB."""

    name: str
    cpu: float
    memory: float
    cents_per_ms: float = 0.0


DEFAULT_MACHINE: Final = "small-1x"
PRESETS: Final = {
    machine.name: machine
    for machine in (
        Machine("micro", 0.25, 0.25),
        Machine("small-1x", 0.5, 0.5),
        Machine("small-2x", 1, 1),
        Machine("medium-1x", 1, 2),
        Machine("medium-2x", 2, 4),
        Machine("large-1x", 4, 8),
        Machine("large-2x", 8, 16),
    )
}


def preset_for(cpu: float, memory: float) -> str:
    """Return the smallest preset with at least this many cores and GB; the largest when none fits (MC-01)."""
    for machine in PRESETS.values():
        if machine.cpu >= cpu and machine.memory >= memory:
            return machine.name
    return "large-2x"
