"""What a task returns: value to packet and back."""

from typing import Any

from trigger_lite.protocol.tasks import MAX_OUTPUT_BYTES
from trigger_lite.sdk.codec import convert, from_json, to_json
from trigger_lite.sdk.errors import PayloadError
from trigger_lite.sdk.payload import JSON, SUPERJSON, TEXT
from trigger_lite.sdk.superjson import plain_member


def encode_output(value: Any) -> tuple[str | None, str]:
    """Return text and its type for what a task returned; None has no text.

    Raises TypeError when it cannot be written as JSON or is larger than an output may be.
    """
    if value is None:
        return None, JSON
    text, kind = (value, TEXT) if isinstance(value, str) else (to_json(value), JSON)
    if len(text) * 4 > MAX_OUTPUT_BYTES and len(text.encode()) > MAX_OUTPUT_BYTES:
        raise TypeError(f"the output is larger than {MAX_OUTPUT_BYTES} bytes; store it and return where")
    return text, kind


def decode_output(output: str | None, output_type: str | None, annotation: Any) -> Any:
    """Return the value of a packet as the type the task says it returns.

    Raises PayloadError when it does not fit, as after a change of the task's code.
    """
    if output is None:
        value = None
    elif output_type == TEXT:
        value = output
    else:
        value = plain_member(output) if output_type == SUPERJSON else from_json(output)
    if annotation is None or annotation is type(None) or value is None:
        return value
    try:
        return convert(value, annotation)
    except PayloadError as error:
        raise PayloadError(
            f"the result does not fit: {error}", path=error.path, expected=error.expected, got=error.got
        ) from error
