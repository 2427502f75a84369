"""The store: `write` runs a function in a grouped commit, `read` runs one on a read-only connection."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Concatenate, Final, NoReturn, ParamSpec, TypeVar

from sqlalchemy import Connection as SyncConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from trigger_lite.protocol.errors import DatabaseFailed, SearchTooSlow
from trigger_lite.store.database import Database, DatabaseUnusable, ReadingConnection
from trigger_lite.store.dialect import is_outage
from trigger_lite.store.migrate import migrate
from trigger_lite.store.outages import Outage
from trigger_lite.store.patience import begin_search, end_search, was_stopped
from trigger_lite.store.transaction import Connection, Reader, Tx
from trigger_lite.store.writer import Writer

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

STALL_SECONDS: Final = 5.0
"""A commit that takes longer than this is one that the database does not answer."""


def wall_clock() -> int:
    """What time it is, in Unix ms."""
    return time.time_ns() // 1_000_000


class Store:
    """One database with its writer and its readers; opened and closed by `server.py`."""

    def __init__(
        self, database: Database, writer: Writer, readers: AsyncEngine, clock: Callable[[], int]
    ) -> None:
        self._database = database
        self._writer = writer
        self._readers = readers
        self._clock = clock

    @classmethod
    async def open(
        cls,
        database: Database,
        area: str,
        *,
        publish: Callable[[list[object]], None],
        reopened: Callable[[], None] = lambda: None,
        inbox_limit: int = 2_000,
        stall_seconds: float = STALL_SECONDS,
        clock: Callable[[], int] = wall_clock,
    ) -> "Store":
        """Open the database, bring its schema up to date and start the writer.

        `area` is `state` or `telemetry`; `reopened` is called after a lost connection was opened again, and
        when commits succeed after some failed or took longer than `stall_seconds`; `clock` says what time it
        is (Unix ms). Raises DatabaseTooNew, DatabaseTaken, or DatabaseUnusable.
        """
        writer = Writer(
            partial(_connect, database, area),
            database.dialect,
            publish=publish,
            reopened=reopened,
            inbox_limit=inbox_limit,
            stall_seconds=stall_seconds,
            outage=Outage(area),
            clock=clock,
        )
        await writer.start()
        return cls(database, writer, database.read_engine(), clock)

    async def write(self, fn: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn(tx, *args)` on the writer's thread; returns after the commit that holds it.

        Raises what `fn` raised, having changed nothing, ServerBusy when too much waits, DatabaseFailed, or
        DatabaseStalled at once while the database does not answer.
        """
        return await self.submit(fn, *args, **kwargs)

    def submit(
        self, fn: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> "asyncio.Future[R]":
        """Like `write`, for callers that submit many in order and await them later."""
        if kwargs:
            raise TypeError("submit passes positional arguments only")
        return self._writer.submit(fn, args)

    async def room(self) -> None:
        """Return when the inbox has room and the database answers."""
        while self._writer.full:
            await self._writer.room()

    async def write_when_free(
        self, fn: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Like `write`, but waits while the inbox is full: for work that was accepted already."""
        await self.room()
        return await self.write(fn, *args, **kwargs)

    async def measure_when_free(
        self, fn: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[R, float]:
        """Like `write_when_free`; returns also for how long the writer was held, in seconds."""
        if kwargs:
            raise TypeError("measure_when_free passes positional arguments only")
        await self.room()
        work = self._writer.accept(fn, args)
        return await work.future, work.seconds

    def submit_when_free(
        self, fn: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]:
        """Like `submit`, but when the inbox is full it waits for room; the result must be awaited."""
        if self._writer.full:
            return self.write_when_free(fn, *args, **kwargs)
        return self.submit(fn, *args, **kwargs)

    async def read(self, fn: Callable[Concatenate[Reader, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn(reader, *args)` on a read-only connection that sees one state of the database.

        Raises what `fn` raised, or DatabaseFailed.
        """

        def run(connection: SyncConnection) -> R:
            return fn(self._reader(connection), *args, **kwargs)

        return await self._run(run)

    async def search(self, fn: Callable[Concatenate[Reader, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Like `read`, for what people filter: raises SearchTooSlow when it takes longer than they wait."""

        def run(connection: SyncConnection) -> R:
            begin_search(connection)
            try:
                return fn(self._reader(connection), *args, **kwargs)
            except DBAPIError as error:
                if was_stopped(error.orig):
                    raise SearchTooSlow from error
                raise
            finally:
                end_search(connection)

        return await self._run(run)

    def _reader(self, connection: SyncConnection) -> Reader:
        return Reader(ReadingConnection(connection), self._database.dialect, self._clock())

    async def _run(self, run: Callable[[SyncConnection], R]) -> R:
        """Read; over another connection, if the one that was at hand turns out to be lost."""
        try:
            return await self._run_once(run)
        except (DBAPIError, PoolTimeout) as error:
            if not (isinstance(error, DBAPIError) and error.connection_invalidated):
                self._raise_outage(error)
        try:
            return await self._run_once(run)
        except (DBAPIError, PoolTimeout) as error:
            self._raise_outage(error)

    async def _run_once(self, run: Callable[[SyncConnection], R]) -> R:
        async with self._readers.connect() as connection:
            return await connection.run_sync(run)

    def _raise_outage(self, error: DBAPIError | PoolTimeout) -> NoReturn:
        if isinstance(error, DBAPIError) and not is_outage(error.orig):
            raise error
        logger.error("the database could not be read: %s", error)
        raise DatabaseFailed from error

    async def checkpoint(self) -> None:
        """Do now, beside the writer, what would else hold it up at one of its next commits."""
        await asyncio.to_thread(self._database.checkpoint)

    @property
    def waiting(self) -> int:
        """Writes accepted and not yet committed."""
        return self._writer.waiting

    async def close(self) -> None:
        """Finish accepted writes, then close. Safe to call twice."""
        # Readers first: the last connection to close moves all of SQLite's journal into the database.
        await self._readers.dispose()
        await self._writer.close()


def _connect(database: Database, area: str) -> Connection:
    """Open the writing connection, its schema up to date."""
    connection = database.connect()
    try:
        migrate(connection, database.dialect, area)
    except Exception as error:
        connection.close()
        if not is_outage(error):
            raise
        raise DatabaseUnusable(f"The {area} database cannot be written: {error}") from error
    return connection
