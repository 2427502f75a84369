"""Waiting for a run to its end, and leaving with the exit code that says how it ended."""

import click
import msgspec

from trigger_lite.cli.api import Api
from trigger_lite.cli.failures import INTERRUPTED, RUN_CANCELED, RUN_FAILED
from trigger_lite.cli.follow import ending_line, follow_run
from trigger_lite.cli.output import dim, print_raw_json, say
from trigger_lite.protocol.runs import RunDetail


def wait_and_exit(ctx: click.Context, api: Api, run_id: str, *, as_json: bool) -> None:
    """Follow a run, print its output (or with `as_json` all of it), and exit as it ended."""
    say(f"{run_id}  {dim(api.target.run_page(run_id))}")
    try:
        run = follow_run(api, run_id)
    except KeyboardInterrupt:
        say(f"Stopped waiting; the run goes on. To stop it: trigger-lite runs cancel {run_id}")
        ctx.exit(INTERRUPTED)
    say(ending_line(run))
    if as_json:
        print_raw_json(api.get_run(run_id).raw)
    elif run.is_success:
        click.echo(msgspec.json.encode(run.output))
    else:
        say(f"More: trigger-lite runs get {run_id}, trigger-lite logs {run_id}")
    ctx.exit(exit_code(run))


def exit_code(run: RunDetail) -> int:
    """Return 0 for a completed run, 3 for a cancelled one, 1 for any other end."""
    if run.is_success:
        return 0
    return RUN_CANCELED if run.is_cancelled else RUN_FAILED
