"""The single writer: one thread that runs functions in grouped commits.

What arrives in one turn of the event loop is handed over together and committed together, so the price
of a commit is shared. Each function runs inside its own savepoint: one that raises undoes only itself.
Events are published after the commit, or never.

A commit that fails fails all its functions; a connection that was lost is opened again for the next one.
While one does not end, for want of a disk or a server that answers, no more is accepted.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.engine import Dialect

from trigger_lite.protocol.errors import DatabaseFailed, DatabaseStalled, ServerBusy
from trigger_lite.protocol.ids import IdSource
from trigger_lite.store.dialect import begin, is_lost, is_outage
from trigger_lite.store.outages import Outage
from trigger_lite.store.transaction import Connection, Tx

MAX_GROUP: Final = 256
"""Functions in one commit; more would make the first of them wait for the last."""


class Work:
    """One function to run, and where its result goes; `seconds` is how long its commit took, all in all."""

    __slots__ = ("args", "error", "events", "fn", "future", "has_changed", "result", "seconds")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], future: "asyncio.Future[Any]") -> None:
        self.fn = fn
        self.args = args
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None
        self.events: list[object] = []
        self.has_changed = False
        self.seconds = 0.0


class Writer:
    """Owns the writing connection and its thread. Made and used on one event loop.

    `publish` is called on the loop with the events of each commit; `reopened` after a lost connection was
    opened again, and when commits succeed after some failed or took longer than `stall_seconds`; `connect`
    opens the connection on the writer's thread; `outage` hears how the commits end.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        dialect: Dialect,
        *,
        publish: Callable[[list[object]], None],
        reopened: Callable[[], None],
        inbox_limit: int,
        stall_seconds: float,
        outage: Outage,
        clock: Callable[[], int],
    ) -> None:
        self._connect = connect
        self._dialect = dialect
        self._publish = publish
        self._reopened = reopened
        self._limit = inbox_limit
        self._stall_seconds = stall_seconds
        self._outage = outage
        self._clock = clock
        self._ids = IdSource()
        self._arrived: list[Work] = []
        self._handover: queue.SimpleQueue[list[Work] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._began: float | None = None  # written by the thread: when it took up the present group
        self._watch: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._started: asyncio.Future[None] = self._loop.create_future()

    async def start(self) -> None:
        """Start the thread; returns when its connection is open. Raises what opening it raised."""
        self._thread.start()
        await self._started

    def submit(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> "asyncio.Future[Any]":
        """Queue `fn(tx, *args)`; the future resolves after its commit.

        Raises ServerBusy or DatabaseStalled, having accepted nothing, when the inbox is full or the present
        commit does not end.
        """
        return self.accept(fn, args).future

    def accept(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Work:
        """Like `submit`, for callers that want to know what it cost."""
        if self._closed:
            raise RuntimeError("the store is closed")
        if self._outage.is_stalled:
            raise DatabaseStalled
        if self.full:
            raise ServerBusy
        if self._watch is None:
            self._watch = self._loop.call_later(self._stall_seconds / 2, self._look)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting += 1
        if self._waiting >= self._limit:
            self._room.clear()
        if not self._arrived:
            self._loop.call_soon(self._hand_over)
        work = Work(fn, args, future)
        self._arrived.append(work)
        return work

    async def room(self) -> None:
        """Return when the inbox has room; for callers that must wait instead of refusing."""
        await self._room.wait()

    @property
    def full(self) -> bool:
        return self._waiting >= self._limit or self._outage.is_stalled

    @property
    def waiting(self) -> int:
        """Functions accepted and not yet committed."""
        return self._waiting

    async def close(self) -> None:
        """Finish what was accepted, refuse the rest, close the connection. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        self._hand_over()
        self._handover.put(None)
        await asyncio.to_thread(self._thread.join)

    def _hand_over(self) -> None:
        if self._arrived:
            self._handover.put(self._arrived)
            self._arrived = []

    def _look(self) -> None:
        """Look whether the present commit takes too long, and again as long as there is any work."""
        self._watch = None
        began = self._began
        if began is not None and time.monotonic() - began >= self._stall_seconds:
            self._outage.stalls(time.monotonic() - began)
            self._room.clear()
        if self._waiting:
            self._watch = self._loop.call_later(self._stall_seconds / 2, self._look)

    # ---- the writer's thread ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            connection = self._connect()
        except BaseException as error:
            self._loop.call_soon_threadsafe(self._started.set_exception, error)
            return
        self._loop.call_soon_threadsafe(self._started.set_result, None)
        backlog: list[Work] = []
        open_for_more = True
        while open_for_more or backlog:
            if open_for_more:
                open_for_more = self._collect(backlog)
            group, backlog = backlog[:MAX_GROUP], backlog[MAX_GROUP:]
            if group:
                self._began = began = time.monotonic()
                connection, failure = self._commit(connection, group)
                self._began, seconds = None, time.monotonic() - began
                for work in group:
                    work.seconds = seconds
                self._loop.call_soon_threadsafe(self._deliver, group, failure)
        connection.close()

    def _collect(self, backlog: list[Work]) -> bool:
        """Add all that has arrived, waiting only when there is nothing to do; tell whether more may come."""
        try:
            arrived = self._handover.get(block=not backlog)
            while arrived is not None:
                backlog.extend(arrived)
                arrived = self._handover.get_nowait()
        except queue.Empty:
            return True
        return False

    def _commit(self, connection: Connection, group: list[Work]) -> tuple[Connection, BaseException | None]:
        """Run and commit a group; return the connection to use from then on, and what it failed for.

        What the database is to blame for fails the whole group.
        """
        now = self._clock()
        try:
            if is_lost(connection):
                connection = self._connect()
                self._loop.call_soon_threadsafe(self._reopened)
            connection.execute(begin(self._dialect), {})
            for work in group:
                self._apply(connection, work, now)
            connection.execute("COMMIT", {})
        except Exception as error:
            for work in group:
                work.error, work.events = DatabaseFailed(), []
                work.error.__cause__ = error
            self._roll_back(connection)
            return connection, error
        return connection, None

    def _apply(self, connection: Connection, work: Work, now: int) -> None:
        tx = Tx(connection, self._dialect, now, self._ids)
        connection.execute("SAVEPOINT work", {})
        try:
            work.result = work.fn(tx, *work.args)
        except Exception as error:
            if is_outage(error):
                raise
            self._undo(connection, error)
            work.error = error
        else:
            work.events, work.has_changed = tx.events, tx.has_changed
        connection.execute("RELEASE SAVEPOINT work", {})

    def _undo(self, connection: Connection, error: Exception) -> None:
        """Undo one function; when that cannot be, because the database gave up all of the group, say why."""
        try:
            connection.execute("ROLLBACK TO SAVEPOINT work", {})
        except Exception:
            raise error from None

    def _roll_back(self, connection: Connection) -> None:
        try:
            connection.execute("ROLLBACK", {})
        except Exception:
            # Nothing is open to roll back: BEGIN itself failed, the database rolled back by itself (a full
            # disk), or the connection is lost. The callers have the first error.
            return

    # ---- back on the loop -------------------------------------------------------------------------

    def _deliver(self, group: list[Work], failure: BaseException | None) -> None:
        if failure is not None:
            self._outage.failed(len(group), failure)
        elif self._outage.is_known and self._outage.works(
            has_changed=any(work.has_changed for work in group)
        ):
            self._reopened()
        self._waiting -= len(group)
        if self._waiting < self._limit:
            self._room.set()
        events: list[object] = []
        for work in group:
            if not work.future.cancelled():
                if work.error is not None:
                    work.future.set_exception(work.error)
                else:
                    work.future.set_result(work.result)
            events += work.events
        if events:
            self._publish(events)
