"""`trigger-lite sign-in`."""

import hashlib
import hmac
from pathlib import Path

import click
import msgspec

from trigger_lite.cli.failures import BadInput, CommandFailed
from trigger_lite.cli.options import collected, data_option, with_options
from trigger_lite.cli.output import as_json, print_json, say
from trigger_lite.cli.target import START_ONE, data_folder, local_connection

PATH = "/api/v1/sign-in-links"
_PURPOSE = b"cli"


class SignInLink(msgspec.Struct, frozen=True):
    """What the server answers: an address that signs in once."""

    url: str


@click.command(
    "sign-in",
    short_help="Print a new one-time link to the dashboard.",
    epilog="""\b
Examples:
  trigger-lite sign-in
  trigger-lite sign-in --data /var/lib/trigger-lite
\b
Works where the server's data folder can be read, while the server runs.
""",
)
@as_json
@with_options([data_option()])
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Print a new link that signs in to the dashboard once, for a lost password or a new browser."""
    folder = data_folder(collected(ctx, "server"))
    connection = local_connection(folder)
    if connection is None:
        raise BadInput(f"{folder} is no data folder of a server that was started; name it with --data")
    link = _new_link(connection.url, cli_credential(read_secret(folder)))
    if as_json:
        print_json({"url": link.url})
    else:
        click.echo(link.url)
        say("Open it in a browser; it works once.")


def read_secret(folder: Path) -> bytes:
    """Return the installation's secret; raises BadInput when it cannot be read."""
    path = folder / "secret"
    try:
        return bytes.fromhex(path.read_text().strip())
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}); run this as the user that runs the server"
        ) from error
    except ValueError as error:
        raise BadInput(f"{path} does not hold a secret of trigger-lite") from error


def cli_credential(secret: bytes) -> str:
    """Return what proves to the server that this command may read its data folder."""
    return hmac.digest(secret, _PURPOSE, hashlib.sha256).hex()


def _new_link(url: str, credential: str) -> SignInLink:
    from trigger_lite.sdk.errors import ApiError, ConnectionFailed
    from trigger_lite.sdk.transport import Sender

    sender = Sender(url, credential, attempts=3, timeout=10)
    try:
        return msgspec.json.decode(sender.send("POST", PATH), type=SignInLink)
    except ConnectionFailed as error:
        raise BadInput(f"No server answers at {url}; {START_ONE}") from error
    except ApiError as error:
        if error.status == 401:
            raise BadInput(
                f"The server at {url} serves another data folder; name the right one with --data"
            ) from error
        raise CommandFailed(f"{url} made no link: {error.message}") from error
    except msgspec.DecodeError as error:
        raise CommandFailed(f"{url} answered with something that is no sign-in link: {error}") from error
    finally:
        sender.close()
