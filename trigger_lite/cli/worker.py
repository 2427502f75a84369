"""`trigger-lite worker`."""

from dataclasses import replace
from pathlib import Path

import click

from trigger_lite.cli.options import server_options, with_options
from trigger_lite.cli.parked_memory import parked_memory_option
from trigger_lite.cli.target import find_target


@click.command(
    "worker",
    short_help="Run a folder's tasks for a server.",
    epilog="""\b
Examples:
  TRIGGER_LITE_KEY=tr_prod_… trigger-lite worker jobs/ --url https://jobs.example.com
  trigger-lite worker jobs/ --concurrency 4
  trigger-lite worker jobs/ --env dev
\b
Set the key as TRIGGER_LITE_KEY rather than --key: other users of a machine can read arguments.
""",
)
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--concurrency", type=click.IntRange(1, 1000), metavar="N", help="Runs at a time.  [default: two a core]"
)
@parked_memory_option
@click.option(
    "--name", metavar="TEXT", help="How the dashboard calls this worker.  [default: the host's name]"
)
@click.option("--quiet", is_flag=True, help="Print problems and reloads, not every run.")
@click.option("--json-logs", is_flag=True, help="Print events as JSON, one object a line.")
@click.option("--until-stdin-ends", is_flag=True, hidden=True)  # for a server that starts it beside itself
@with_options(server_options())
@click.pass_context
def command(
    ctx: click.Context,
    *,
    directory: Path,
    concurrency: int | None,
    parked_memory: int | None,
    name: str | None,
    quiet: bool,
    json_logs: bool,
    until_stdin_ends: bool,
) -> None:
    """Run the tasks in DIR for a server, here or elsewhere."""
    from trigger_lite.cli.tasks_folder import project_of, tasks_folder
    from trigger_lite.cli.work import refuse_unknown_key, work, worker_settings
    from trigger_lite.cli.worker_lines import JsonPrinter, ProblemPrinter, WorkerPrinter

    project = project_of(tasks_folder(directory))
    target = find_target(ctx)
    refuse_unknown_key(target)
    settings = worker_settings(
        target,
        directory,
        project,
        concurrency=concurrency,
        parked_memory=parked_memory,
        name=name,
        watch=False,
    )
    settings = replace(settings, until_stdin_ends=until_stdin_ends)
    observer = JsonPrinter() if json_logs else ProblemPrinter() if quiet else WorkerPrinter()
    ctx.exit(work(settings, observer))
