"""`python -m tests.chaos`: the kill test as long as wanted, from a seed that plays the same plan again."""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.chaos.plan import Plan, make_plan
from tests.chaos.play import play
from tests.support import postgres
from tests.support.ports import free_ports

_SECONDS_PER_KILL: Final = 12
_FEWEST_KILLS: Final = 5
_SEEDS: Final = 1_000_000
_TOLD_EVERY: Final = 10.0


def main() -> int:
    """Play; the exit status is 1 when something promised did not hold."""
    options = parse(sys.argv[1:])
    plan = plan_of(options)
    print_line(f"seed {plan.seed}, {options.minutes:g} minutes: {_planned(plan)}")
    ports = free_ports()
    with TemporaryDirectory(prefix="trigger-lite-chaos-") as name, database(options, ports) as url:
        folder = Path(options.keep or name)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = play(plan, folder, next(ports), database_url=url, tell=now_and_then(print_line))
    print_line(outcome.summary())
    return 1 if outcome.findings else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long there is load (5)")
    parser.add_argument("--kills", type=int, help="deaths of the server (one in 12 seconds)")
    parser.add_argument("--seed", type=int, help="play the plan of this seed (a new one)")
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--rate", type=float, default=5.0, help="what each client does in a second (5)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")
    parser.add_argument("--keep", metavar="FOLDER", help="keep data and ledger there")
    return parser.parse_args(arguments)


def plan_of(options: argparse.Namespace) -> Plan:
    """Return the plan that the options ask for."""
    seconds = options.minutes * 60
    kills = options.kills or max(_FEWEST_KILLS, round(seconds / _SECONDS_PER_KILL))
    seed = random.randrange(_SEEDS) if options.seed is None else options.seed
    return make_plan(seed, seconds, kills=kills, clients=options.clients, rate=options.rate)


@contextmanager
def database(options: argparse.Namespace, ports: Iterator[int]) -> Iterator[str | None]:
    """Yield the URL of a new PostgreSQL database if one is wanted, else None for SQLite."""
    if not options.postgres:
        yield None
        return
    with postgres.cluster(next(ports)) as cluster, cluster.database() as url:
        yield url


def now_and_then(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Pass on a line every ten seconds."""
    told = time.monotonic()

    def maybe(line: str) -> None:
        nonlocal told
        if time.monotonic() - told >= _TOLD_EVERY:
            told = time.monotonic()
            tell(line)

    return maybe


def print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _planned(plan: Plan) -> str:
    return (
        f"the server is killed {plan.count('server')} times, a worker {plan.count('worker')} times, "
        f"a child {plan.count('child')} times"
    )


if __name__ == "__main__":
    sys.exit(main())
