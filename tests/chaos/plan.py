"""What is killed or frozen, and when: drawn from a seed, so that a failing seed plays the same plan again.

Only the plan repeats: which of the running processes is where when it is hit is up to the machine.
"""

import random
from dataclasses import dataclass
from typing import Final, Literal

Target = Literal["server", "worker", "child", "frozen server", "frozen worker"]

_LONGEST_AWAY: Final = 3.0
_LONGEST_FROZEN: Final[dict[Target, float]] = {"frozen server": 3.0, "frozen worker": 10.0}
"""A worker is missed meanwhile, and its runs are made by others."""
_SHARE_WHILE_STARTING: Final = 0.25


@dataclass(frozen=True)
class Blow:
    """One kill -9, or one SIGSTOP: seconds after the beginning, of what, and how long it stays away.

    `pick` (0 to 1) chooses among several workers or children. A blow that comes `while_starting` hits a
    server that was started again by the one before and may not serve yet.
    """

    at: float
    target: Target
    away: float
    pick: float
    while_starting: bool = False


@dataclass(frozen=True)
class Plan:
    """A whole run of the kill test. `rate` is how many things each client does in a second."""

    seed: int
    seconds: float
    clients: int
    rate: float
    blows: tuple[Blow, ...]

    def count(self, target: Target) -> int:
        """Return how often such a thing is killed."""
        return sum(blow.target == target for blow in self.blows)


def make_plan(
    seed: int, seconds: float, *, kills: int, clients: int = 6, rate: float = 5.0, calm: float = 2.0
) -> Plan:
    """Draw a plan with `kills` deaths of the server, half as many of a worker, and as many of a child.

    A third as many servers, and as many workers, are frozen for a while. `calm` seconds pass before all that.
    """
    chance = random.Random(seed)
    blows = [
        *_server_blows(chance, seconds, kills=kills, calm=calm),
        *(_blow(chance, "worker", calm, seconds, away=1.0) for _ in range(max(1, kills // 2))),
        *(_blow(chance, "child", calm, seconds, away=0.0) for _ in range(kills)),
        *(
            _blow(chance, target, calm, seconds, away=longest)
            for target, longest in _LONGEST_FROZEN.items()
            for _ in range(kills // 3)
        ),
    ]
    ordered = tuple(sorted(blows, key=lambda blow: blow.at))
    return Plan(seed, seconds, clients, rate, ordered)


def _server_blows(chance: random.Random, seconds: float, *, kills: int, calm: float) -> list[Blow]:
    """One in each of equal stretches of time; some are hit again while they start."""
    again = int(kills * _SHARE_WHILE_STARTING)
    count = kills - again
    stretch = (seconds - calm) / count
    hit_again = set(chance.sample(range(count), again))
    blows = []
    for number in range(count):
        away = min(_LONGEST_AWAY, stretch / 4) * chance.random()
        at = calm + stretch * (number + chance.random() / 2)
        blows.append(Blow(at, "server", away, 0.0))
        if number in hit_again:
            later = at + away + 1.5 * chance.random()
            blows.append(Blow(later, "server", 0.0, 0.0, while_starting=True))
    return blows


def _blow(chance: random.Random, target: Target, first: float, last: float, *, away: float) -> Blow:
    return Blow(chance.uniform(first, last), target, away * chance.random(), chance.random())
