"""`trigger-lite trigger`."""

import click

from trigger_lite.cli.options import server_options, with_options
from trigger_lite.cli.output import as_json, print_json, say
from trigger_lite.cli.payloads import read_payload
from trigger_lite.cli.run_options import debounce_options, run_options, trigger_options


@click.command(
    "trigger",
    epilog="""\b
Examples:
  trigger-lite trigger resize '{"url": "https://example.com/cat.png", "width": 100}'
  trigger-lite trigger resize '{"url": "…", "width": 100}' --wait | jq .
  trigger-lite trigger import_csv --payload-file rows.json --tag monday --env dev
  echo '{"day": "monday"}' | trigger-lite trigger report - --delay 2h --idempotency-key monday
\b
Prints the run's id on stdout, or with --wait its output as JSON; everything else goes to stderr.
Exit codes with --wait: 0 completed, 1 failed, crashed, timed out or expired, 3 cancelled.
""",
)
@click.argument("task")
@click.argument("payload", required=False, metavar="[JSON]")
@click.option("--wait", is_flag=True, help="Show progress until the run is over; then its output.")
@click.option("--payload-file", metavar="FILE", help="Read the JSON from a file; - is stdin.")
@as_json
@with_options([*run_options(), *debounce_options(), *server_options()])
@click.pass_context
def command(
    ctx: click.Context, *, task: str, payload: str | None, wait: bool, payload_file: str | None, as_json: bool
) -> None:
    """Trigger a run of TASK with a JSON payload."""
    options = trigger_options(ctx)
    text = read_payload(payload, payload_file)
    from trigger_lite.cli.api import open_api

    api = open_api(ctx)
    run = api.trigger(task, text, options)
    page = api.target.run_page(run.id)
    if run.is_cached:
        say("This idempotency key was used before; here is the run it made then.")
    if wait:
        from trigger_lite.cli.waiting import wait_and_exit

        wait_and_exit(ctx, api, run.id, as_json=as_json)
    elif as_json:
        print_json({"id": run.id, "isCached": run.is_cached, "url": page})
    else:
        click.echo(run.id)
        say(page)
