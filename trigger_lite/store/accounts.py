"""Accounts of the dashboard, their one-time links and their sessions. Tokens are kept as hashes only."""

from typing import NamedTuple

from trigger_lite.store.query import Query, Statement
from trigger_lite.store.transaction import Reader, Tx


class AccountRow(NamedTuple):
    id: str
    name: str
    password_hash: str | None
    role: str


class SessionRow(NamedTuple):
    """A signed-in browser; times in Unix ms."""

    token_hash: str
    account_id: str
    form_token: str
    created_at: int
    expires_at: int


_ACCOUNT = "SELECT id, name, password_hash, role FROM account"
_FIRST_OF_ROLE = Query(_ACCOUNT + " WHERE role = :role ORDER BY id LIMIT 1", AccountRow)
_INSERT_ACCOUNT = Statement(
    "INSERT INTO account (id, name, role, created_at) VALUES (:id, :name, :role, :now)"
)
_SET_PASSWORD = Statement("UPDATE account SET password_hash = :password_hash WHERE id = :id")
_INSERT_LINK = Statement(
    """INSERT INTO sign_in_link (token_hash, account_id, expires_at)
       VALUES (:token_hash, :account_id, :expires_at)"""
)
_FIND_LINK = Query(
    """SELECT account_id FROM sign_in_link
        WHERE token_hash = :token_hash AND used_at IS NULL AND expires_at > :now""",
    str,
)
_USE_LINK = Statement(
    """UPDATE sign_in_link SET used_at = :now
        WHERE token_hash = :token_hash AND used_at IS NULL AND expires_at > :now"""
)
_DROP_LINKS = Statement("DELETE FROM sign_in_link WHERE account_id = :account_id AND used_at IS NULL")
_INSERT_SESSION = Statement(
    f"""INSERT INTO session ({", ".join(SessionRow._fields)})
        VALUES ({", ".join(":" + name for name in SessionRow._fields)})"""
)
_FIND_SESSION = Query(
    f"""SELECT {", ".join(SessionRow._fields)} FROM session
         WHERE token_hash = :token_hash AND expires_at > :now""",
    SessionRow,
)
_DROP_SESSION = Statement("DELETE FROM session WHERE token_hash = :token_hash")
_DROP_SESSIONS = Statement("DELETE FROM session WHERE account_id = :account_id")
_DROP_ENDED = Statement("DELETE FROM session WHERE expires_at <= :now")


def find_account_of_role(tx: Reader, role: str) -> AccountRow | None:
    """The oldest account of a role."""
    return tx.first(_FIRST_OF_ROLE, role=role)


def insert_account(tx: Tx, *, name: str, role: str) -> str:
    """Add an account that has no password yet."""
    new = tx.new_id("account")
    tx.run(_INSERT_ACCOUNT, id=new, name=name, role=role, now=tx.now)
    return new


def update_password_hash(tx: Tx, account_id: str, password_hash: str) -> None:
    tx.run(_SET_PASSWORD, id=account_id, password_hash=password_hash)


def insert_link(tx: Tx, account_id: str, token_hash: str, *, expires_at: int) -> None:
    tx.run(_INSERT_LINK, token_hash=token_hash, account_id=account_id, expires_at=expires_at)


def delete_unused_links(tx: Tx, account_id: str) -> None:
    tx.run(_DROP_LINKS, account_id=account_id)


def find_link_account(tx: Reader, token_hash: str) -> str | None:
    """The account that an unused, unexpired link signs in."""
    return tx.first(_FIND_LINK, token_hash=token_hash, now=tx.now)


def use_link(tx: Tx, token_hash: str) -> bool:
    """Mark a link as used *if it still may be*; tell whether it was."""
    return tx.run(_USE_LINK, token_hash=token_hash, now=tx.now) == 1


def insert_session(tx: Tx, session: SessionRow) -> None:
    tx.run(_INSERT_SESSION, **session._asdict())


def find_session(tx: Reader, token_hash: str) -> SessionRow | None:
    """The session, while it lasts."""
    return tx.first(_FIND_SESSION, token_hash=token_hash, now=tx.now)


def delete_session(tx: Tx, token_hash: str) -> None:
    tx.run(_DROP_SESSION, token_hash=token_hash)


def delete_sessions_of(tx: Tx, account_id: str) -> None:
    tx.run(_DROP_SESSIONS, account_id=account_id)


def delete_ended_sessions(tx: Tx) -> None:
    tx.run(_DROP_ENDED, now=tx.now)
