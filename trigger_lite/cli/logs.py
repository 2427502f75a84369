"""`trigger-lite logs`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from trigger_lite.cli.options import RunId, server_options, with_options
from trigger_lite.cli.output import as_json, dim, say

if TYPE_CHECKING:
    from trigger_lite.cli.api import Api
    from trigger_lite.sdk.runs import RunLogLine


@click.command(
    "logs",
    short_help="Print what a run printed and logged.",
    epilog="""\b
Examples:
  trigger-lite logs run_06fd3v…
  trigger-lite logs run_06fd3v… -f
  trigger-lite logs run_06fd3v… --json | jq -r 'select(.level == "ERROR").message'
""",
)
@click.argument("run", type=RunId())
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@as_json
@with_options(server_options())
@click.pass_context
def command(ctx: click.Context, *, run: str, follow: bool, as_json: bool) -> None:
    """Print what a run printed and logged, the oldest first; with --json one object a line."""
    import msgspec

    from trigger_lite.cli.api import open_api
    from trigger_lite.cli.log_lines import log_line

    api = open_api(ctx)
    lines = _followed(ctx, api, run) if follow else _present(api, run)
    attempt = 1
    count = 0
    for line in lines:
        count += 1
        if as_json:
            click.echo(msgspec.json.encode(line))
            continue
        if line.attempt != attempt:
            attempt = line.attempt
            click.echo(dim(f"— attempt {attempt} —"))
        click.echo(log_line(line))
    if not count and not as_json:
        say("This run has printed and logged nothing" + ("." if follow else " so far."))


def _present(api: "Api", run: str) -> "Iterator[RunLogLine]":
    page = api.log_page(run, 0, wait=0)
    while page.lines:
        yield from page.lines
        page = api.log_page(run, page.next, wait=0)


def _followed(ctx: click.Context, api: "Api", run: str) -> "Iterator[RunLogLine]":
    from trigger_lite.cli.api import POLL_SECONDS

    page = api.log_page(run, 0, wait=0)  # a run that does not exist is refused at once
    patient = api.patient()
    ctx.call_on_close(patient.close)
    while page.lines or not page.finished:
        yield from page.lines
        page = patient.log_page(run, page.next, wait=0 if page.lines else POLL_SECONDS)
