"""Who may use the dashboard: one owner, who signs in by a one-time link once and by a password afterwards.

Randomness and hashing of passwords happen before these functions are called: tokens come in as text, of
which only a hash is stored, and passwords as their hashes.
"""

import hashlib
from typing import Final

import msgspec

from trigger_lite.protocol.errors import Unauthorized
from trigger_lite.store import accounts
from trigger_lite.store.accounts import AccountRow, SessionRow
from trigger_lite.store.transaction import Reader, Tx

OWNER: Final = "owner"
LINK_MS: Final = 86_400_000
SESSION_MS: Final = 14 * 86_400_000


class NewSession(msgspec.Struct, frozen=True):
    """What a browser is given when it signs in: both tokens are fresh random text.

    `token` names the session in its cookie, `form_token` goes into its forms. `replaced` is the token of
    the session that the browser had before, which ends.
    """

    token: str
    form_token: str
    replaced: str | None = None


def needs_first_link(tx: Reader) -> bool:
    """Tell whether nobody can sign in by a password yet."""
    owner = find_owner(tx)
    return owner is None or owner.password_hash is None


def find_owner(tx: Reader) -> AccountRow | None:
    """The owner's account; there is none before the first link."""
    return accounts.find_account_of_role(tx, OWNER)


def make_sign_in_link(tx: Tx, secret_token: str) -> None:
    """Let whoever has this token set the owner's password, once, within a day; earlier links end."""
    owner = find_owner(tx)
    account_id = owner.id if owner else accounts.insert_account(tx, name=OWNER, role=OWNER)
    accounts.delete_unused_links(tx, account_id)
    accounts.insert_link(tx, account_id, _hash(secret_token), expires_at=tx.now + LINK_MS)


def is_usable_link(tx: Reader, token: str) -> bool:
    """Tell whether a link's token can still be used; this does not use it."""
    return accounts.find_link_account(tx, _hash(token)) is not None


def sign_in_by_link(tx: Tx, token: str, password_hash: str, session: NewSession) -> None:
    """Use a link: set the password, end every session there was, begin one.

    Raises Unauthorized when the link was used before, ran out, or never was.
    """
    account_id = accounts.find_link_account(tx, _hash(token))
    if account_id is None or not accounts.use_link(tx, _hash(token)):
        raise Unauthorized("This sign-in link was used before or is older than a day")
    accounts.update_password_hash(tx, account_id, password_hash)
    accounts.delete_sessions_of(tx, account_id)
    _begin(tx, account_id, session)


def sign_in(tx: Tx, account_id: str, password_hash: str, session: NewSession) -> None:
    """Begin a session after the password was found to match `password_hash`.

    Raises Unauthorized when the account's password was changed since it was compared.
    """
    owner = find_owner(tx)
    if owner is None or owner.id != account_id or owner.password_hash != password_hash:
        raise Unauthorized("The password was changed meanwhile; sign in again")
    accounts.delete_ended_sessions(tx)
    _begin(tx, account_id, session)


def find_session(tx: Reader, token: str) -> SessionRow | None:
    """The session that a cookie names, while it lasts."""
    return accounts.find_session(tx, _hash(token))


def sign_out(tx: Tx, token: str) -> None:
    """End a session; one that is over already is fine."""
    accounts.delete_session(tx, _hash(token))


def _begin(tx: Tx, account_id: str, session: NewSession) -> None:
    if session.replaced is not None:
        accounts.delete_session(tx, _hash(session.replaced))
    row = SessionRow(_hash(session.token), account_id, session.form_token, tx.now, tx.now + SESSION_MS)
    accounts.insert_session(tx, row)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
