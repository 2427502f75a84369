"""Passwords are hashed, and weak ones are refused with a reason."""

import pytest

from trigger_lite.engine.passwords import hash_password, password_matches, weakness

SALT = bytes(16)


def test_a_password_matches_its_hash_and_no_other() -> None:
    stored = hash_password("correct horse", SALT)
    assert "correct" not in stored
    assert password_matches("correct horse", stored)
    assert not password_matches("correct horsf", stored)
    assert not password_matches("", stored)


def test_two_salts_make_two_hashes() -> None:
    assert hash_password("correct horse", SALT) != hash_password("correct horse", b"x" * 16)


@pytest.mark.parametrize("password", ["", "short", "a" * 30, "x" * 2_000])
def test_a_weak_password_is_refused_with_a_reason(password: str) -> None:
    reason = weakness(password)
    assert reason is not None and "password" in reason


@pytest.mark.parametrize("password", ["correct horse", "пароль-длинный", "1234567890"])
def test_a_password_of_ten_characters_will_do(password: str) -> None:
    assert weakness(password) is None
