"""Machine presets (MC)."""

import pytest

from trigger_lite.protocol.machines import DEFAULT_MACHINE, PRESETS, preset_for


def test_the_presets_are_those_of_the_specification() -> None:
    """MC-01: cores and GB, smallest first; the default is small-1x."""
    assert {name: (machine.cpu, machine.memory) for name, machine in PRESETS.items()} == {
        "micro": (0.25, 0.25),
        "small-1x": (0.5, 0.5),
        "small-2x": (1, 1),
        "medium-1x": (1, 2),
        "medium-2x": (2, 4),
        "large-1x": (4, 8),
        "large-2x": (8, 16),
    }
    assert DEFAULT_MACHINE == "small-1x"


@pytest.mark.parametrize(
    ("cpu", "memory", "name"),
    [
        (0, 0, "micro"),
        (0.5, 0.25, "small-1x"),
        (1, 1.5, "medium-1x"),
        (3, 1, "large-1x"),
        (64, 1, "large-2x"),
    ],
)
def test_numbers_mean_the_smallest_preset_that_fits(cpu: float, memory: float, name: str) -> None:
    """MC-01: the largest when none does."""
    assert preset_for(cpu, memory) == name
