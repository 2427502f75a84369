"""Stops a search that would take too long, so that one filter cannot keep a reader busy for all others."""

import time
from typing import Any, Final, cast

from sqlalchemy import Connection as SyncConnection

SEARCH_SECONDS: Final = 0.15
"""Processor time of one search on SQLite; waiting for a slow disk does not count."""
POSTGRES_SECONDS: Final = 2.0
"""Differs on SQLite because PostgreSQL measures a statement by the wall clock."""
_STEPS: Final = 20_000
_NAME: Final = "patience"


class Patience:
    """Measures the searches of one SQLite connection. SQLite asks `is_over` while a statement runs."""

    def __init__(self) -> None:
        self._is_searching = False
        self._began: float | None = None

    def begin(self) -> None:
        self._began, self._is_searching = None, True

    def end(self) -> None:
        self._is_searching = False

    def is_over(self) -> bool:
        """Called every few thousand steps, on the thread that runs the statement."""
        if not self._is_searching:
            return False
        if self._began is None:
            self._began = time.thread_time()
        return time.thread_time() - self._began > SEARCH_SECONDS


def watch(connection: Any, info: dict[Any, Any]) -> None:
    """Let a new SQLite connection be stopped; it comes as SQLAlchemy's face of the driver's own."""
    patience = info[_NAME] = Patience()
    connection.run_async(lambda driver: driver.set_progress_handler(patience.is_over, _STEPS))


def begin_search(connection: SyncConnection) -> None:
    """Limit what is read from here to the end of the transaction, or to `end_search`."""
    patience = cast("Patience | None", connection.info.get(_NAME))
    if patience is None:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {round(POSTGRES_SECONDS * 1_000)}")
    else:
        patience.begin()


def end_search(connection: SyncConnection) -> None:
    patience = cast("Patience | None", connection.info.get(_NAME))
    if patience is not None:
        patience.end()


def was_stopped(error: BaseException | None) -> bool:
    """Tell whether a driver's error says that a search was stopped."""
    stopped_by_sqlite = getattr(error, "sqlite_errorname", None) == "SQLITE_INTERRUPT"
    return stopped_by_sqlite or type(error).__name__ == "QueryCanceled"
