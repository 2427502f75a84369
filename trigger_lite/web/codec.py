"""JSON in and out: typed messages by msgspec, everything untyped by orjson."""

from typing import Any, TypeVar

import msgspec
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from trigger_lite.protocol.errors import BadRequest, TooLarge
from trigger_lite.web.numbers import whole_number

T = TypeVar("T")
JSON = "application/json"
_FALSY_JSON = (b"null", b"false", b"0", b'""')
_encoder = msgspec.json.Encoder()


def reply(message: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with a typed message; absent fields are left out, never null."""
    return Response(_encoder.encode(message), status_code=status, media_type=JSON, headers=headers)


def reply_json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with plain values."""
    return Response(orjson.dumps(value), status_code=status, media_type=JSON, headers=headers)


async def read_body(request: Request, *, limit: int) -> bytes:
    """Return the body, whatever its content type. Raises TooLarge past `limit` bytes, reading no further."""
    announced = whole_number(request.headers.get("content-length", ""))
    if announced is not None and announced > limit:
        raise TooLarge("Request body too large")
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise TooLarge("Request body too large")
            parts.append(part)
    except ClientDisconnect:
        raise BadRequest("The request ended before its body did") from None
    return b"".join(parts)


async def read_message(request: Request, decoder: "msgspec.json.Decoder[T]", *, limit: int) -> T:
    """Decode the body into a message. Raises BadRequest with what is wrong and where."""
    body = await read_body(request, limit=limit)
    return decode(body, decoder)


def decode(body: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    text = body.strip()
    if not text:
        raise BadRequest("Request body is empty")
    if text in _FALSY_JSON:
        raise BadRequest("Invalid JSON")
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest("Invalid JSON") from error
    except RecursionError as error:
        raise BadRequest("Invalid JSON: it is nested too deeply") from error
