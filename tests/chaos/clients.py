"""Clients that ask for all kinds of things, and ask again like real ones when no answer comes."""

import random
import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tests.chaos.journal import Journal, Trigger
from tests.chaos.plan import Plan
from tests.chaos.timetable import Timetable
from trigger_lite import ApiError, Client, ConnectionFailed
from trigger_lite.protocol.batches import NDJSON, CreateBatch, CreatedBatch, TakenItems
from trigger_lite.sdk.options import RunOptions

_ATTEMPTS: Final = (6, 1, 6, 2)
"""How often a client asks before it gives up, by its number: some are patient, some are not."""
_NOT_NOW: Final = (429, 503)
"""Too many bulk actions at once, or too much work: nothing was accepted."""
_SHARED_KEYS: Final = 40
_TOKEN_SECONDS: Final = 20


class ChaosClient(threading.Thread):
    """One client: does one thing after the other until it is told to stop."""

    def __init__(self, number: int, plan: Plan, timetable: Timetable, journal: Journal) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self.stop = threading.Event()
        self.chance = random.Random(f"{plan.seed}-{number}")
        attempts = _ATTEMPTS[number % len(_ATTEMPTS)]
        self.client = Client(timetable.url, timetable.key, attempts=attempts, timeout=10)
        self.journal = journal
        self.schedule_id = timetable.complete[0]
        self._number = number
        self._rate = plan.rate
        self._made = 0

    def run(self) -> None:
        acts, weights = zip(*_ACTS, strict=True)
        while not self.stop.wait(self.chance.expovariate(self._rate)):
            (act,) = self.chance.choices(acts, weights)
            try:
                act(self)
            except Exception as error:
                self.journal.surprised(f"{act.__name__}: {type(error).__name__}: {error}")
        self.client.close()

    def ask(self, request: Callable[[], Any]) -> Any | None:
        """Return the answer, or None when there was none in spite of all retries."""
        try:
            return request()
        except ConnectionFailed:
            return None
        except ApiError as error:
            if error.status not in _NOT_NOW:
                raise
            return None

    def trigger(
        self, task: str, options: RunOptions | None = None, *, may_expire: bool = False, **payload: Any
    ) -> None:
        """Trigger a task with a payload that has a name of its own."""
        name = self.new_name()
        wanted: RunOptions = {} if options is None else options
        handle = self.ask(lambda: self.client.trigger(task, {"name": name, **payload}, **wanted))
        run_id = None if handle is None else handle.id
        key = wanted.get("idempotency_key")
        self.journal.triggered(Trigger(name, task, run_id, None if key is None else str(key), may_expire))

    def new_name(self) -> str:
        """Return a name that no other run has."""
        self._made += 1
        return f"{self._number}-{self._made}"


# ---- what clients do --------------------------------------------------------------------------------


def plain(client: ChaosClient) -> None:
    client.trigger("work", ms=client.chance.choice([0, 0, 0, 20, 200]))


def slow(client: ChaosClient) -> None:
    client.trigger("work", ms=client.chance.randint(500, 3000))


def keyed(client: ChaosClient) -> None:
    """Several clients use the same keys."""
    key = f"order-{client.chance.randrange(_SHARED_KEYS)}"
    client.trigger("work", {"idempotency_key": key}, ms=20)


def delayed(client: ChaosClient) -> None:
    client.trigger("work", {"delay": client.chance.randint(1, 8)}, ms=0)


def urgent(client: ChaosClient) -> None:
    client.trigger("narrow", {"priority": client.chance.randint(1, 60)}, ms=50)


def in_lanes(client: ChaosClient) -> None:
    client.trigger("narrow", {"key": client.chance.choice("abc")}, ms=30)


def short_lived(client: ChaosClient) -> None:
    client.trigger("narrow", {"ttl": client.chance.randint(1, 3)}, may_expire=True, ms=100)


def flaky(client: ChaosClient) -> None:
    client.trigger("flaky", failures=client.chance.choice([1, 1, 2]))


def doomed(client: ChaosClient) -> None:
    client.trigger("doomed")


def crashing(client: ChaosClient) -> None:
    client.trigger("crashing")


def napping(client: ChaosClient) -> None:
    client.trigger("napping", seconds=client.chance.uniform(5.1, 8))


