"""The first start: one organisation, one project, two environments, and the keys of environments."""

import hashlib
import hmac
from typing import Final

from trigger_lite.engine.queues import set_environment_limit
from trigger_lite.store import environments
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.marks import find_mark, put_mark
from trigger_lite.store.transaction import Tx

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY_LENGTH: Final = 24
_LIMIT_MARK: Final = "concurrency"
"""The limit that the last start was told."""
_PREFIX: Final = {"DEVELOPMENT": "tr_dev_", "PRODUCTION": "tr_prod_"}


def environment_key(secret: bytes, environment: EnvironmentRow) -> str:
    """Return an environment's secret key, derived from the server's secret: the database holds only its hash.

    Shaped `tr_<env>_` and 24 letters and digits, never `tr_<env>_sk_…` (management-api 2).
    """
    message = f"environment-key:{environment.id}:{environment.key_generation}".encode()
    number = int.from_bytes(hmac.digest(secret, message, "sha256"))
    body = []
    for _ in range(_KEY_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        body.append(_ALPHABET[digit])
    return _PREFIX[environment.type] + "".join(body)


def key_hash(key: str) -> str:
    """Return what the database keeps of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def prepare_installation(
    tx: Tx, secret: bytes, concurrency_limit: int, max_queue_length: int | None = None
) -> list[EnvironmentRow]:
    """Make what a first start needs, and return the environments.

    A later start changes nothing but what it is told anew: another secret makes other keys, another
    concurrency limit or length of queues holds from now on. A limit that was changed meanwhile stays as long
    as the start is told the same.
    """
    if not environments.list_environments(tx):
        organization_id = environments.insert_organization(tx, slug="default", name="Default")
        project_id = environments.insert_project(
            tx, organization_id, ref=f"proj_{_letters(secret)}", slug="default", name="Default"
        )
        for slug, kind in (("dev", "DEVELOPMENT"), ("prod", "PRODUCTION")):
            environments.insert_environment(
                tx, project_id, slug=slug, kind=kind, concurrency_limit=concurrency_limit
            )
    present = environments.list_environments(tx)
    is_new_limit = find_mark(tx, _LIMIT_MARK) != str(concurrency_limit)
    if is_new_limit:
        put_mark(tx, _LIMIT_MARK, str(concurrency_limit))
    for environment in present:
        hashed = key_hash(environment_key(secret, environment))
        if hashed != environment.key_hash:
            environments.update_key_hash(tx, environment.id, hashed)
        if is_new_limit and environment.concurrency_limit != concurrency_limit:
            set_environment_limit(tx, environment.id, concurrency_limit)
        if environment.max_queue_length != max_queue_length:
            environments.update_max_queue_length(tx, environment.id, max_queue_length)
    return environments.list_environments(tx)


def _letters(secret: bytes) -> str:
    """Return 20 lower-case letters for the project's reference (management-api 2)."""
    number = int.from_bytes(hmac.digest(secret, b"project-ref", "sha256"))
    return "".join(chr(ord("a") + (number // 26**i) % 26) for i in range(20))
