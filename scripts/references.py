"""The tables of settings and commands, from the code that reads them."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import click

from trigger_lite.config import Settings


def settings_reference() -> str:
    """Return every setting of the server as a Markdown table."""
    rows = ["| Flag | Variable | Default | Meaning |", "|---|---|---|---|"]
    for setting in fields(Settings):
        flag = f"--{setting.name.replace('_', '-')}"
        variable = f"TRIGGER_LITE_{setting.name.upper()}"
        rows.append(f"| `{flag}` | `{variable}` | {_shown(setting.default)} | {setting.metadata['help']} |")
    return "\n".join(rows)


def _shown(default: Any) -> str:
    return "none" if default is None else f"`{default}`"


def commands_reference() -> str:
    """Return the help text of every command, as `--help` prints it."""
    from trigger_lite.cli import main

    (group,) = {value for value in vars(main).values() if isinstance(value, click.Group)}
    texts = _help_texts(group, click.Context(group, info_name="trigger-lite", terminal_width=100))
    return "\n\n".join(f"## {name}\n\n```text\n{text}\n```" for name, text in texts)


def _help_texts(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from _help_texts(inner, click.Context(inner, info_name=name, parent=context))