def asking(client: ChaosClient) -> None:
    """Make a token, and a run or two that wait for it."""
    token = client.ask(lambda: client.client.tokens.create(timeout=_TOKEN_SECONDS))
    client.journal.made_token(None if token is None else token.id)
    if token is not None:
        for _ in range(client.chance.choice([1, 1, 2])):
            client.trigger("asking", token=token.id)


def completing(client: ChaosClient) -> None:
    """Complete a token; somebody else may have done that already, or it may have timed out."""
    data = f"{client.chance.random():.9f}"
    token = client.journal.some_token(1 - client.chance.random() ** 3, data)
    if token is not None:
        client.journal.completed(answered=client.ask(lambda: _complete(client, token, data)) is not None)


def _complete(client: ChaosClient, token: str, data: str) -> bool:
    client.client.tokens.complete(token, data)
    return True


def family(client: ChaosClient) -> None:
    client.trigger("parent", ms=client.chance.choice([0, 50, 300]))


def crowd(client: ChaosClient) -> None:
    client.trigger("crowd", count=client.chance.randint(1, 12), ms=client.chance.choice([0, 0, 100]))


def batch(client: ChaosClient) -> None:
    """Announce a batch and send its items, as clients do in two requests."""
    names = [client.new_name() for _ in range(client.chance.randint(1, 25))]
    batch_id = client.ask(lambda: _announce(client, len(names)))
    is_full = batch_id is not None and client.ask(lambda: _fill(client, batch_id, names)) is True
    client.journal.sent_batch(batch_id if is_full else None, names, "work")


def _announce(client: ChaosClient, count: int) -> str:
    body = msgspec.json.encode(CreateBatch(count))
    return client.client.request("POST", "/api/v3/batches", CreatedBatch, body).id


def _fill(client: ChaosClient, batch_id: str, names: list[str]) -> bool:
    payloads = [{"name": name, "ms": 0} for name in names]
    items = [{"index": index, "task": "work", "payload": one} for index, one in enumerate(payloads)]
    body = b"".join(msgspec.json.encode(item) + b"\n" for item in items)
    path = f"/api/v3/batches/{batch_id}/items"
    return client.client.request("POST", path, TakenItems, body, content_type=NDJSON[0]).sealed


def run_now(client: ChaosClient) -> None:
    handle = client.ask(lambda: client.client.schedules.run_now(client.schedule_id))
    client.journal.ran_now(client.schedule_id, None if handle is None else handle.id)


def cancel(client: ChaosClient) -> None:
    run_id = client.journal.some_run(0.8 + client.chance.random() / 5)
    if run_id is not None:
        client.journal.canceled(run_id, answered=client.ask(lambda: _cancel(client, run_id)) is not None)


def _cancel(client: ChaosClient, run_id: str) -> bool:
    client.client.runs.cancel(run_id)
    return True


def replay(client: ChaosClient) -> None:
    run_id = client.journal.some_run(client.chance.random())
    if run_id is not None:
        handle = client.ask(lambda: client.client.runs.replay(run_id))
        client.journal.replayed(run_id, None if handle is None else handle.id)


def replay_many(client: ChaosClient) -> None:
    found = {client.journal.some_run(client.chance.random()) for _ in range(client.chance.randint(2, 12))}
    originals = sorted(run_id for run_id in found if run_id is not None)
    if originals:
        action = client.ask(lambda: client.client.runs.bulk.replay(originals))
        client.journal.replayed_many(originals, None if action is None else action.id)


def look(client: ChaosClient) -> None:
    run_id = client.journal.some_run(client.chance.random())
    if run_id is not None:
        run = client.ask(lambda: client.client.runs.get(run_id))
        if run is not None and run.is_completed:
            client.journal.saw(run_id, run.status)


def browse(client: ChaosClient) -> None:
    client.ask(lambda: [run.id for run, _ in zip(client.client.runs.list(), range(60), strict=False)])


_ACTS: Final[list[tuple[Callable[[ChaosClient], None], int]]] = [
    (plain, 8), (slow, 2), (keyed, 3), (delayed, 2), (urgent, 2), (in_lanes, 3), (short_lived, 1),
    (flaky, 2), (doomed, 1), (crashing, 1), (napping, 1), (asking, 2), (completing, 3), (family, 2),
    (crowd, 1), (batch, 1), (run_now, 1), (cancel, 2), (replay, 1), (replay_many, 1), (look, 3), (browse, 1),
]  # fmt: skip
