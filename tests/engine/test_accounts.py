"""The owner's account: one-time links, password, sessions."""

import pytest

from tests.support.harness import Harness
from trigger_lite.engine import accounts
from trigger_lite.engine.accounts import LINK_MS, SESSION_MS, NewSession
from trigger_lite.protocol.errors import Unauthorized
from trigger_lite.protocol.ids import IdSource
from trigger_lite.store.transaction import Tx


@pytest.fixture
def tx(engine: Harness) -> Tx:
    """One long transaction whose clock is set by hand."""
    return Tx(engine.connection, engine.dialect, engine.now, IdSource())


def _owner_id(tx: Tx) -> str:
    owner = accounts.find_owner(tx)
    assert owner is not None
    return owner.id


def test_a_link_is_needed_until_a_password_is_set(tx: Tx) -> None:
    assert accounts.needs_first_link(tx)
    accounts.make_sign_in_link(tx, "secret")
    assert accounts.needs_first_link(tx)
    accounts.sign_in_by_link(tx, "secret", "hash", NewSession("cookie", "form"))
    assert not accounts.needs_first_link(tx)


def test_a_link_signs_in_once(tx: Tx) -> None:
    accounts.make_sign_in_link(tx, "secret")
    assert accounts.is_usable_link(tx, "secret")
    accounts.sign_in_by_link(tx, "secret", "hash", NewSession("cookie", "form"))
    session = accounts.find_session(tx, "cookie")
    assert session is not None and session.form_token == "form"
    assert not accounts.is_usable_link(tx, "secret")
    with pytest.raises(Unauthorized, match="used before"):
        accounts.sign_in_by_link(tx, "secret", "other", NewSession("cookie 2", "form"))


def test_a_link_lasts_a_day(tx: Tx) -> None:
    accounts.make_sign_in_link(tx, "secret")
    tx.now += LINK_MS - 1
    assert accounts.is_usable_link(tx, "secret")
    tx.now += 1
    with pytest.raises(Unauthorized):
        accounts.sign_in_by_link(tx, "secret", "hash", NewSession("cookie", "form"))


def test_a_new_link_ends_the_one_before(tx: Tx) -> None:
    accounts.make_sign_in_link(tx, "first")
    accounts.make_sign_in_link(tx, "second")
    assert not accounts.is_usable_link(tx, "first")
    assert accounts.is_usable_link(tx, "second")


def test_setting_a_password_by_link_ends_every_session(tx: Tx) -> None:
    accounts.make_sign_in_link(tx, "first")
    accounts.sign_in_by_link(tx, "first", "hash", NewSession("stolen", "form"))
    accounts.make_sign_in_link(tx, "second")
    accounts.sign_in_by_link(tx, "second", "hash 2", NewSession("mine", "form"))
    assert accounts.find_session(tx, "stolen") is None
    assert accounts.find_session(tx, "mine") is not None


def test_signing_in_replaces_the_session_of_that_browser(tx: Tx) -> None:
    accounts.make_sign_in_link(tx, "secret")
    accounts.sign_in_by_link(tx, "secret", "hash", NewSession("old", "form"))
    accounts.sign_in(tx, _owner_id(tx), "hash", NewSession("new", "form", replaced="old"))
    assert accounts.find_session(tx, "old") is None
    assert accounts.find_session(tx, "new") is not None


def test_a_password_changed_meanwhile_signs_nobody_in(tx: Tx) -> None:
    accounts.make_sign_in_link(tx, "secret")
    accounts.sign_in_by_link(tx, "secret", "hash", NewSession("old", "form"))
    with pytest.raises(Unauthorized):
        accounts.sign_in(tx, _owner_id(tx), "an older hash", NewSession("new", "form"))


def test_a_session_lasts_two_weeks_and_ends_by_signing_out(tx: Tx) -> None:
    accounts.make_sign_in_link(tx, "secret")
    accounts.sign_in_by_link(tx, "secret", "hash", NewSession("one", "form"))
    accounts.sign_in(tx, _owner_id(tx), "hash", NewSession("two", "form"))
    accounts.sign_out(tx, "one")
    assert accounts.find_session(tx, "one") is None
    tx.now += SESSION_MS - 1
    assert accounts.find_session(tx, "two") is not None
    tx.now += 1
    assert accounts.find_session(tx, "two") is None


def test_no_token_is_stored(tx: Tx) -> None:
    accounts.make_sign_in_link(tx, "link-token")
    accounts.sign_in_by_link(tx, "link-token", "hash", NewSession("session-token", "form"))
    session = accounts.find_session(tx, "session-token")
    assert session is not None and "session-token" not in session
