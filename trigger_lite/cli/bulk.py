"""`trigger-lite bulk`: cancel or replay many runs, follow it, abort it."""

import time
from collections.abc import Sequence

import click

from trigger_lite.cli.options import Id, RunId, server_options, with_options
from trigger_lite.cli.output import as_json, print_json, printable, say, table
from trigger_lite.cli.run_filters import filter_options
from trigger_lite.cli.times import age
from trigger_lite.protocol.bulk_actions import BulkAction, BulkStatus

_HEAD = ("BULK ACTION", "WHAT", "STATUS", "DONE", "FAILED", "OF", "CREATED", "NAME")
_NAME_COLUMN = 7


_yes = click.option("--yes", "is_sure", is_flag=True, help="Do not ask before it begins.")
_BULK = Id("bulk", "a bulk action", "trigger-lite bulk list")


@click.group(
    "bulk",
    epilog="""\b
Examples:
  trigger-lite bulk cancel --status queued --task resize
  trigger-lite bulk replay --status failed --since 1d
  trigger-lite bulk list
""",
)
def command() -> None:
    """Cancel or replay many runs at once."""


@command.command(
    "cancel",
    epilog="""\b
Examples:
  trigger-lite bulk cancel --status queued --status delayed --task resize
  trigger-lite bulk cancel --tag org_42 --since 30d --yes
  trigger-lite bulk cancel run_06fd3v… run_06fd3w…
\b
Shows progress and prints the bulk action's id. Runs that are made later are not touched.
""",
)
@click.argument("runs", type=RunId(), nargs=-1, metavar="[RUN]...")
@_yes
@as_json
@with_options([*filter_options(), *server_options()])
@click.pass_context
def cancel(ctx: click.Context, *, runs: Sequence[str], is_sure: bool, as_json: bool) -> None:
    """Stop all runs of a filter, or those named."""
    from trigger_lite.cli.bulk_runs import act_on_all

    act_on_all(ctx, "cancel", runs, is_sure=is_sure, as_json=as_json)


@command.command(
    "replay",
    epilog="""\b
Examples:
  trigger-lite bulk replay --status failed --task resize --since 1d
  trigger-lite bulk replay --status failed --status crashed --yes
\b
Shows progress and prints the bulk action's id. The oldest run is replayed first.
""",
)
@click.argument("runs", type=RunId(), nargs=-1, metavar="[RUN]...")
@_yes
@as_json
@with_options([*filter_options(), *server_options()])
@click.pass_context
def replay(ctx: click.Context, *, runs: Sequence[str], is_sure: bool, as_json: bool) -> None:
    """Trigger all runs of a filter again, or those named."""
    from trigger_lite.cli.bulk_runs import act_on_all

    act_on_all(ctx, "replay", runs, is_sure=is_sure, as_json=as_json)


@command.command(
    "list",
    epilog="""\b
Examples:
  trigger-lite bulk list
  trigger-lite bulk list --limit 100 --json
""",
)
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=25, show_default=True, help="At most so many."
)
@as_json
@with_options(server_options())
@click.pass_context
def list_(ctx: click.Context, *, limit: int, as_json: bool) -> None:
    """List bulk actions, the newest first."""
    from trigger_lite.cli.api import open_api

    actions = open_api(ctx).list_bulk(limit)
    if as_json:
        print_json(actions)
        return
    if not actions:
        say("No bulk action yet.")
        return
    now = time.time()
    for line in table(_HEAD, [_row(action, now) for action in actions], flexible=_NAME_COLUMN):
        click.echo(line)


@command.command(
    "get",
    epilog="""\b
Examples:
  trigger-lite bulk get bulk_06fd3v…
  trigger-lite bulk get bulk_06fd3v… --wait
""",
)
@click.argument("bulk", type=_BULK)
@click.option("--wait", is_flag=True, help="Show progress until it is over.")
@as_json
@with_options(server_options())
@click.pass_context
def get(ctx: click.Context, *, bulk: str, wait: bool, as_json: bool) -> None:
    """Show one bulk action."""
    from trigger_lite.cli.api import open_api
    from trigger_lite.cli.bulk_runs import ending_line, follow_bulk_action, progress_line

    api = open_api(ctx)
    action = api.get_bulk(bulk)
    if wait:
        follow_bulk_action(ctx, api, action, as_json=as_json)
    elif as_json:
        print_json(action)
    else:
        click.echo(progress_line(action) if action.status == BulkStatus.PENDING else ending_line(action))


@command.command(
    "abort",
    epilog="""\b
Examples:
  trigger-lite bulk abort bulk_06fd3v…
""",
)
@click.argument("bulk", type=_BULK)
@with_options(server_options())
@click.pass_context
def abort(ctx: click.Context, *, bulk: str) -> None:
    """Do no more of a bulk action. What was done stays as it is."""
    from trigger_lite.cli.api import open_api

    open_api(ctx).abort_bulk(bulk)
    say(f"{bulk} is aborted; runs it had not reached stay as they are")


def _row(action: BulkAction, now: float) -> tuple[str, ...]:
    counts = action.counts
    return (
        action.id,
        action.type.lower(),
        action.status.lower(),
        f"{counts.success:,}",
        f"{counts.failure:,}",
        f"{counts.total:,}",
        age(action.created_at, now),
        printable(action.name or ""),
    )
