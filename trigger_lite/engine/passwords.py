"""Passwords: hashed by scrypt, which takes memory and time on purpose. Call these off the event loop."""

import hashlib
import hmac
from typing import Final

SHORTEST: Final = 10
LONGEST: Final = 1_000

# 32 MB and about a tenth of a second for one guess.
_COST: Final = 2**15
_BLOCK: Final = 8
_MEMORY: Final = 64 * 1024 * 1024


def weakness(password: str) -> str | None:
    """Say why a password cannot be taken, or None when it can."""
    if len(password) < SHORTEST:
        return f"Choose a password of at least {SHORTEST} characters; a few words in a row are easy to keep."
    if len(password) > LONGEST:
        return f"A password has at most {LONGEST} characters."
    if len(set(password)) < 4:
        return "Choose a password with more than a few different characters."
    return None


def hash_password(password: str, salt: bytes) -> str:
    """Return what is stored of a password: `scrypt$cost$block$salt$hash`. `salt` is 16 random bytes."""
    return f"scrypt${_COST}${_BLOCK}${salt.hex()}${_scrypt(password, salt, _COST, _BLOCK).hex()}"


def password_matches(password: str, stored: str) -> bool:
    """Tell whether this is the password that was hashed; takes the same time for every wrong one."""
    _, cost, block, salt, wanted = stored.split("$")
    found = _scrypt(password[:LONGEST], bytes.fromhex(salt), int(cost), int(block))
    return hmac.compare_digest(found, bytes.fromhex(wanted))


def _scrypt(password: str, salt: bytes, cost: int, block: int) -> bytes:
    secret = password.encode(errors="surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=cost, r=block, p=1, maxmem=_MEMORY, dklen=32)
