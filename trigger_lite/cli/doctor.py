"""`trigger-lite doctor`."""

import asyncio
import os
from typing import TYPE_CHECKING, Any

import click

from trigger_lite.cli.failures import BadInput
from trigger_lite.cli.options import Collected, collected, data_option, with_options
from trigger_lite.cli.output import as_json, dim, print_json, printable
from trigger_lite.cli.target import data_folder

if TYPE_CHECKING:
    from trigger_lite.cli.examination import Finding, Installation

FOUND = 1


def _url_option() -> click.Option:
    return Collected(
        "server",
        "--database-url",
        metavar="URL",
        help_text="PostgreSQL URL, for a server that has its data there.  [TRIGGER_LITE_DATABASE_URL]",
    )


@click.command(
    "doctor",
    short_help="Look whether an installation is sound, and put it right.",
    epilog="""\b
Examples:
  trigger-lite doctor                      look; the server may run or not
  trigger-lite doctor --fix                put right what can be; the server must be stopped
  trigger-lite doctor --json
\b
Exit codes: 0 all is well, 1 something was found, 2 it could not be looked at.
""",
)
@click.option("--fix", is_flag=True, help="Put right what can be put right.")
@as_json
@with_options([data_option(), _url_option()])
@click.pass_context
def command(ctx: click.Context, *, fix: bool, as_json: bool) -> None:
    """Look at files, disk, clock and databases, and at what must hold between runs, queues and waits."""
    given = collected(ctx, "server")
    ctx.exit(asyncio.run(_doctor(given, fix=fix, as_json=as_json)))


async def _doctor(given: dict[str, Any], *, fix: bool, as_json: bool) -> int:
    from trigger_lite.cli.examination import examine, find_server, put_right
    from trigger_lite.store.database import DatabaseUnusable
    from trigger_lite.store.folder import FolderUnusable
    from trigger_lite.store.migrate import DatabaseTooNew

    try:
        installation = _installation(given)
        server = await find_server(installation)
        if fix:
            _refuse_while_served(server)
            await put_right(installation)
        findings = await examine(installation, is_served=server is not None, most=_most())
    except (DatabaseUnusable, DatabaseTooNew, FolderUnusable, OSError) as error:
        raise BadInput(str(error)) from error
    if as_json:
        _print_data(findings, server)
    else:
        _print_page(findings, server, is_fixed=fix)
    return 0 if all(finding.ok for finding in findings) else FOUND


def _installation(given: dict[str, Any]) -> "Installation":
    from trigger_lite.cli.examination import Installation

    folder = data_folder(given)
    url = given.get("database_url") or os.environ.get("TRIGGER_LITE_DATABASE_URL")
    found = Installation(folder, url)
    if not found.is_there:
        raise BadInput(f"{folder} is no data folder of a server that was started; name it with --data")
    return found


def _refuse_while_served(server: str | None) -> None:
    if server is not None:
        raise BadInput(f"A server runs on this installation ({server}). Stop it first, then use --fix.")


def _most() -> int | None:
    """Return how large the data may be by the server's own variable."""
    from trigger_lite.config import Settings, size_bytes

    text = os.environ.get("TRIGGER_LITE_KEEP_DATA") or Settings().keep_data
    try:
        return size_bytes(text)
    except ValueError as error:
        raise BadInput(f"TRIGGER_LITE_KEEP_DATA is {text!r}, but must be {error}") from None


# ---- printing ---------------------------------------------------------------------------------------


def _print_data(findings: "list[Finding]", server: str | None) -> None:
    import msgspec

    ok = all(finding.ok for finding in findings)
    print_json({"ok": ok, "isServed": server is not None, "checks": msgspec.to_builtins(findings)})


def _print_page(findings: "list[Finding]", server: str | None, *, is_fixed: bool) -> None:
    click.echo(dim(f"A server runs on it ({server})." if server else "No server runs on it now."))
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        _print_finding(finding, width)
    found = [finding for finding in findings if not finding.ok]
    click.echo()
    if not found:
        click.echo(f"All {len(findings)} checks are well.")
        return
    click.echo(f"{len(found)} of {len(findings)} checks found something.")
    if any(finding.is_fixable for finding in found) and not is_fixed:
        when = "Stop the server, then run" if server else "Run"
        click.echo(f"{when} 'trigger-lite doctor --fix' to put right what can be.")


def _print_finding(finding: "Finding", width: int) -> None:
    mark = click.style("✓", fg="green") if finding.ok else click.style("✗", fg="red", bold=True)
    number = f"{finding.count} " if finding.count else ""
    click.echo(f"{mark} {finding.name.ljust(width)}  {number}{printable(finding.text)}")
    indent = " " * (width + 4)
    for example in finding.examples:
        click.echo(indent + dim(printable(example)))
    if finding.remedy:
        label = "--fix:" if finding.is_fixable else "next:"
        click.echo(f"{indent}{click.style(label, fg='yellow')} {finding.remedy}")
