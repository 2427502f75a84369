"""One run of the kill test from beginning to end."""

import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.blows import Striker
from tests.chaos.clients import ChaosClient
from tests.chaos.journal import Journal
from tests.chaos.plan import Plan
from tests.chaos.records import Records
from tests.chaos.stage import Stage, stage
from tests.chaos.timetable import Timetable
from tests.chaos.verdict import Evidence, collect, judge

QUIET_SECONDS: Final = 120
_SHOWN: Final = 30


@dataclass(frozen=True)
class Outcome:
    """What happened; `findings` is empty when all promises were kept."""

    plan: Plan
    findings: list[str]
    journal: Journal
    kills: Counter[str]
    starts: int
    statuses: Counter[str]
    recoveries: Counter[str]
    recovery_seconds: list[float]
    """From each start of a server to the first answer that a client got from it."""
    side_effects: int
    unconfirmed: int
    """Side effects of attempts whose start was never recorded: both ends were killed just then."""

    def summary(self) -> str:
        """Return the whole outcome as text."""
        counts = self.journal.counts
        slowest = sorted(self.recovery_seconds)
        lines = [
            f"seed {self.plan.seed}, {self.plan.seconds:g} s of load by {self.plan.clients} clients",
            f"asked     {_listed(counts)}",
            f"killed    {_listed(self.kills)}; the server was started {self.starts} times",
            f"runs      {_listed(self.statuses)}",
            f"effects   {self.side_effects}, {self.unconfirmed} of attempts that were never recorded",
            f"recovered {_listed(self.recoveries)}",
        ]
        if slowest:
            median = statistics.median(slowest)
            lines.append(f"answers came {median:.2f} s after a start (median), {slowest[-1]:.2f} s at most")
        shown = self.findings[:_SHOWN]
        more = len(self.findings) - len(shown)
        lines += [f"FINDING   {finding}" for finding in shown] + [f"… and {more} more"] * (more > 0)
        return "\n".join([*lines, f"{len(self.findings)} findings"])


def play(
    plan: Plan,
    folder: Path,
    port: int,
    *,
    database_url: str | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Play the plan on a new installation in `folder`; the server listens on `port`."""
    journal = Journal()
    with stage(folder, port, database_url=database_url) as hit:
        timetable = Timetable(hit.server.url, hit.server.key())
        timetable.begin()
        clients = _start_clients(plan, timetable, journal)
        striker = Striker(hit, plan, lambda kills, left: tell(_progress(journal, kills, left)))
        try:
            striker.play()
        finally:
            for client in clients:
                client.stop.set()
        timetable.end()
        findings = _stop_clients(clients) + _until_quiet(hit) + hit.close() + hit.doctor()
        findings += striker.faults
        evidence = collect(hit, journal, timetable)
        findings += hit.complaints() + judge(evidence)
    return _outcome(plan, evidence, striker.kills, hit.starts, findings)


def _start_clients(plan: Plan, timetable: Timetable, journal: Journal) -> list[ChaosClient]:
    clients = [ChaosClient(number, plan, timetable, journal) for number in range(plan.clients)]
    for client in clients:
        client.start()
    return clients


def _stop_clients(clients: list[ChaosClient]) -> list[str]:
    for client in clients:
        client.join(60)
    return [f"{client.name} did not come to an end" for client in clients if client.is_alive()]


def _until_quiet(hit: Stage) -> list[str]:
    """Wait until every run is over; tell what is not after a bounded time."""
    deadline = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < deadline:
        with Records(hit) as records:
            left = records.open_runs()
        if left == 0:
            return []
        time.sleep(0.2)
    return [f"{left} runs were not over {QUIET_SECONDS} s after the last blow"]


def _outcome(
    plan: Plan, evidence: Evidence, kills: Counter[str], starts: list[float], findings: list[str]
) -> Outcome:
    journal = evidence.journal
    return Outcome(
        plan=plan,
        findings=findings,
        journal=journal,
        kills=kills,
        starts=len(starts),
        statuses=evidence.statuses,
        recoveries=evidence.recoveries,
        recovery_seconds=_recovery_seconds(starts, sorted(journal.answers)),
        side_effects=sum(map(len, evidence.ledger.values())),
        unconfirmed=evidence.unconfirmed,
    )


def _recovery_seconds(starts: list[float], answers: list[float]) -> list[float]:
    """Return the time from each start to the first answer after it; starts that were cut short have none."""
    found = []
    for start, following in zip(starts, [*starts[1:], float("inf")], strict=True):
        first = next((answer for answer in answers if answer > start), float("inf"))
        if first < following:
            found.append(first - start)
    return found


def _progress(journal: Journal, kills: Counter[str], left: float) -> str:
    return (
        f"{left:5.0f} s left; {journal.counts['triggers']} triggers answered, "
        f"{journal.counts['triggers unknown']} unknown; killed {_listed(kills)}"
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "nothing"
