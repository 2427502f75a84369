"""A new one-time link, for whoever can read the data folder: `trigger-lite sign-in`."""

import hmac
import secrets
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trigger_lite.engine.accounts import make_sign_in_link
from trigger_lite.protocol.errors import Unauthorized
from trigger_lite.store.store import Store
from trigger_lite.web.auth import bearer
from trigger_lite.web.codec import reply_json
from trigger_lite.web.services import services_of

_PURPOSE: Final = b"cli"


def may_read_folder(secret: bytes, credential: str) -> bool:
    """Tell whether a credential proves knowledge of the installation's secret."""
    return hmac.compare_digest(credential.encode(), hmac.digest(secret, _PURPOSE, "sha256").hex().encode())


async def new_link(store: Store, public_url: str) -> str:
    """Return the address of a fresh one-time link."""
    token = secrets.token_urlsafe(32)
    await store.write(make_sign_in_link, token)
    return f"{public_url}/sign-in?token={token}"


async def make_link(request: Request) -> Response:
    services = services_of(request)
    if not may_read_folder(services.secret, bearer(request)):
        raise Unauthorized("Only who can read the data folder may ask for a sign-in link")
    return reply_json({"url": await new_link(services.store, services.public_url)})


ROUTES = [Route("/api/v1/sign-in-links", make_link, methods=["POST"])]
