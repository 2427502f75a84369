"""`trigger-lite dev`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trigger_lite.cli.failures import BadInput
from trigger_lite.cli.options import server_options, with_options
from trigger_lite.cli.output import dim
from trigger_lite.cli.parked_memory import parked_memory_option
from trigger_lite.protocol.version import __version__

if TYPE_CHECKING:
    from trigger_lite.worker.project import ProjectConfig


@click.command(
    "dev",
    short_help="Run a folder's tasks while you write them.",
    epilog="""\b
Examples:
  trigger-lite dev                 the tasks of the project here: trigger.toml or [tool.trigger-lite]
  trigger-lite dev jobs/           the tasks in jobs/
\b
Then, in another terminal:
  trigger-lite trigger TASK '{"name": "you"}' --env dev --wait
""",
)
@click.argument("directory", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
@click.option(
    "--concurrency", type=click.IntRange(1, 1000), metavar="N", help="Runs at a time.  [default: two a core]"
)
@parked_memory_option
@with_options(server_options())
@click.pass_context
def command(
    ctx: click.Context, *, directory: Path | None, concurrency: int | None, parked_memory: int | None
) -> None:
    """Run the tasks of a folder in the dev environment, and again whenever a file changes.

    Ctrl-C lets runs finish for 30 s; what is left then, or at a second Ctrl-C, is cancelled.
    """
    from trigger_lite.cli.api import open_api
    from trigger_lite.cli.tasks_folder import project_folder, project_of, tasks_folder
    from trigger_lite.cli.work import work, worker_settings
    from trigger_lite.cli.worker_lines import DevPrinter

    folder = project_folder() if directory is None else tasks_folder(directory)
    project = project_of(folder)
    api = open_api(ctx, environment="dev")
    target, identity = api.target, api.whoami()
    if identity.type != "DEVELOPMENT":
        raise BadInput(
            f"This key is of the environment {identity.slug}, and 'trigger-lite dev' works in dev: "
            f"use the dev key ('trigger-lite keys' prints it), or 'trigger-lite worker' for {identity.slug}"
        )
    click.echo(
        f"{click.style('trigger-lite dev', bold=True)} {__version__}  {dim(_shown(folder))}  →  {target.url}"
    )
    settings = worker_settings(
        target, folder, project, concurrency=concurrency, parked_memory=parked_memory, name=None, watch=True
    )
    # Code that is still being written is nothing to make another attempt of some other day (CN-08).
    ctx.exit(work(replace(settings, cancels_at_stop=True), DevPrinter(retries=dev_retries(project))))


def dev_retries(project: "ProjectConfig") -> bool:
    """Tell whether failed attempts are made again in dev, as the worker decides it."""
    by_environment = os.environ.get("TRIGGER_LITE_DEV_RETRIES")
    return project.dev.retries if by_environment is None else by_environment != "0"


def _shown(folder: Path) -> str:
    here = Path.cwd()
    absolute = folder.resolve()
    if absolute == here:
        return "the project in this folder"
    return f"./{absolute.relative_to(here)}" if absolute.is_relative_to(here) else str(absolute)
