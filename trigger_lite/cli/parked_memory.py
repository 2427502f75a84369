"""The option of `worker` and `dev` that says how much memory runs that wait may hold."""

from typing import Any

import click

VARIABLE = "TRIGGER_LITE_PARKED_MEMORY"


class MemoryType(click.ParamType[int]):
    """An amount of memory, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from trigger_lite.worker.memory import parse_memory

        try:
            return parse_memory(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


parked_memory_option = click.option(
    "--parked-memory",
    type=MemoryType(),
    envvar=VARIABLE,
    metavar="SIZE",
    help="Memory that waiting runs may hold, such as 2GB.  [default: 25%]",
)
"""Decorates a command; also read from the environment."""
