"""SuperJSON text, what JavaScript callers send: plain JSON and notes on what it stands for.

`{"json": {"when": "2030-01-01T00:00:00.000Z"}, "meta": {"values": {"when": ["Date"]}}}`
"""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from trigger_lite.sdk.codec import from_json
from trigger_lite.sdk.errors import PayloadError

_UNDEFINED: Final = object()
_NUMBERS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf, "-0": -0.0}
_REVIVE: Final[dict[str, Callable[[Any], Any]]] = {
    "Date": lambda text: datetime.fromisoformat(text),
    "bigint": lambda text: int(text),
    "set": lambda items: {_hashable(item) for item in items},
    "map": lambda pairs: {_hashable(key): value for key, value in pairs},
    "number": lambda text: _NUMBERS[text],
    "undefined": lambda _: _UNDEFINED,
}


def plain_member(text: str) -> Any:
    """Return the `json` member: the value with dates, sets and the like left as plain JSON."""
    packet = from_json(text)
    if not isinstance(packet, dict) or "json" not in packet:
        raise PayloadError("not SuperJSON: an object with a `json` member is expected", expected="SuperJSON")
    return packet["json"]


def revive(text: str) -> Any:
    """Return the value with dates, big integers, sets and maps brought back, without `undefined` members."""
    packet = from_json(text)
    holder = {"root": plain_member(text)}
    meta = packet.get("meta", {})
    if not isinstance(meta, dict):
        raise PayloadError("not SuperJSON: `meta` is no object")
    tree = meta.get("values")
    if tree is not None:
        _walk(tree, holder, ["root"], escaped=bool(meta.get("v")))
    return _without_undefined(holder["root"])


def _walk(tree: Any, holder: dict[str, Any], path: list[str], *, escaped: bool) -> None:
    """Children before their parent, as SuperJSON's own reader does."""
    match tree:
        case [note]:
            children: Any = {}
        case [note, dict(children)] | (dict(children) as note):
            pass
        case _:
            raise PayloadError(f"not SuperJSON: the note at `{'.'.join(path[1:])}` cannot be read")
    for key, child in children.items():
        _walk(child, holder, path + _split(key, escaped=escaped), escaped=escaped)
    if isinstance(note, str) and note in _REVIVE:
        _replace(holder, path, note)


def _split(key: str, *, escaped: bool) -> list[str]:
    """`a.b` is two steps, `a\\.b` one; since version 1 a backslash is written `\\\\`."""
    steps, current, index = [], "", 0
    while index < len(key):
        here = key[index : index + 2]
        if here == "\\." or (escaped and here == "\\\\"):
            current += here[1]
            index += 2
            continue
        if key[index] == ".":
            steps.append(current)
            current = ""
        else:
            current += key[index]
        index += 1
    return [*steps, current]


def _replace(holder: Any, path: list[str], note: str) -> None:
    try:
        for step in path[:-1]:
            holder = holder[int(step)] if isinstance(holder, list) else holder[step]
        last: Any = int(path[-1]) if isinstance(holder, list) else path[-1]
        holder[last] = _REVIVE[note](holder[last])
    except (KeyError, IndexError, TypeError, ValueError):
        where = ".".join(path[1:])
        raise PayloadError(f"not SuperJSON: nothing at `{where}` can be read as {note}") from None


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_hashable(item) for item in value)
    return value


def _without_undefined(value: Any) -> Any:
    if value is _UNDEFINED:
        return None
    if isinstance(value, dict):
        return {key: _without_undefined(item) for key, item in value.items() if item is not _UNDEFINED}
    if isinstance(value, list):
        return [_without_undefined(item) for item in value]
    return value
