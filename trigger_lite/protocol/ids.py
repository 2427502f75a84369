"""Public identifiers: `<prefix>_<body>`, lower case, sorting by time as plain strings.

A body is 24 base32hex digits: a 48-bit millisecond time and 72 random bits. Within one millisecond
the random part counts up, so ids made by one source never sort backwards (engine-behaviours ST-07).
"""

import secrets
from collections.abc import Iterator
from typing import Final

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"
_BODY_LENGTH: Final = 24
_RANDOM_BITS: Final = 72
_SNAPSHOT_DIGITS: Final = 4
SNAPSHOT_PREFIX: Final = "snapshot_"

# Two digits at a time: half the divisions of encoding digit by digit.
_PAIRS: Final = tuple(a + b for a in _DIGITS for b in _DIGITS)


def _encode(number: int, digits: int) -> str:
    pairs = []
    for _ in range(digits // 2):
        pairs.append(_PAIRS[number & 1023])
        number >>= 10
    pairs.reverse()
    return "".join(pairs)


def _random_numbers() -> Iterator[int]:
    """Yield random numbers of 64 bits. Many at once: asking the system costs more than all else of an id."""
    while True:
        yield from memoryview(secrets.token_bytes(1024)).cast("Q")


class IdSource:
    """Makes ids that sort in the order they were made, whatever the wall clock does.

    One source belongs to one thread: it holds no lock.
    """

    def __init__(self) -> None:
        self._last = 0
        self._chance = _random_numbers()

    def new(self, prefix: str, now_ms: int) -> str:
        """Return a new id such as `run_06fd…`; `now_ms` is Unix time in milliseconds."""
        candidate = (now_ms << _RANDOM_BITS) | next(self._chance)
        self._last = candidate if candidate > self._last else self._last + 1
        return f"{prefix}_{_encode(self._last, _BODY_LENGTH)}"


def snapshot_id(run_id: str, seq: int) -> str:
    """Name the `seq`-th snapshot of a run.

    Derived, not stored: snapshots of one run sort in creation order by construction.
    """
    return f"{SNAPSHOT_PREFIX}{run_id.partition('_')[2]}{_encode(seq, _SNAPSHOT_DIGITS)}"


def snapshot_seq(run_id: str, snapshot: str) -> int | None:
    """Return which snapshot of `run_id` is named, or None when it names another run's or none."""
    body = snapshot.removeprefix(SNAPSHOT_PREFIX + run_id.partition("_")[2])
    if len(body) != _SNAPSHOT_DIGITS:
        return None
    try:
        return int(body, 32)
    except ValueError:
        return None


def first_id(prefix: str, at_ms: int) -> str:
    """Return a text that sorts before ids made at or after `at_ms` (Unix ms) and after all earlier ones."""
    return f"{prefix}_{_encode(max(0, at_ms) << _RANDOM_BITS, _BODY_LENGTH)}"


def last_id_like(prefix: str, beginning: str) -> str:
    """Return the highest id that begins with `beginning`, such as `run_06fd`."""
    return beginning.ljust(len(prefix) + 1 + _BODY_LENGTH, _DIGITS[-1])


def is_id(prefix: str, text: str) -> bool:
    """Tell whether `text` could be an id with this prefix (lower-case letters and digits, one underscore)."""
    head, separator, body = text.partition("_")
    return head == prefix and separator == "_" and 0 < len(body) <= 64 and body.isascii() and body.isalnum()
