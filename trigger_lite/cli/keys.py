"""`trigger-lite keys`."""

from pathlib import Path

import click
import msgspec

from trigger_lite.cli.failures import BadInput
from trigger_lite.cli.options import collected, data_option, with_options
from trigger_lite.cli.output import as_json, dim, print_json
from trigger_lite.cli.target import data_folder, local_connection


@click.command(
    "keys",
    epilog="""\b
Examples:
  trigger-lite keys
  export TRIGGER_LITE_KEY=$(trigger-lite keys --json | jq -r .keys.dev)
""",
)
@as_json
@with_options([data_option()])
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Print the address and the keys of the server on this machine."""
    folder = data_folder(collected(ctx, "server"))
    connection = local_connection(folder)
    if connection is None:
        raise BadInput(
            f"{_shown(folder)} is no data folder of a server that was started; name it with --data"
        )
    if as_json:
        print_json(msgspec.to_builtins(connection))
        return
    click.echo(f"{dim('TRIGGER_LITE_URL=')}{connection.url}")
    for environment, key in sorted(connection.keys.items()):
        click.echo(f"{dim('TRIGGER_LITE_KEY=')}{key}  {dim(f'# {environment}')}")


def _shown(folder: Path) -> str:
    return str(folder) if folder.is_absolute() else f"./{folder}"
