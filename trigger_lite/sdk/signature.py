"""What a function's signature says about its payload."""

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Union

import msgspec

from trigger_lite.sdk.codec import is_pydantic
from trigger_lite.sdk.errors import DefinitionError

_CTX: Final = re.compile(r"(?:\w+\.)*Ctx(?:\s*\|\s*None)?")


def payload_signature(fn: Callable[..., Any]) -> tuple[inspect.Signature, str | None]:
    """Return the signature without its `ctx` parameter, and that parameter's name, if it has one.

    Raises DefinitionError for a signature that cannot be a task's.
    """
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise DefinitionError(f"{_name(fn)} is a generator; a task returns its result")
    signature = inspect.signature(fn)
    contexts = [parameter for parameter in signature.parameters.values() if _is_context(parameter)]
    if len(contexts) > 1:
        raise DefinitionError(f"{_name(fn)} asks for the context twice")
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise DefinitionError(f"{_name(fn)}: *{parameter.name} has no names to send; take a list instead")
    if contexts and contexts[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise DefinitionError(f"{_name(fn)}: write {contexts[0].name} as the first parameter")
    rest = [parameter for parameter in signature.parameters.values() if parameter not in contexts]
    return signature.replace(parameters=rest), contexts[0].name if contexts else None


def _name(fn: Callable[..., Any]) -> str:
    return f"{getattr(fn, '__qualname__', repr(fn))}()"


def _is_context(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return parameter.name == "ctx"
    if isinstance(annotation, str):
        return _CTX.fullmatch(annotation.strip("'\"")) is not None
    return any(_is_context_class(member) for member in (annotation, *typing.get_args(annotation)))


def _is_context_class(annotation: Any) -> bool:
    return getattr(annotation, "__qualname__", "") == "Ctx" and annotation.__module__.startswith(
        "trigger_lite."
    )


def type_hints(fn: Callable[..., Any]) -> dict[str, Any]:
    """Return resolved annotations of `fn`; raises DefinitionError naming one that cannot be resolved."""
    try:
        return typing.get_type_hints(fn, include_extras=True)
    except (NameError, AttributeError, TypeError) as error:
        raise DefinitionError(
            f"{_name(fn)}: an annotation cannot be read ({error}); import its type at the top of the file, "
            f"not under TYPE_CHECKING"
        ) from error


def is_whole_payload(parameter: inspect.Parameter, annotation: Any) -> bool:
    """Tell whether a lone parameter is the payload itself rather than one key of it."""
    if parameter.kind is parameter.VAR_KEYWORD:
        return False
    return parameter.name == "payload" or _is_object(annotation)


def _is_object(annotation: Any) -> bool:
    if annotation is Any:
        return True
    annotation = getattr(annotation, "__value__", annotation)
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _is_object(typing.get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        return all(_is_object(member) for member in members)
    kind = origin or annotation
    return isinstance(kind, type) and (
        issubclass(kind, Mapping | msgspec.Struct)
        or hasattr(kind, "__dataclass_fields__")
        or hasattr(kind, "__attrs_attrs__")
        or typing.is_typeddict(kind)
        or is_pydantic(kind)
    )


def is_async(fn: Callable[..., Any]) -> bool:
    """Tell whether calling `fn` gives a coroutine."""
    return inspect.iscoroutinefunction(fn)
