"""How commands end: exit codes, and the refusals that carry them.

0    done; with --wait: the run completed
1    it was asked for rightly and failed; with --wait: the run failed, crashed, timed out or expired
2    bad input: nothing was done
3    with --wait: the run was cancelled
130  interrupted by Ctrl-C
141  whoever read the output went away
"""

from typing import Final

import click

RUN_FAILED: Final = 1
RUN_CANCELED: Final = 3
INTERRUPTED: Final = 130
READER_GONE: Final = 141


class CommandFailed(click.ClickException):
    """The command was right, but what it asked for failed."""

    exit_code = 1


class BadInput(click.ClickException):
    """The command cannot do what it was asked; nothing was done. The message says what would be right."""

    exit_code = 2


def one_line(error: click.ClickException) -> str:
    """Return what is wrong in one line, with the nearest right word or the way to the help."""
    if (
        isinstance(error, click.exceptions.NoSuchOption | click.exceptions.NoSuchCommand)
        and error.possibilities
    ):
        return f"{error.message} Did you mean {error.possibilities[0]!r}?"
    message = " ".join(error.format_message().split())
    explains_itself = isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter)
    if not isinstance(error, click.UsageError) or explains_itself or message.endswith("?"):
        return message
    help_of = f" See '{error.ctx.command_path} --help'." if error.ctx is not None else ""
    return f"{message.rstrip('.')}.{help_of}"
