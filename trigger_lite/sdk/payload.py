"""The signature is the payload: arguments to JSON text and back.

Parameters become the keys of a JSON object. A lone parameter is the whole payload when it is typed as an
object (a dataclass, msgspec.Struct, pydantic or attrs model, TypedDict, dict, Any) or is named `payload`.
A task without parameters takes no notice of its payload.
"""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from trigger_lite.protocol.tasks import MAX_PAYLOAD_BYTES
from trigger_lite.sdk.codec import SchemaWriter, convert, from_json, plain, to_json
from trigger_lite.sdk.errors import DefinitionError, PayloadError, suggest
from trigger_lite.sdk.signature import is_whole_payload, payload_signature, type_hints
from trigger_lite.sdk.superjson import plain_member, revive

JSON: Final = "application/json"
SUPERJSON: Final = "application/super+json"
TEXT: Final = "text/plain"


class PayloadCodec:
    """Encodes, decodes and describes the payload of one function; `name` opens its error messages."""

    def __init__(self, fn: Callable[..., Any], name: str) -> None:
        self._name = name
        self._signature, _ = payload_signature(fn)
        hints = type_hints(fn)
        parameters = list(self._signature.parameters.values())
        self._extra = next((p for p in parameters if p.kind is p.VAR_KEYWORD), None)
        extra_hint: Any = hints.get(self._extra.name, Any) if self._extra else Any
        self._extra_type: Any = types.GenericAlias(dict, (str, extra_hint))
        self._named = [p for p in parameters if p is not self._extra]
        self._hints = {p.name: hints.get(p.name, Any) for p in self._named}
        first = parameters[0] if len(parameters) == 1 else None
        annotation = hints.get(first.name, object) if first else None
        self._whole = first if first is not None and is_whole_payload(first, annotation) else None
        self._type: Any = self._hints[self._whole.name] if self._whole else self._object_type()
        try:
            msgspec.json.Decoder(self._type, dec_hook=lambda kind, value: value)
        except TypeError as error:
            raise DefinitionError(f"{name}: {error}") from error

    def _object_type(self) -> Any:
        # Defaults are the function's own business: absent keys stay UNSET and are not passed on.
        fields: list[Any] = [
            (p.name, self._hints[p.name], *(() if p.default is p.empty else (UNSET,))) for p in self._named
        ]
        return msgspec.defstruct(self._name, fields, kw_only=True, forbid_unknown_fields=True)

    def encode(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Return the JSON text of a call's arguments.

        Raises PayloadError when they do not fit the signature, in number or in type, or are too large.
        """
        try:
            bound = self._signature.bind(*args, **kwargs)
            text = to_json(self._value(bound))
        except TypeError as error:
            raise PayloadError(f"{self._name}: {error}") from error
        if len(text) * 4 > MAX_PAYLOAD_BYTES and len(text.encode()) > MAX_PAYLOAD_BYTES:
            raise PayloadError(f"{self._name}: the payload is larger than {MAX_PAYLOAD_BYTES} bytes")
        self.decode(text, JSON)
        return text

    def _value(self, bound: inspect.BoundArguments) -> Any:
        if self._whole is not None:
            bound.apply_defaults()
            return bound.arguments[self._whole.name]
        values = dict(bound.arguments)
        if self._extra is not None:
            values.update(values.pop(self._extra.name, {}))
        return values

    def decode(self, payload: str, payload_type: str) -> inspect.BoundArguments:
        """Return the arguments (without `ctx`) that a payload of a run stands for.

        Raises PayloadError naming the place that does not fit.
        """
        if not self._signature.parameters:
            return self._bound({})
        try:
            return self._read(payload, payload_type)
        except PayloadError as error:
            raise PayloadError(
                f"{self._name}: {error}", path=error.path, expected=error.expected, got=error.got
            ) from error.__cause__

    def _read(self, payload: str, payload_type: str) -> inspect.BoundArguments:
        if payload_type == TEXT:
            return self._bound(self._arguments(payload))
        if payload_type != SUPERJSON:
            return self._bound(self._arguments(from_json(payload) if payload else self._absent()))
        try:
            return self._bound(self._arguments(revive(payload)))
        except PayloadError as error:
            # A parameter typed `str` may take what JavaScript sent as a Date: as the text it is in JSON.
            try:
                return self._bound(self._arguments(plain_member(payload)))
            except PayloadError:
                raise error from None

    def _absent(self) -> Any:
        return None if self._whole is not None else {}

    def _arguments(self, value: Any) -> dict[str, Any]:
        whole = self._whole
        if whole is not None:
            if value is None and whole.default is not whole.empty:
                return {}
            return {whole.name: convert(value, self._type)}
        if not isinstance(value, dict):
            raise PayloadError(
                f"Expected an object with {self._keys()}, got `{_json_name(value)}`",
                expected="object",
                got=_json_name(value),
            )
        known = {key: item for key, item in value.items() if key in self._hints}
        extra = {key: item for key, item in value.items() if key not in self._hints}
        arguments = self._named_arguments(known)
        if self._extra is not None:
            arguments[self._extra.name] = convert(extra, self._extra_type)
        elif extra:
            key = str(next(iter(extra)))
            raise PayloadError(f"unknown key `{key}`; {suggest(key, self._hints)}", path=f"$.{key}", got=key)
        return arguments

    def _named_arguments(self, known: dict[str, Any]) -> dict[str, Any]:
        for parameter in self._named:
            if parameter.default is parameter.empty and parameter.name not in known:
                raise PayloadError(
                    f"the payload has no `{parameter.name}`", path=f"$.{parameter.name}", got="nothing"
                )
        struct = convert(known, self._type)
        values = {name: getattr(struct, name) for name in self._hints}
        return {name: value for name, value in values.items() if value is not UNSET}

    def _keys(self) -> str:
        return ", ".join(f"`{name}`" for name in self._hints) or "any keys"

    def _bound(self, arguments: dict[str, Any]) -> inspect.BoundArguments:
        bound = inspect.BoundArguments(self._signature, arguments)
        bound.apply_defaults()
        return bound

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the payload; raises DefinitionError for a type JSON has no words for."""
        try:
            schema = SchemaWriter().schema(self._type)
        except TypeError as error:
            raise DefinitionError(f"{self._name}: {error}") from error
        if self._extra is not None:
            schema.pop("additionalProperties", None)
        for parameter in self._named if self._whole is None else ():
            if parameter.default is not parameter.empty:
                _add_default(schema["properties"][parameter.name], parameter.default)
        return schema


def _add_default(schema: dict[str, Any], default: Any) -> None:
    try:
        schema["default"] = plain(default)
    except TypeError:
        return  # a default that JSON cannot show is still the function's own business


def _json_name(value: Any) -> str:
    names = {
        type(None): "null",
        bool: "boolean",
        int: "number",
        float: "number",
        str: "string",
        list: "array",
    }
    return names.get(type(value), type(value).__name__)
