"""Whole numbers as they arrive in queries and headers."""

from typing import Final

_MOST_DIGITS: Final = 18
"""What still fits a database's integers."""


def whole_number(text: str) -> int | None:
    """Return the number that ASCII digits write, or None for anything else and for what is too large."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None
