"""`trigger-lite schedules`: list, get, pause, resume, run-now, delete."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from trigger_lite.cli.options import Id, server_options, with_options
from trigger_lite.cli.output import as_json, dim, print_json, printable, say, table
from trigger_lite.cli.times import age, ahead, local_time
from trigger_lite.protocol.durations import format_duration

if TYPE_CHECKING:
    from trigger_lite.protocol.schedules import Schedule

_HEAD: Final = ("SCHEDULE", "TASK", "WHEN", "ZONE", "NEXT", "LAST")
_WHEN_COLUMN: Final = 2
_LABEL_WIDTH: Final = 12
_ID: Final = Id("sched", "a schedule", "trigger-lite schedules list")
_OVERLAP: Final = {
    "allow": "runs beside the previous run",
    "skip": "skipped while the previous run is going on",
    "queue": "waits for the end of the previous run",
}
_CATCH_UP: Final = {
    "latest": "the newest missed time runs late",
    "all": "every missed time runs late, the newest 100 at most",
    "none": "missed times are skipped",
}


@click.group(
    "schedules",
    epilog="""\b
Examples:
  trigger-lite schedules list
  trigger-lite schedules run-now sched_06fd3v…
  trigger-lite schedules pause sched_06fd3v…
""",
)
def command() -> None:
    """List and look at schedules, pause them, and run them now."""


@command.command(
    "list",
    epilog="""\b
Examples:
  trigger-lite schedules list
  trigger-lite schedules list --json | jq -r '.[] | select(.active | not) | .id'
""",
)
@as_json
@with_options(server_options())
@click.pass_context
def list_(ctx: click.Context, *, as_json: bool) -> None:
    """List schedules, the newest first: what they run, when, and when next."""
    from trigger_lite.cli.api import open_api

    schedules = list(open_api(ctx).list_schedules())
    if as_json:
        print_json(schedules)
        return
    if not schedules:
        say("No schedule yet; declare one with @schedules.task(cron=…), or make one with schedules.create.")
        return
    now = time.time()
    for line in table(_HEAD, [_row(schedule, now) for schedule in schedules], flexible=_WHEN_COLUMN):
        click.echo(line)


@command.command(
    "get",
    epilog="""\b
Examples:
  trigger-lite schedules get sched_06fd3v…
  trigger-lite schedules get sched_06fd3v… --json | jq -r .nextRun
""",
)
@click.argument("schedule", type=_ID)
@as_json
@with_options(server_options())
@click.pass_context
def get(ctx: click.Context, *, schedule: str, as_json: bool) -> None:
    """Show one schedule."""
    from trigger_lite.cli.api import open_api

    found = open_api(ctx).get_schedule(schedule)
    if as_json:
        print_json(found)
        return
    for label, text in _facts(found, time.time()):
        if text:
            click.echo(f"{dim(label.ljust(_LABEL_WIDTH))}{text}")


@command.command(
    "pause",
    epilog="""\b
Examples:
  trigger-lite schedules pause sched_06fd3v…
""",
)
@click.argument("schedules", type=_ID, nargs=-1, required=True, metavar="SCHEDULE...")
@with_options(server_options())
@click.pass_context
def pause(ctx: click.Context, *, schedules: Sequence[str]) -> None:
    """Let schedules run no more until they are resumed."""
    _switch(ctx, schedules, active=False)


@command.command(
    "resume",
    epilog="""\b
Examples:
  trigger-lite schedules resume sched_06fd3v…
""",
)
@click.argument("schedules", type=_ID, nargs=-1, required=True, metavar="SCHEDULE...")
@with_options(server_options())
@click.pass_context
def resume(ctx: click.Context, *, schedules: Sequence[str]) -> None:
    """Let paused schedules go on with their next future time."""
    _switch(ctx, schedules, active=True)


@command.command(
    "run-now",
    epilog="""\b
Examples:
  trigger-lite schedules run-now sched_06fd3v…
  trigger-lite schedules run-now sched_06fd3v… --wait
\b
Prints the run's id, or with --wait its output. Exit codes are those of 'trigger-lite trigger'.
""",
)
@click.argument("schedule", type=_ID)
@click.option("--wait", is_flag=True, help="Show progress until the run is over; then its output.")
@as_json
@with_options(server_options())
@click.pass_context
def run_now(ctx: click.Context, *, schedule: str, wait: bool, as_json: bool) -> None:
    """Run a schedule beside its times, which stay as planned."""
    from trigger_lite.cli.api import open_api

    api = open_api(ctx)
    run_id = api.run_schedule(schedule)
    page = api.target.run_page(run_id)
    if wait:
        from trigger_lite.cli.waiting import wait_and_exit

        wait_and_exit(ctx, api, run_id, as_json=as_json)
    elif as_json:
        print_json({"id": run_id, "url": page})
    else:
        click.echo(run_id)
        say(page)


@command.command(
    "delete",
    epilog="""\b
Examples:
  trigger-lite schedules delete sched_06fd3v…
\b
One that is declared in code is removed there, or paused here.
""",
)
@click.argument("schedules", type=_ID, nargs=-1, required=True, metavar="SCHEDULE...")
@with_options(server_options())
@click.pass_context
def delete(ctx: click.Context, *, schedules: Sequence[str]) -> None:
    """Remove schedules. Their runs stay."""
    from trigger_lite.cli.api import open_api

    api = open_api(ctx)
    for schedule_id in schedules:
        api.delete_schedule(schedule_id)
        say(f"{schedule_id} is deleted")


def _switch(ctx: click.Context, schedule_ids: Sequence[str], *, active: bool) -> None:
    from trigger_lite.cli.api import open_api

    api = open_api(ctx)
    for schedule_id in schedule_ids:
        schedule = api.switch_schedule(schedule_id, active=active)
        said = f"goes on {_next(schedule, time.time())}" if active else "is paused"
        say(f"{schedule_id} ({printable(schedule.task)}) {said}")


def _row(schedule: "Schedule", now: float) -> tuple[str, ...]:
    return (
        schedule.id,
        printable(schedule.task),
        printable(schedule.generator.description),
        schedule.timezone,
        _next(schedule, now),
        age(schedule.last_run, now) if schedule.last_run else "",
    )


def _next(schedule: "Schedule", now: float) -> str:
    if not schedule.active:
        return "paused"
    return "never" if schedule.next_run is None else ahead(schedule.next_run, now)


def _facts(schedule: "Schedule", now: float) -> Iterator[tuple[str, str]]:
    yield "schedule", schedule.id
    yield "task", printable(schedule.task)
    yield "declared", "in code" if schedule.type == "DECLARATIVE" else "by a call"
    yield "when", printable(f"{schedule.generator.description}  ({schedule.generator.expression})")
    yield "zone", schedule.timezone
    nearest = _next(schedule, now)
    yield "next", f"{local_time(schedule.next_run)}  ({nearest})" if schedule.next_run else nearest
    yield (
        "last",
        f"{local_time(schedule.last_run)}  ({age(schedule.last_run, now)})" if schedule.last_run else "",
    )
    yield "overlap", _OVERLAP.get(schedule.overlap, schedule.overlap)
    yield "catch up", _CATCH_UP.get(schedule.catch_up, schedule.catch_up)
    within = schedule.expect_within
    yield "expected", "" if within is None else f"within {format_duration(within)}"
    yield "key", printable(schedule.deduplication_key or "")
    yield "external id", printable(schedule.external_id or "")
