"""The engine's functions over a real database: one transaction a call, a clock set by hand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy.engine import make_url

from trigger_lite.engine.events import Event, RunMoved
from trigger_lite.engine.installation import prepare_installation
from trigger_lite.protocol.ids import IdSource
from trigger_lite.store import environments, queues, runs, schema
from trigger_lite.store.database import Database, PostgresDatabase, SqliteDatabase
from trigger_lite.store.dialect import begin
from trigger_lite.store.environments import EnvironmentRow, Load
from trigger_lite.store.migrate import migrate
from trigger_lite.store.query import Query, Statement
from trigger_lite.store.queues import LaneRow
from trigger_lite.store.runs import RunData, RunRow, SnapshotRow
from trigger_lite.store.transaction import Connection, Tx

P = ParamSpec("P")
R = TypeVar("R")
NOW: Final = 1_790_000_000_000
CONCURRENCY: Final = 10


class Harness:
    """A new installation. `do` runs a function as the writer would; `events` are those of what committed."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self.connection = connection
        self.dialect = database.dialect
        self.events: list[Event] = []
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything that was stored, and make a new installation."""
        for table in schema.STATE.tables:
            self.connection.execute(f"DELETE FROM {table}", {})
        self.now = NOW
        self._ids = IdSource()
        self.dev, self.prod = self.do(prepare_installation, b"secret", CONCURRENCY)
        self.events.clear()

    def do(self, fn: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn(tx, …)` in a transaction of its own; one that raises is rolled back."""
        tx = Tx(self.connection, self.dialect, self.now, self._ids)
        self.connection.execute(begin(self.dialect), {})
        try:
            result = fn(tx, *args, **kwargs)
        except BaseException:
            self.connection.execute("ROLLBACK", {})
            raise
        self.connection.execute("COMMIT", {})
        self.events += [event for event in tx.events if isinstance(event, Event)]
        return result

    def pass_time(self, seconds: float) -> None:
        self.now += round(seconds * 1000)

    # ---- what is stored -----------------------------------------------------------------------------

    def run(self, run: str | RunRow) -> RunRow:
        found = self.do(runs.find_run, run if isinstance(run, str) else run.id)
        assert found is not None
        return found

    def data(self, run: str | RunRow) -> RunData:
        return self.do(runs.get_data, run if isinstance(run, str) else run.id)

    def snapshots(self, run: str | RunRow) -> list[SnapshotRow]:
        return self.do(runs.list_snapshots, run if isinstance(run, str) else run.id)

    def path(self, run: str | RunRow) -> list[str]:
        """The execution statuses that a run went through."""
        return [snapshot.execution_status for snapshot in self.snapshots(run)]

    def load(self, environment: EnvironmentRow | None = None) -> Load:
        return self.do(environments.get_load, (environment or self.prod).id)

    def lane(self, run: str | RunRow) -> LaneRow | None:
        """The lane a run was last in, if it is still there."""
        return self.do(queues.find_lane, self.run(run).lane_id)

    def moves(self, run: str | RunRow) -> list[RunMoved]:
        """What was announced of a run."""
        wanted = run if isinstance(run, str) else run.id
        return [event for event in self.events if isinstance(event, RunMoved) and event.run_id == wanted]

    # ---- states that no function of the engine makes ------------------------------------------------

    def change(self, sql: str, **parameters: Any) -> int:
        return self.do(lambda tx: tx.run(Statement(sql), **parameters))

    def ask(self, sql: str, **parameters: Any) -> list[Any]:
        """Return the rows of a query; single columns as plain values."""
        query = Query(sql, lambda *columns: columns[0] if len(columns) == 1 else columns)
        return self.do(lambda tx: tx.all(query, **parameters))


def database_at(url: str, folder: Path, *, lease: int = 1) -> Database:
    """Return the database of a `database_url`; SQLite's file does not wait for the disk."""
    if make_url(url).get_backend_name() == "sqlite":
        return SqliteDatabase(folder / "state.db", synchronous="OFF")
    return PostgresDatabase(url, lease=lease)


@contextmanager
def harness(database: Database) -> Iterator[Harness]:
    connection = database.connect()
    try:
        migrate(connection, database.dialect, "state")
        yield Harness(database, connection)
    finally:
        connection.close()
