"""What it costs to keep much that waits for its time: beside an empty server, in the same seconds."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.figures import Figure
from bench.http_client import Target, call
from bench.installation import serving_data
from bench.population import AT_ONCE, DAY_MS, copies, copy_all, copy_statement, copy_statements
from bench.process_tree import cpu_seconds, memory_mb, tree
from bench.sizes import Sizes
from tests.support.processes import Process
from trigger_lite.protocol.ids import IdSource
from trigger_lite.store import schema
from trigger_lite.store.database import SqliteDatabase
from trigger_lite.store.dialect import SQLITE, begin
from trigger_lite.store.query import Statement
from trigger_lite.store.transaction import Connection, Tx

_FAR_MS: Final = 30 * DAY_MS
_START_SECONDS: Final = 60
_SCHEDULE: Final = Statement(
    """INSERT INTO schedule
         (id, project_id, kind, task_id, cron, timezone, overlap, catch_up, created_at, updated_at)
       SELECT :id, project_id, 'IMPERATIVE', 'noop', '0 3 1 * *', 'Europe/Berlin', 'allow', 'latest', :at, :at
         FROM environment WHERE id = :template"""
)
_INSTANCE: Final = Statement(
    f"""INSERT INTO schedule_instance (id, schedule_id, environment_id, next_at, created_at)
        VALUES (:id, :id, :template, :at + {_FAR_MS}, :at)"""
)


def measure_standing(sizes: Sizes, folder: Path) -> list[Figure]:
    """Return how much memory and processor time a server with much that waits needs beyond an empty one."""
    with TemporaryDirectory(dir=folder) as name, ExitStack() as servers:
        empty, full = Path(name) / "empty", Path(name) / "full"
        for data in (empty, full):
            prepare(data)
        populate(full / "trigger.db", sizes)
        pids = [tree(servers.enter_context(_served(data)).pid) for data in (empty, full)]
        time.sleep(sizes.settle_seconds)
        ours, theirs = memory_mb(pids[1]), memory_mb(pids[0])
        idle = [share / sizes.standing_seconds * 100 for share in _spent(pids, sizes.standing_seconds)]
    kept = f"{sizes.delayed_runs:,} delayed runs, {sizes.schedules:,} schedules, {sizes.open_tokens:,} tokens"
    beside = f"{idle[1]:.2f} beside {idle[0]:.2f}"
    return [
        Figure("standing.memory", "Much that waits: more memory (PSS)", ours - theirs, "MB", kept),
        Figure("standing.idle", "Much that waits: more processor time", idle[1] - idle[0], "%", beside),
    ]


def prepare(data: Path) -> None:
    """Make an installation with one delayed run and one open token, and stop it again."""
    with _served(data):
        delayed = {"payload": {"order": 4711}, "options": {"delay": "30d"}}
        _ask(data, "/api/v1/tasks/noop/trigger", delayed)
        _ask(data, "/api/v1/waitpoints/tokens", {"timeout": "30d", "tags": ["customer_4711"]})


def _ask(data: Path, path: str, body: object) -> None:
    local = json.loads((data / "connection.json").read_text())
    call(Target(local["url"], path, local["keys"]["prod"], json.dumps(body).encode()))


@contextmanager
def _served(data: Path) -> Iterator[Process]:
    with serving_data(data) as process:
        process.wait_for_line("serving at ", seconds=_START_SECONDS)
        yield process


def _spent(trees: list[list[int]], seconds: float) -> list[float]:
    """Return the processor seconds that each process tree spends meanwhile."""
    before = [cpu_seconds(pids) for pids in trees]
    time.sleep(seconds)
    return [cpu_seconds(pids) - spent for pids, spent in zip(trees, before, strict=True)]


# ---- the full one -------------------------------------------------------------------------------------


def populate(database: Path, sizes: Sizes) -> None:
    """Copy the delayed run and the token, and add schedules; nothing of it is due for weeks."""
    connection = SqliteDatabase(database, synchronous="OFF").connect()
    try:
        (run,) = _ids(connection, "SELECT id FROM run")
        (token,) = _ids(connection, "SELECT id FROM waitpoint")
        (prod,) = _ids(connection, "SELECT id FROM environment WHERE slug = 'prod'")
        _add(connection, copy_statements("delayed"), run, sizes.delayed_runs, prefix="run")
        token_copy = copy_statement(schema.waitpoint, "id", {"id": ":id", "created_at": ":at"})
        _add(connection, [token_copy], token, sizes.open_tokens, prefix="waitpoint")
        _add(connection, [_SCHEDULE, _INSTANCE], prod, sizes.schedules, prefix="schedule")
    finally:
        connection.close()


def _ids(connection: Connection, sql: str) -> list[str]:
    return [row[0] for row in connection.execute(sql, {}).fetchall()]


def _add(
    connection: Connection, statements: list[Statement], template: str, count: int, *, prefix: str
) -> None:
    now = time.time_ns() // 1_000_000
    rows = copies(template, count, prefix=prefix, first_ms=now - DAY_MS, span_ms=DAY_MS)
    for done in range(0, count, AT_ONCE):
        connection.execute(begin(SQLITE), {})
        copy_all(Tx(connection, SQLITE, now, IdSource()), statements, rows[done : done + AT_ONCE])
        connection.execute("COMMIT", {})
