"""Requests that named themselves: answered again, not repeated, for a day (management-api 7)."""

from trigger_lite.store.query import Query, Statement
from trigger_lite.store.transaction import Reader, Tx

_FIND = Query("SELECT run_id FROM request_key WHERE key = :key", str)
_INSERT = Statement("INSERT INTO request_key (key, run_id, created_at) VALUES (:key, :run_id, :now)")
_PRUNE = Statement(
    """DELETE FROM request_key WHERE key IN
         (SELECT key FROM request_key WHERE created_at < :before ORDER BY created_at LIMIT :count)"""
)
_OLDEST = Query("SELECT min(created_at) FROM request_key", lambda at: at)


def find_request(tx: Reader, key: str) -> str | None:
    """The run that an earlier request of this key made."""
    return tx.first(_FIND, key=key)


def insert_request(tx: Tx, key: str, run_id: str) -> None:
    tx.run(_INSERT, key=key, run_id=run_id, now=tx.now)


def delete_requests(tx: Tx, *, before: int, count: int) -> int:
    """Forget up to `count` requests older than `before` (Unix ms); returns how many."""
    return tx.run(_PRUNE, before=before, count=count)


def find_oldest_request(tx: Reader) -> int | None:
    return tx.first(_OLDEST)
