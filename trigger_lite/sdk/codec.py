"""Python values to JSON and back: what msgspec knows, and the user's pydantic models and paths.

Nothing of pydantic is imported here: a model is known by the methods it brings.
"""

import os
import re
from typing import Any, Final

import msgspec

from trigger_lite.sdk.errors import PayloadError

_AT: Final = re.compile(r"(?P<what>.*?) - at `(?P<path>[^`]*)`", re.DOTALL)
_EXPECTED: Final = re.compile(r"Expected `(?P<expected>[^`]*)`.*?, got `(?P<got>[^`]*)`")


def is_pydantic(kind: Any) -> bool:
    """Tell whether `kind` is a pydantic model class."""
    return hasattr(kind, "model_validate_json") and hasattr(kind, "model_json_schema")


def is_path(kind: type[Any]) -> bool:
    """Tell whether `kind` is one of pathlib's classes, without importing pathlib."""
    return any(parent.__name__ == "PurePath" for parent in kind.__mro__)


def _write(value: Any) -> Any:
    if is_pydantic(type(value)):
        return msgspec.Raw(value.model_dump_json(by_alias=True).encode())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a value of type `{type(value).__qualname__}` cannot be written as JSON")


def _read(kind: type[Any], value: Any) -> Any:
    if kind is object or isinstance(value, kind):
        return value
    if is_pydantic(kind):
        return kind.model_validate_json(to_json(value))
    if is_path(kind) and isinstance(value, str):
        return kind(value)
    raise TypeError(f"Expected `{kind.__qualname__}`, got `{type(value).__name__}`")


def to_json(value: Any) -> str:
    """Return `value` as JSON text; raises TypeError when it holds something that JSON cannot."""
    try:
        return msgspec.json.encode(value, enc_hook=_write).decode()
    except (ValueError, OverflowError, RecursionError) as error:
        raise TypeError(f"cannot be written as JSON: {error}") from error


def plain(value: Any) -> Any:
    """Return what `value` looks like after a journey through JSON; raises TypeError like `to_json`."""
    return msgspec.json.decode(to_json(value))


def from_json(text: str) -> Any:
    """Return the plain value of JSON text; raises PayloadError when it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise PayloadError(f"not JSON: {error}", expected="JSON", got=text[:40]) from None


def convert(value: Any, kind: Any) -> Any:
    """Return plain `value` as a `kind`; raises PayloadError naming the place that does not fit."""
    try:
        return msgspec.convert(value, kind, str_keys=True, dec_hook=_read)
    except msgspec.ValidationError as error:
        raise payload_error(str(error)) from error


def payload_error(message: str) -> PayloadError:
    """Return the error for one of msgspec's sentences, taken apart."""
    at = _AT.fullmatch(message)
    expected = _EXPECTED.search(message)
    return PayloadError(
        message,
        path=at["path"] if at else "$",
        expected=expected["expected"] if expected else "",
        got=expected["got"] if expected else "",
    )


class SchemaWriter:
    """Writes JSON Schema; models that bring their own schema have its definitions collected."""

    def __init__(self) -> None:
        self._definitions: dict[str, Any] = {}

    def schema(self, kind: Any) -> dict[str, Any]:
        """Return the JSON Schema of `kind`, self-contained; TypeError for a type JSON has no words for."""
        (schema,), definitions = msgspec.json.schema_components(
            [kind], schema_hook=self._hook, ref_template="#/$defs/{name}"
        )
        definitions = {**self._definitions, **definitions}
        name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
        if name in definitions and f'"#/$defs/{name}"' not in to_json(definitions):
            schema = definitions.pop(name)
        return {**schema, "$defs": definitions} if definitions else schema

    def _hook(self, kind: type[Any]) -> dict[str, Any]:
        if is_pydantic(kind):
            schema: dict[str, Any] = kind.model_json_schema(ref_template="#/$defs/{model}")
            self._definitions.update(schema.pop("$defs", {}))
            return schema
        if is_path(kind):
            return {"type": "string", "format": "path"}
        if kind is object:
            return {"description": "any value"}
        raise TypeError(f"type `{kind.__qualname__}` cannot be read from JSON")
