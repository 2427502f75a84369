"""Who is calling: environment keys in, environments out; and the public tokens handed to callers."""

import time
from collections.abc import Iterable

from starlette.requests import HTTPConnection

from trigger_lite.engine.installation import environment_key, key_hash
from trigger_lite.protocol.errors import Unauthorized
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.web.tokens import TOKEN_SECONDS, NoToken, check_token, environment_named, sign_token


class Keyring:
    """The environments by the hash of their keys, and the keys themselves, derived from the secret."""

    def __init__(self, secret: bytes, environments: Iterable[EnvironmentRow]) -> None:
        self._by_hash = {environment.key_hash: environment for environment in environments}
        self._by_slug = {environment.slug: environment for environment in self._by_hash.values()}
        self._keys = {e.id: environment_key(secret, e) for e in self._by_hash.values()}

    def find(self, key: str) -> EnvironmentRow | None:
        """The environment of a secret key. Keys are compared by hash, so timing tells nothing of them."""
        return self._by_hash.get(key_hash(key))

    def by_slug(self, slug: str) -> EnvironmentRow | None:
        return self._by_slug.get(slug)

    def environments(self) -> list[EnvironmentRow]:
        return list(self._by_slug.values())

    def key_of(self, environment: EnvironmentRow) -> str:
        return self._keys[environment.id]

    def public_token(
        self, environment: EnvironmentRow, scopes: list[str], *, seconds: int = TOKEN_SECONDS
    ) -> str:
        """Return a token that may do just this, for an hour unless `seconds` says (management-api 3.2)."""
        key = self._keys[environment.id]
        return sign_token(key, environment.id, scopes, now=int(time.time()), seconds=seconds)

    def of_public_token(self, token: str, scope: str) -> EnvironmentRow:
        """Return the environment of a public token that may do `scope`. Raises Unauthorized."""
        try:
            known = {environment.id: environment for environment in self.environments()}
            environment = known.get(environment_named(token))
            if environment is None:
                raise NoToken("Invalid Public Access Token")
            check_token(token, self._keys[environment.id], scope=scope, now=int(time.time()))
        except NoToken as refused:
            raise Unauthorized(str(refused)) from None
        return environment


def bearer(connection: HTTPConnection) -> str:
    """Return the bearer credential of a request, or an empty text."""
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def environment_of(connection: HTTPConnection, keys: Keyring) -> EnvironmentRow:
    """Return the environment whose secret key the caller sent. Raises Unauthorized."""
    credential = bearer(connection)
    if not credential:
        raise Unauthorized("Invalid or Missing API key")
    environment = keys.find(credential)
    if environment is None:
        raise Unauthorized("Invalid API key")
    return environment


def environment_allowing(connection: HTTPConnection, keys: Keyring, scope: str) -> EnvironmentRow:
    """Return the environment whose secret key the caller sent, or a public token that may do this one thing.

    Raises Unauthorized.
    """
    credential = bearer(connection)
    if credential.startswith("ey"):  # what every token begins with, and no key
        return keys.of_public_token(credential, scope)
    return environment_of(connection, keys)
