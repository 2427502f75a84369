"""Run metadata: a JSON object changed by small operations, the same on both ends (management-api 9.2)."""

from typing import Any, Final, Literal

import msgspec

_FORBIDDEN: Final = frozenset({"__proto__", "constructor", "prototype"})


class Operation(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One change. A key that starts with `$.` is a path; `delete` is always top-level."""

    type: Literal["set", "delete", "append", "remove", "increment", "update"]
    key: str | None = None
    value: Any = None


def apply_operations(metadata: dict[str, Any], operations: list[Operation]) -> dict[str, Any]:
    """Return metadata with the operations applied in order; the argument is not changed.

    Raises ValueError when a key touches a name that a JavaScript reader must not see.
    """
    result: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(metadata))
    for operation in operations:
        result = _apply(result, operation)
    return result


def _apply(metadata: dict[str, Any], operation: Operation) -> dict[str, Any]:
    if operation.type == "update":
        if not isinstance(operation.value, dict):
            raise ValueError("metadata update needs an object")
        return dict(operation.value)
    if not operation.key:
        raise ValueError(f"metadata {operation.type} needs a key")
    if operation.type == "delete":
        metadata.pop(operation.key, None)
        return metadata
    path = operation.key[2:].split(".") if operation.key.startswith("$.") else [operation.key]
    if not _FORBIDDEN.isdisjoint(path):
        raise ValueError(f"metadata key {operation.key!r} is not allowed")
    holder = metadata
    for name in path[:-1]:
        child = holder.get(name)
        if not isinstance(child, dict):
            child = holder[name] = {}
        holder = child
    _change(holder, path[-1], operation)
    return metadata


def _change(holder: dict[str, Any], name: str, operation: Operation) -> None:
    present = holder.get(name)
    match operation.type:
        case "set":
            holder[name] = operation.value
        case "append":
            items = present if isinstance(present, list) else [] if present is None else [present]
            holder[name] = [*items, operation.value]
        case "remove":
            if isinstance(present, list):
                holder[name] = [item for item in present if item != operation.value]
        case "increment":
            amount = operation.value if isinstance(operation.value, int | float) else 0
            start = present if isinstance(present, int | float) and not isinstance(present, bool) else 0
            holder[name] = start + amount
