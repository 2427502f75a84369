"""`trigger-lite version`."""

import platform

import click

from trigger_lite.cli.output import as_json, print_json
from trigger_lite.protocol.version import __version__


@click.command(
    "version",
    epilog="""\b
Examples:
  trigger-lite version
  trigger-lite version --json
""",
)
@as_json
def command(*, as_json: bool) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__, "python": platform.python_version()})
    else:
        click.echo(f"trigger-lite {__version__}")
