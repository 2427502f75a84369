"""`trigger-lite runs`: list, get, cancel, replay, reschedule."""

import time
from collections.abc import Sequence
from datetime import datetime

import click

from trigger_lite.cli.options import MomentType, NearestChoice, RunId, server_options, with_options
from trigger_lite.cli.output import as_json, printable, say, status_text, table
from trigger_lite.cli.run_options import replay_options, run_options
from trigger_lite.cli.times import age, seconds_between, spoken_seconds
from trigger_lite.protocol.runs import RunSummary
from trigger_lite.protocol.statuses import ApiStatus

_STATUS = NearestChoice([status.lower() for status in ApiStatus], "a status")
_HEAD = ("RUN", "STATUS", "TASK", "CREATED", "TOOK", "TAGS")
_TASK_COLUMN = 2


@click.group(
    "runs",
    epilog="""\b
Examples:
  trigger-lite runs list --status failed --since 1d
  trigger-lite runs get run_06fd3v…
  trigger-lite runs cancel run_06fd3v…
""",
)
def command() -> None:
    """List, look at, cancel and replay runs."""


@command.command(
    "list",
    epilog="""\b
Examples:
  trigger-lite runs list
  trigger-lite runs list --status failed --status crashed --since 2h
  trigger-lite runs list --task resize --tag org_42 --limit 100 --json
""",
)
@click.option(
    "--status", "statuses", type=_STATUS, multiple=True, metavar="STATUS", help="Any of; repeatable."
)
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="Any of these tasks; repeatable.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Any of these tags; repeatable.")
@click.option("--since", type=MomentType(in_past=True), help='Created since: "2h", "7d" or 2026-11-22.')
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=25, show_default=True, help="At most so many."
)
@as_json
@with_options(server_options())
@click.pass_context
def list_(
    ctx: click.Context,
    *,
    statuses: Sequence[str],
    tasks: Sequence[str],
    tags: Sequence[str],
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List runs, the newest first."""
    from trigger_lite.cli.api import open_api

    query = _query({"status": [s.upper() for s in statuses], "taskIdentifier": tasks, "tag": tags}, since)
    found = open_api(ctx).list_runs(query, limit)
    if as_json:
        click.echo(b"[" + b",\n ".join(raw for _, raw in found) + b"]")
        return
    runs = [run for run, _ in found]
    if not runs:
        say("No such run." if query else "No run yet; make one with 'trigger-lite trigger TASK'.")
        return
    now = time.time()
    for line in table(_HEAD, [_row(run, now) for run in runs], flexible=_TASK_COLUMN):
        click.echo(line)


@command.command(
    "get",
    epilog="""\b
Examples:
  trigger-lite runs get run_06fd3v…
  trigger-lite runs get run_06fd3v… --json | jq .output
""",
)
@click.argument("run", type=RunId())
@as_json
@with_options(server_options())
@click.pass_context
def get(ctx: click.Context, *, run: str, as_json: bool) -> None:
    """Show everything about one run."""
    from trigger_lite.cli.api import open_api
    from trigger_lite.cli.output import print_raw_json
    from trigger_lite.cli.run_page import run_page

    api = open_api(ctx)
    fetched = api.get_run(run)
    if as_json:
        print_raw_json(fetched.raw)
        return
    for line in run_page(fetched.run, api.target.run_page(run), now=time.time()):
        click.echo(line)


@command.command(
    "cancel",
    epilog="""\b
Examples:
  trigger-lite runs cancel run_06fd3v…
  trigger-lite runs list --status queued --json | jq -r '.[].id' | xargs trigger-lite runs cancel
\b
All runs of a filter: 'trigger-lite bulk cancel'.
""",
)
@click.argument("runs", type=RunId(), nargs=-1, required=True, metavar="RUN...")
@with_options(server_options())
@click.pass_context
def cancel(ctx: click.Context, *, runs: Sequence[str]) -> None:
    """Stop runs, and the runs they triggered. One that is over is left as it is."""
    from trigger_lite.cli.api import open_api

    api = open_api(ctx)
    for run_id in runs:
        before = api.get_run(run_id).run
        if before.is_completed:
            say(f"{run_id} was over already: {status_text(before.status)}")
            continue
        api.cancel_run(run_id)
        say(f"{run_id} is cancelled" + ("; its code is being stopped" if before.is_executing else ""))


@command.command(
    "replay",
    epilog="""\b
Examples:
  trigger-lite runs replay run_06fd3v…
  trigger-lite runs replay run_06fd3v… --wait
  trigger-lite runs replay run_06fd3v… --payload '{"width": 200}' --machine large-1x
\b
Prints the new run's id, or with --wait its output. Exit codes are those of 'trigger-lite trigger'.
All runs of a filter: 'trigger-lite bulk replay'.
""",
)
@click.argument("run", type=RunId())
@click.option("--wait", is_flag=True, help="Show progress until the new run is over; then its output.")
@click.option("--payload", metavar="JSON", help="Another payload; - is stdin.")
@click.option("--payload-file", metavar="FILE", help="Read the payload from a file; - is stdin.")
@as_json
@with_options([*run_options(), *server_options()])
@click.pass_context
def replay(
    ctx: click.Context, *, run: str, wait: bool, payload: str | None, payload_file: str | None, as_json: bool
) -> None:
    """Trigger the same again: same task, payload, tags and queue, but for what is given."""
    from trigger_lite.cli.api import open_api
    from trigger_lite.cli.output import print_json
    from trigger_lite.cli.payloads import read_payload

    options = replay_options(ctx)
    text = read_payload(payload, payload_file)
    api = open_api(ctx)
    new_id = api.replay_run(run, text, options)
    page = api.target.run_page(new_id)
    if wait:
        from trigger_lite.cli.waiting import wait_and_exit

        wait_and_exit(ctx, api, new_id, as_json=as_json)
    elif as_json:
        print_json({"id": new_id, "url": page})
    else:
        click.echo(new_id)
        say(page)


@command.command(
    "reschedule",
    epilog="""\b
Examples:
  trigger-lite runs reschedule run_06fd3v… 2h
  trigger-lite runs reschedule run_06fd3v… 2026-11-23T08:00
""",
)
@click.argument("run", type=RunId())
@click.argument("delay", type=MomentType(in_past=False), metavar="DURATION|TIME")
@with_options(server_options())
@click.pass_context
def reschedule(ctx: click.Context, *, run: str, delay: datetime) -> None:
    """Let a delayed run start at another time."""
    from trigger_lite.cli.api import open_api

    moved = open_api(ctx).reschedule_run(run, delay)
    say(f"{run} starts at {moved.delayed_until}")


def _query(lists: dict[str, Sequence[str]], since: datetime | None) -> dict[str, str]:
    query = {f"filter[{name}]": ",".join(values) for name, values in lists.items() if values}
    if since is not None:
        query["filter[createdAt][from]"] = str(round(since.timestamp() * 1000))
    return query


def _row(run: RunSummary, now: float) -> tuple[str, ...]:
    seconds = seconds_between(run.started_at, run.finished_at, now)
    return (
        run.id,
        status_text(run.status),
        printable(run.task_identifier),
        age(run.created_at, now),
        "" if seconds is None else spoken_seconds(seconds),
        printable(", ".join(run.tags)),
    )
