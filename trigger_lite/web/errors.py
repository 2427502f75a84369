"""One table from refusals to HTTP (management-api 1.3)."""

import logging
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from trigger_lite.protocol.errors import (
    BadRequest,
    DatabaseFailed,
    Forbidden,
    LengthRequired,
    NotFound,
    Refusal,
    ServerBusy,
    TooLarge,
    TooManyAtOnce,
    Unauthorized,
    Unprocessable,
    UnsupportedMedia,
)
from trigger_lite.web.codec import reply_json

logger = logging.getLogger(__name__)

# A header tells official clients not to ask again for what will not change: a lookup of a missing run
# would otherwise take them nine seconds.
_FINAL: Final = {"x-should-retry": "false"}
_TABLE: Final[tuple[tuple[type[Refusal], int, dict[str, str]], ...]] = (
    (Unauthorized, 401, {}),
    (Forbidden, 403, {}),
    (NotFound, 404, _FINAL),
    (LengthRequired, 411, {}),
    (TooLarge, 413, {}),
    (UnsupportedMedia, 415, {}),
    (BadRequest, 400, {}),
    (Unprocessable, 422, {}),
    (TooManyAtOnce, 429, _FINAL),
    (ServerBusy, 503, {"retry-after": "1"}),
    (DatabaseFailed, 503, {"retry-after": "5"}),
)


def refusal_status(refusal: Refusal) -> tuple[int, dict[str, str]]:
    """Return the HTTP status and headers of a refusal."""
    for kind, status, headers in _TABLE:
        if isinstance(refusal, kind):
            return status, headers
    return 400, {}


async def refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    status, headers = refusal_status(error)
    body = {"error": error.message} if error.code is None else {"error": error.message, "code": error.code}
    return reply_json(body, status=status, headers=headers)


async def http_error(_request: Request, error: Exception) -> Response:
    """Answer what the router refuses: an unknown path, a method a path does not take."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 404:
        headers |= _FINAL
    text = {404: "Not found", 405: "Method not allowed"}.get(error.status_code, error.detail)
    return reply_json({"error": text}, status=error.status_code, headers=headers)


async def unexpected(request: Request, error: Exception) -> Response:
    """Answer a defect without showing its insides; the log has them."""
    logger.error("unexpected error in %s %s", request.method, request.url.path, exc_info=error)
    return reply_json({"error": "Internal Server Error"}, status=500)
