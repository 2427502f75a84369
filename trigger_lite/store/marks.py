"""Small facts that the server keeps about its own work, by name."""

from trigger_lite.store.query import Query, Statement
from trigger_lite.store.transaction import Reader, Tx

_FIND = Query("SELECT value FROM meta WHERE key = :name", str)
_PUT = Statement(
    """INSERT INTO meta (key, value) VALUES (:name, :value)
       ON CONFLICT (key) DO UPDATE SET value = excluded.value"""
)


def find_mark(tx: Reader, name: str) -> str | None:
    return tx.first(_FIND, name=name)


def put_mark(tx: Tx, name: str, value: str) -> None:
    tx.run(_PUT, name=name, value=value)
