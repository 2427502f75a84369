"""The entry point: finds the command, runs it, and turns every outcome into one line and an exit code."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from trigger_lite.cli.failures import INTERRUPTED, READER_GONE, one_line
from trigger_lite.protocol.version import __version__

# Command → module of this room; each module's `command` is imported when it is asked for, so that none pays
# for another. The order is that of a newcomer's first hour.
_MODULES: Final = {
    "serve": "serve",
    "dev": "dev",
    "worker": "worker",
    "trigger": "trigger",
    "runs": "runs",
    "batches": "batches",
    "queues": "queues",
    "schedules": "schedules",
    "tokens": "tokens",
    "bulk": "bulk",
    "logs": "logs",
    "keys": "keys",
    "sign-in": "sign_in",
    "doctor": "doctor",
    "version": "version",
}
_PROGRAM: Final = "trigger-lite"
_COMPLETION_VARIABLE: Final = "_TRIGGER_LITE_COMPLETE"
_EPILOG: Final = """\b
First steps:
  trigger-lite serve examples/             the server and a worker for the tasks in examples/
  trigger-lite trigger charge_order '{"order": 7, "amount": 19.9}' --wait
  trigger-lite runs list
\b
Exit codes: 0 done, 1 failed, 2 bad input, 3 the run was cancelled, 130 interrupted.
Completion: eval "$(_TRIGGER_LITE_COMPLETE=bash_source trigger-lite)"   (or zsh_source, fish_source)
"""


class Commands(click.Group):
    """The group of all commands, each loaded when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        module = importlib.import_module(f"trigger_lite.cli.{_MODULES[cmd_name]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in _MODULES or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        inner = self.get_command(ctx, "runs")
        if isinstance(inner, click.Group) and name in inner.commands:
            raise click.UsageError(f"No such command '{name}'. Did you mean 'runs {name}'?", ctx)
        raise click.exceptions.NoSuchCommand(name, possibilities=_MODULES, ctx=ctx)


@click.group(
    cls=Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="trigger-lite", message="%(prog)s %(version)s")
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Background jobs for Python in one light process.

    Every command has examples: trigger-lite COMMAND --help
    """
    ctx.color = _colour_wish()


def main() -> None:
    """Run the command that the arguments name, and exit with its code. No traceback reaches the user."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows a ?
    if _COMPLETION_VARIABLE in os.environ:
        commands.main(prog_name=_PROGRAM)
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; refusals and faults are printed in one line."""
    try:
        with commands.make_context(_PROGRAM, list(arguments)) as context:
            commands.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        click.echo(f"Error: {one_line(error)}", err=True)
        return error.exit_code
    except BrokenPipeError:
        return _leave_quietly()
    except Exception as error:
        from trigger_lite.cli.crash import report_crash

        report_crash(error)
        return 1
    return 0


def _leave_quietly() -> int:
    """Give Python something to flush into when it exits; the reader of our output is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return READER_GONE


def _colour_wish() -> bool | None:
    """Return what NO_COLOR or FORCE_COLOR ask for; None: colours on a terminal alone."""
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None
