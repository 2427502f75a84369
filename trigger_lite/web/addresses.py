"""Addresses that can name nothing."""

from starlette.types import ASGIApp, Receive, Scope, Send

from trigger_lite.web.codec import reply_json


class RefuseNulls:
    """Answers 400 to an address with a null byte: no text has one, and PostgreSQL cannot be asked for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and ("\0" in scope["path"] or b"%00" in scope["query_string"]):
            refusal = reply_json({"error": "An address must not hold a null byte"}, status=400)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)
