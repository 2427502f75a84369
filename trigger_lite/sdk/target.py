"""Which server a task file talks to when it does not say.

`configure(…)`, else TRIGGER_LITE_URL and TRIGGER_LITE_KEY (or TRIGGER_API_URL and TRIGGER_SECRET_KEY), else
the `connection.json` that a local server leaves in its data folder.
"""

import os
import threading
from pathlib import Path
from typing import Final

import msgspec

from trigger_lite.sdk.batches import Batches
from trigger_lite.sdk.client import Client
from trigger_lite.sdk.errors import NotConfigured
from trigger_lite.sdk.idempotency import IdempotencyKeys
from trigger_lite.sdk.queues import Queues
from trigger_lite.sdk.runs import Runs
from trigger_lite.sdk.tokens import Tokens

_HELP: Final = (
    "call configure(url=…, key=…), set TRIGGER_LITE_URL and TRIGGER_LITE_KEY, "
    "or start a local server with `trigger-lite serve`"
)


class Connection(msgspec.Struct, frozen=True):
    """`connection.json` in the data folder: where the local server is, and a key per environment."""

    url: str
    keys: dict[str, str]


class DefaultTarget:
    """The server that `task.trigger`, `runs` and the other public names talk to."""

    def __init__(self) -> None:
        self._url: str | None = None
        self._key: str | None = None
        self._client: Client | None = None
        self._lock = threading.Lock()

    def configure(self, *, url: str | None, key: str | None) -> None:
        """Set the address, the key, or both; None leaves the one there was."""
        self._url = url or self._url
        self._key = key or self._key

    def reset(self) -> None:
        """Forget what `configure` was told, and close idle connections."""
        self._url = self._key = None
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def client(self) -> Client:
        """Return a client of the present target; the same one while it does not change."""
        url, key = self._find()
        with self._lock:
            client = self._client
            if client is not None and (client.url, client.key) == (url.rstrip("/"), key):
                return client
            if client is not None:
                client.close()
            self._client = Client(url, key)
            return self._client

    def _find(self) -> tuple[str, str]:
        url = self._url or os.environ.get("TRIGGER_LITE_URL") or os.environ.get("TRIGGER_API_URL")
        key = self._key or os.environ.get("TRIGGER_LITE_KEY") or os.environ.get("TRIGGER_SECRET_KEY")
        if url and key:
            return url, key
        connection = read_connection(Path(os.environ.get("TRIGGER_LITE_DATA") or "trigger-lite-data"))
        if connection is None:
            missing = "address and no key" if not (url or key) else "key" if url else "address"
            raise NotConfigured(f"no {missing} of a trigger-lite server: {_HELP}")
        if url and url.rstrip("/") != connection.url.rstrip("/"):
            # The local server's key is nobody else's business.
            raise NotConfigured(f"no key for {url}: {_HELP}")
        local = key or connection.keys.get("prod")
        if not local:
            raise NotConfigured(
                "connection.json of the local server has no prod key; pass one to configure()"
            )
        return url or connection.url, local


def read_connection(data: Path) -> Connection | None:
    """Return what the local server left in its data folder, or None; raises NotConfigured when unreadable."""
    path = data / "connection.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Connection)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise NotConfigured(f"{path} cannot be read: {error}") from error


_target: Final = DefaultTarget()
default_client: Final = _target.client
forget_configuration: Final = _target.reset


def configure(*, url: str | None = None, key: str | None = None) -> None:
    """Say which server this process talks to; what is not given stays as it was.

    >>> configure(url="https://jobs.example.com", key="tr_prod_abc123")
    """
    _target.configure(url=url, key=key)


batches: Final = Batches(default_client)
"""Batches of the configured server's environment."""
runs: Final = Runs(default_client)
"""Runs of the configured server's environment."""
queues: Final = Queues(default_client)
"""Queues of the configured server's environment."""
tokens: Final = Tokens(default_client)
"""Wait tokens of the configured server's environment."""
idempotency_keys: Final = IdempotencyKeys(default_client)
"""Idempotency keys of the configured server's environment."""
