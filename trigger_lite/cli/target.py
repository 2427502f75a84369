"""Which server a command talks to, and with which key.

The address is --url, else TRIGGER_LITE_URL (or TRIGGER_API_URL), else that of the local server's
connection.json. The key is --key, else the one of --env, else TRIGGER_LITE_KEY (or TRIGGER_SECRET_KEY),
else the local server's prod key. The local server's keys are sent to its own address and nowhere else.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from trigger_lite.cli.failures import BadInput
from trigger_lite.cli.options import collected

if TYPE_CHECKING:
    from trigger_lite.sdk.target import Connection

DEFAULT_DATA: Final = "trigger-lite-data"
START_ONE: Final = "start one with 'trigger-lite serve'"
_KEY: Final = re.compile(r"tr_([a-z]+)_\w+")


class Target(msgspec.Struct, frozen=True):
    """A server's address, a key, and the slug of the environment that the key's shape names, if it does."""

    url: str
    key: str
    environment: str | None

    def run_page(self, run_id: str) -> str:
        """Return the address of a run's page in the dashboard."""
        return self.page(f"runs/{run_id}")

    def page(self, path: str) -> str:
        """Return the address of a page of this environment in the dashboard."""
        return f"{self.url}/{self.environment or 'prod'}/{path}"


def find_target(ctx: click.Context, *, environment: str = "prod") -> Target:
    """Return the server that the options of this command and the environment variables name.

    `environment` is the one to use of a local server when nothing else says it.
    Raises BadInput when no server or no key is named, or when what is named does not fit together.
    """
    given = collected(ctx, "server")
    connection = local_connection(data_folder(given))
    url = _url(given, connection)
    key = given.get("key") or _key(given.get("env"), url, connection, environment)
    if not _KEY.fullmatch(key):
        raise BadInput(
            f"{_masked(key)} is not a key: keys begin with tr_dev_ or tr_prod_. {_where_keys_are(url)}"
        )
    wanted = given.get("env")
    if wanted and environment_of(key) != wanted:
        raise BadInput(
            f"--env is {wanted}, but --key is a key of {environment_of(key)}; leave one of them out"
        )
    return Target(url, key, environment_of(key))


def data_folder(given: Mapping[str, Any]) -> Path:
    """Return the data folder of the local server."""
    return Path(given.get("data") or os.environ.get("TRIGGER_LITE_DATA") or DEFAULT_DATA)


def local_connection(data: Path) -> "Connection | None":
    """Return what the local server left in its data folder, or None; raises BadInput when unreadable."""
    if not (data / "connection.json").exists():
        return None
    from trigger_lite.sdk.errors import NotConfigured
    from trigger_lite.sdk.target import read_connection

    try:
        return read_connection(data)
    except NotConfigured as error:
        raise BadInput(f"{error}; it is written anew when the server starts") from error


def environment_of(key: str) -> str | None:
    """Return the environment that a key's shape names."""
    match = _KEY.fullmatch(key)
    return match[1] if match else None


def _url(given: Mapping[str, Any], connection: "Connection | None") -> str:
    url = given.get("url") or _variable("TRIGGER_LITE_URL", "TRIGGER_API_URL")
    url = url or (connection and connection.url)
    if not url:
        raise BadInput(
            f"No server is known here: there is no {data_folder(given)}/connection.json and no --url; "
            f"{START_ONE}, or give --url and --key"
        )
    if not re.match(r"https?://[^/\s]+", url):
        raise BadInput(f"{url!r} is not a server's address; write for example http://127.0.0.1:3040")
    return str(url).rstrip("/")


def _key(wanted: str | None, url: str, connection: "Connection | None", default: str) -> str:
    variable = _variable("TRIGGER_LITE_KEY", "TRIGGER_SECRET_KEY")
    if variable and wanted in (None, environment_of(variable)):
        return variable
    if connection is None or connection.url.rstrip("/") != url:
        if variable:
            raise BadInput(
                f"--env is {wanted}, but TRIGGER_LITE_KEY is a key of {environment_of(variable)}; give --key"
            )
        raise BadInput(f"No key for {url}: give --key or set TRIGGER_LITE_KEY. {_where_keys_are(url)}")
    name = wanted or default
    key = connection.keys.get(name)
    if not key:
        raise BadInput(
            f"The local server has no environment {name}; it has {', '.join(sorted(connection.keys))}"
        )
    return key


def _variable(own: str, official: str) -> str | None:
    """Return a variable of ours, or else the one that Trigger.dev's own tools read."""
    return os.environ.get(own) or os.environ.get(official)


def _where_keys_are(url: str) -> str:
    return f"'trigger-lite keys', run where the server of {url} runs, prints them."


def _masked(key: str) -> str:
    return repr(key if len(key) <= 12 else f"{key[:8]}…{key[-2:]}")
