"""What clients asked for and were answered, and what the tasks themselves recorded."""

import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ANSWERED: Final = "answered"
UNKNOWN: Final = "unknown"
"""No answer came in spite of all retries: what was asked for may or may not have happened."""


@dataclass(frozen=True)
class Trigger:
    """One trigger. `name` is unique, and part of the run's payload; `run_id` is None without an answer.

    `batch_id` is that of a batch that was answered for as a whole: then it has a run, too.
    """

    name: str
    task: str
    run_id: str | None
    key: str | None = None
    may_expire: bool = False
    batch_id: str | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether the server answered that there is a run."""
        return self.run_id is not None or self.batch_id is not None


@dataclass
class Journal:
    """What happened to the clients; safe to use from several threads."""

    triggers: list[Trigger] = field(default_factory=list)
    cancels: dict[str, str] = field(default_factory=dict)
    """Runs whose cancel was asked for: ANSWERED or UNKNOWN."""
    replays: list[tuple[str, str | None]] = field(default_factory=list)
    """The original, and the new run if an answer came."""
    bulk_replays: list[tuple[list[str], str | None]] = field(default_factory=list)
    """The originals, and the bulk action if an answer came."""
    forced: list[tuple[str, str | None]] = field(default_factory=list)
    """Schedules that were to be run at once, and the run if an answer came."""
    tokens: dict[str, set[str]] = field(default_factory=dict)
    """Tokens that were made, and what somebody wanted to complete each with."""
    seen: dict[str, str] = field(default_factory=dict)
    """Runs that were seen finished, with their API status then."""
    surprises: list[str] = field(default_factory=list)
    """Answers that nobody expects of a server that is only killed."""
    answers: list[float] = field(default_factory=list)
    """When answers came (`time.monotonic`)."""
    counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def triggered(self, trigger: Trigger) -> None:
        with self._lock:
            self.triggers.append(trigger)
            self._count("triggers", trigger.run_id is not None)

    def sent_batch(self, batch_id: str | None, names: list[str], task: str) -> None:
        """Note a batch; its id is None unless the server said that all of it came."""
        with self._lock:
            self.triggers += [Trigger(name, task, None, batch_id=batch_id) for name in names]
            self._count("batches", batch_id is not None)

    def canceled(self, run_id: str, *, answered: bool) -> None:
        with self._lock:
            if self.cancels.get(run_id) != ANSWERED:
                self.cancels[run_id] = ANSWERED if answered else UNKNOWN
            self._count("cancels", answered)

    def replayed(self, original: str, run_id: str | None) -> None:
        with self._lock:
            self.replays.append((original, run_id))
            self._count("replays", run_id is not None)

    def replayed_many(self, originals: list[str], bulk_id: str | None) -> None:
        with self._lock:
            self.bulk_replays.append((originals, bulk_id))
            self._count("bulk replays", bulk_id is not None)

    def ran_now(self, schedule_id: str, run_id: str | None) -> None:
        with self._lock:
            self.forced.append((schedule_id, run_id))
            self._count("schedules run now", run_id is not None)

    def made_token(self, token: str | None) -> None:
        with self._lock:
            if token is not None:
                self.tokens[token] = set()
            self._count("tokens", token is not None)

    def completed(self, *, answered: bool) -> None:
        with self._lock:
            self._count("completions", answered)

    def some_token(self, pick: float, data: str) -> str | None:
        """Return a token, noting that it is to be completed with `data`: one of the newest for 1."""
        with self._lock:
            if not self.tokens:
                return None
            token = list(self.tokens)[round(pick * (len(self.tokens) - 1))]
            self.tokens[token].add(data)
            return token

    def saw(self, run_id: str, status: str) -> None:
        """Note that a run was seen finished; a second look must show the same."""
        with self._lock:
            before = self.seen.setdefault(run_id, status)
            if before != status:
                self.surprises.append(f"{run_id} was seen {before}, later {status}")
            self._count("looks", True)

    def surprised(self, what: str) -> None:
        with self._lock:
            self.surprises.append(what)

    def some_run(self, pick: float) -> str | None:
        """Return the id of an answered trigger: of the newest for 1, of the oldest for 0."""
        with self._lock:
            for trigger in reversed(self.triggers[: round(pick * len(self.triggers))]):
                if trigger.run_id is not None:
                    return trigger.run_id
        return None

    def _count(self, what: str, answered: bool) -> None:
        self.counts[what if answered else f"{what} {UNKNOWN}"] += 1
        if answered:
            self.answers.append(time.monotonic())


@dataclass(frozen=True)
class Entry:
    """An attempt whose code ran, at Unix milliseconds."""

    run_id: str
    attempt: int
    at: int


def read_ledger(path: Path) -> dict[str, list[Entry]]:
    """Return what the tasks recorded, by run."""
    found: defaultdict[str, list[Entry]] = defaultdict(list)
    for line in path.read_text().splitlines():
        run_id, attempt, _, at = line.split()
        found[run_id].append(Entry(run_id, int(attempt), int(at)))
    return found
