"""Doing one thing to many runs: asked first, shown while it goes on."""

import sys
import time
from collections.abc import Sequence
from typing import Final

import click

from trigger_lite.cli.api import Api, open_api
from trigger_lite.cli.failures import INTERRUPTED, BadInput
from trigger_lite.cli.live_line import LiveLine
from trigger_lite.cli.output import dim, print_json, say
from trigger_lite.cli.run_filters import given_filter, spoken_filter
from trigger_lite.protocol.bulk_actions import BulkAction, BulkStatus

_TICK: Final = 0.5
_WIDTH: Final = 24
_DOING: Final = {"cancel": "cancelling", "replay": "replaying"}
_DONE: Final = {"cancel": "cancelled", "replay": "replayed"}


def act_on_all(ctx: click.Context, kind: str, runs: Sequence[str], *, is_sure: bool, as_json: bool) -> None:
    """Cancel or replay (`kind`) the runs named, or all of the filter given, and follow it to its end.

    Exits with its code. Raises BadInput when it is not clear which runs, when nobody is there to be asked, or
    when they say no.
    """
    filters = given_filter(ctx)
    if filters and runs:
        raise BadInput("Name runs or give a filter such as --status, not both")
    if not filters and not runs:
        raise BadInput("Which runs? Give a filter such as --status failed --task resize, or the ids of runs")
    api = open_api(ctx)
    if not is_sure:
        _ask(kind, spoken_filter(filters) if filters else f"{len(runs)} runs")
    follow_bulk_action(ctx, api, api.begin_bulk(kind, runs, filters), as_json=as_json)


def _ask(kind: str, meant: str) -> None:
    if not sys.stdin.isatty():
        raise BadInput(f"This would {kind} {meant}; add --yes to do it")
    if not click.confirm(f"{kind.capitalize()} {meant}?", err=True):
        raise BadInput("Nothing was done")


def follow_bulk_action(ctx: click.Context, api: Api, action: BulkAction, *, as_json: bool) -> None:
    """Show a bulk action's progress on stderr until it is over; prints its id or all of it, and exits."""
    say(f"{action.id}  {dim(api.target.page(f'bulk/{action.id}'))}")
    try:
        with LiveLine() as live:
            while action.status == BulkStatus.PENDING:
                live.update(progress_line(action) if live.is_live else f"{_doing(action)} …")
                time.sleep(_TICK)
                action = api.get_bulk(action.id)
    except KeyboardInterrupt:
        say(f"Stopped watching; it goes on. To stop it: trigger-lite bulk abort {action.id}")
        ctx.exit(INTERRUPTED)
    say(ending_line(action))
    if as_json:
        print_json(action)
    else:
        click.echo(action.id)
    ctx.exit(0 if action.status == BulkStatus.COMPLETED else 1)


def progress_line(action: BulkAction) -> str:
    """Return how far a bulk action is: `cancelling ████████░░░░ 400/1,200  3 could not be`."""
    counts = action.counts
    done = counts.success + counts.failure
    filled = round(_WIDTH * min(1.0, done / counts.total)) if counts.total else 0
    bar = click.style("█" * filled, fg="cyan") + dim("░" * (_WIDTH - filled))
    missed = f"  {counts.failure:,} could not be" if counts.failure else ""
    return f"{_doing(action)}  {bar}  {done:,}/{counts.total:,}{missed}"


def ending_line(action: BulkAction) -> str:
    """Return how a bulk action ended, in one line."""
    kind, counts = action.type.lower(), action.counts
    ended = "" if action.status == BulkStatus.COMPLETED else "; it was aborted"
    missed = ""
    if counts.failure:
        missed = (
            f", {counts.failure:,} were over already"
            if kind == "cancel"
            else f", {counts.failure:,} could not be"
        )
    return f"{_runs(counts.success)} {_DONE[kind]}{missed}{ended}"


def _doing(action: BulkAction) -> str:
    return _DOING[action.type.lower()]


def _runs(count: int) -> str:
    return "1 run is" if count == 1 else f"{count:,} runs are"
